"""The journal: an append-only file to which each record is written before anything else is done with it."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from stampede.schema import line_protocol, records
from stampede.schema.line_protocol import FieldValue
from stampede.schema.records import Record

MAX_HELD = 200_000
"""Records held in memory while the disk is full; beyond that the oldest are dropped and counted."""


class Journal:
    """Writes each record as a line with a single ``write(2)``, so that SIGKILL loses nothing written.

    While the disk is full, a partly written line is truncated again, records are held in memory and retried
    by ``flush``, and ``problem`` says so. ``on_problem`` is called when that begins.
    """

    def __init__(self, path: Path, tags: Mapping[str, str], on_problem: Callable[[str], None] | None = None) -> None:
        self.path = path
        self.lost = 0
        self._trouble = ""
        self._tags = dict(tags)
        self._series: dict[tuple[str, ...], str] = {}
        self._last: dict[str, int] = {}
        self._held: deque[bytes] = deque()
        self._on_problem = on_problem
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    @property
    def problem(self) -> str:
        """Why the journal cannot be written, since when, and how many records are affected; empty when it can."""
        if not self._trouble:
            return ""
        missing = f"records not in it yet: {len(self._held)}" + (f", lost: {self.lost}" if self.lost else "")
        return f"the journal {self.path} cannot be written {self._trouble}; {missing}"

    @property
    def missing(self) -> int:
        """Records that are not in the file: lost, or held until the disk has room again."""
        return self.lost + len(self._held)

    def write(self, record: Record, timestamp: int) -> None:
        """Write a record of ``timestamp`` (ns since 1970), see ``append``."""
        tags = records.tags(record)
        key = (record.measurement, *tags.values())
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self.series(record.measurement, **tags)
        self.append(series, records.field_values(record), timestamp)

    def series(self, measurement: str, **tags: str) -> str:
        """A measurement with the run's tags and ``tags``, as ``append`` wants it."""
        return line_protocol.encode_series(measurement, self._tags | tags)

    def append(self, series: str, fields: Mapping[str, FieldValue], timestamp: int) -> None:
        """Write a line. Its timestamp (ns) is moved on by the least that makes it unique in its series."""
        last = self._last.get(series, 0)
        timestamp = timestamp if timestamp > last else last + 1
        self._last[series] = timestamp
        self._held.append(line_protocol.encode(series, fields, timestamp).encode(errors="replace"))
        if self._trouble:
            if len(self._held) > MAX_HELD:
                self._held.popleft()
                self.lost += 1
            return
        self.flush()

    def flush(self) -> None:
        """Write what is held; to be called periodically while there is a ``problem``."""
        while self._held:
            record = self._held[0]
            try:
                written = os.write(self._file, record)
            except OSError as error:
                self._complain(error.strerror or str(error))
                return
            if written < len(record):
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                self._complain(os.strerror(errno.ENOSPC))
                return
            self._held.popleft()
        self._trouble = ""

    def sync(self) -> None:
        """Flush the file to disk, so that a power cut loses nothing either."""
        with contextlib.suppress(OSError):
            os.fdatasync(self._file)

    def _complain(self, reason: str) -> None:
        if self._trouble:
            return
        self._trouble = f"since {time.strftime('%H:%M:%S', time.gmtime())} UTC: {reason}"
        if self._on_problem:
            self._on_problem(self.problem)

    def close(self) -> None:
        """Write what is held and close the file."""
        self.flush()
        self.lost += len(self._held)
        self._held.clear()
        self.sync()
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
