"""Pushes a run's journal to InfluxDB while it is written: ``python -m controller.metrics.push RUN_DIR``.

It is a process of its own, so that no step waits for it, and the journal is its queue: it holds one batch and its
position in the journal, however long the server is unavailable. The first line of its standard input is a JSON object
with ``target`` (the fields of ``Influxdb``), ``secret`` and ``flush``, the seconds it has once the journal is
complete; the end of standard input says that the journal is complete. Its progress is in ``push.json``, from which it
continues when it is restarted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import select
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from controller.metrics.journal_tail import JournalTail
from stampede.influxdb.client import Response, connect, describe, failure_message
from stampede.influxdb.delivery import MAX_LINES, Delivery, retry_delay
from stampede.machine.files import read_json, write_json_anyway
from stampede.machine.processes import die_with_parent, lower_priority
from stampede.schema.json_form import from_json, to_json
from stampede.schema.push_progress import FILE, PushProgress
from stampede.schema.settings.influxdb_settings import Influxdb

LOGGER = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two batches when there is less than a whole batch to push."""


class EndOfJournal:
    """The signal that the journal is complete: the end of a pipe. It is noticed while waiting, too."""

    def __init__(self, pipe: int, flush: float) -> None:
        self._pipe = pipe
        self._flush = flush
        self._deadline: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the journal is complete."""
        return self._deadline is not None

    @property
    def expired(self) -> bool:
        """Whether the time allowed after the journal's end is over."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def wait(self, seconds: float) -> None:
        """Wait this long, or until the end is reached or the time after it is over."""
        if self._deadline is not None:
            time.sleep(max(0.0, min(seconds, self._deadline - time.monotonic())))
            return
        readable, _, _ = select.select([self._pipe], [], [], seconds)
        if readable and not os.read(self._pipe, 4096):
            self._deadline = time.monotonic() + self._flush


class Deliverable(Protocol):
    """A batch of lines on its way to a server; ``Delivery`` is one, and says what these are."""

    points: int
    rejected: int
    first_rejected: str
    too_large: bool

    def resume(self) -> Response | None:
        """Deliver what is left. Returns None if all was delivered or rejected, else why to retry later."""

    def lacking(self, before: str) -> str:
        """Why the server does not have all up to the batch's end; ``before``: why not up to its beginning."""


class Pusher:
    """Pushes a journal to a server, to its end."""

    def __init__(
        self,
        tail: JournalTail,
        delivery: Callable[[bytes], Deliverable],
        end: Any,
        progress: PushProgress,
        *,
        describe_failure: Callable[[Response], str],
        save: Callable[[PushProgress], None],
        rng: random.Random,
        pause: float = PAUSE,
    ) -> None:
        """``delivery`` makes one of a batch. ``end``: an ``EndOfJournal``. ``describe_failure`` puts a response into
        words, ``save`` stores progress. ``pause``: seconds, as ``PAUSE``."""
        self.progress = progress
        self._tail = tail
        self._delivery = delivery
        self._end = end
        self._describe_failure = describe_failure
        self._save = save
        self._rng = rng
        self._lines = MAX_LINES
        self._pause = pause

    def run(self) -> bool:
        """Push until the end of the journal, or until the time after it is over. Returns whether all was pushed."""
        while not self._end.expired:
            self._end.wait(0)
            ended = self._end.reached  # asked first: what was written before the end is then in the file
            batch = self._tail.batch(self._lines)
            if batch and not self._deliver(batch):
                break
            if not batch and ended:
                self.progress = replace(self.progress, complete=not self.progress.lacking)
                break
            if batch.count(b"\n") < self._lines and not ended:
                self._end.wait(self._pause)
        self._write()
        return self.progress.complete

    def _deliver(self, batch: bytes) -> bool:
        """Returns whether the batch was processed in time."""
        delivery = self._delivery(batch)
        failures = 0
        while answer := delivery.resume():
            self._failed(self._describe_failure(answer))
            was_reached = self._end.reached
            self._end.wait(retry_delay(answer, failures, self._rng))
            if self._end.expired:
                return False
            failures = 0 if self._end.reached != was_reached else failures + 1
        if delivery.too_large:
            self._lines = max(1, self._lines // 2)
        self._tail.advance(batch)
        self._delivered(batch, delivery)
        return True

    def _delivered(self, batch: bytes, delivery: Deliverable) -> None:
        """Note that a batch is processed."""
        before = self.progress
        self.progress = replace(
            before,
            offset=before.offset + len(batch),
            points=before.points + delivery.points,
            rejected=before.rejected + delivery.rejected,
            first_rejected=before.first_rejected or delivery.first_rejected,
            lacking=delivery.lacking(before.lacking),
            error="",
            error_since=None,
        )
        self._write()

    def _failed(self, error: str) -> None:
        """Note why nothing can be pushed."""
        before = self.progress
        if error != before.error:
            LOGGER.warning("%s", error)
        self.progress = replace(before, error=error, error_since=before.error_since or time.time())
        self._write()

    def _write(self) -> None:
        self.progress = replace(self.progress, behind=self._tail.behind, time=time.time())
        self._save(self.progress)


def read_progress(folder: Path, file: str = FILE) -> PushProgress:
    """The progress in ``file``; that of a new journal when there is none, or it cannot be read."""
    try:
        return from_json(PushProgress, read_json(folder / file))
    except ValueError:
        return PushProgress()


def write_progress(folder: Path, progress: PushProgress, file: str = FILE) -> None:
    """Store it, if at all possible on a full disk too."""
    with contextlib.suppress(OSError):
        write_json_anyway(folder / file, to_json(progress))


def begin() -> tuple[Path, dict[str, Any]]:
    """What a pusher's process begins with: the run's folder, and what its controller has told it."""
    die_with_parent()
    lower_priority()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    return Path(sys.argv[1]), json.loads(sys.stdin.buffer.readline())


def main() -> int:
    """The process."""
    folder, given = begin()
    target = Influxdb(**given["target"])
    progress = replace(read_progress(folder), server=describe(target), complete=False)
    pusher = Pusher(
        JournalTail(folder / "journal.lp", progress.offset),
        partial(Delivery, connect(target, given["secret"])),
        EndOfJournal(sys.stdin.fileno(), given["flush"]),
        progress,
        describe_failure=lambda answer: failure_message(target, answer),
        save=partial(write_progress, folder),
        rng=random.Random(),
    )
    return 0 if pusher.run() else 1


if __name__ == "__main__":
    sys.exit(main())
