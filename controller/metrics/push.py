"""Pushes a run's journal to InfluxDB while it is written: ``python -m controller.metrics.push RUN_DIR``.

A process of its own, so that no step waits for it, and one that the journal is the queue of: it holds a batch and
the place in the journal where it stands, however long the server is away. The first line of its input is a JSON
object with ``influxdb`` (the fields of ``Influxdb``), ``secret`` and ``flush``, the seconds that it has
after the journal's end; that its input ends says that the journal has ended. What it has done stands in
``push.json``, from which one that is started anew goes on.
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
from typing import Any

from controller.metrics.journal_tail import Tail
from stampede.influxdb.client import Response, Server, connect, describe, failure_message
from stampede.influxdb.delivery import MAX_LINES, Delivery, retry_delay
from stampede.machine.files import read_json, write_json_anyway
from stampede.machine.processes import die_with_parent, lower_priority
from stampede.schema.json_form import from_json, to_json
from stampede.schema.push_progress import FILE, PushProgress
from stampede.schema.settings.influxdb_settings import Influxdb

LOGGER = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two batches when there is no whole batch to push."""


class Ending:
    """The word that the journal has ended: the end of a pipe. One can wait and hear it meanwhile."""

    def __init__(self, pipe: int, flush: float) -> None:
        self._pipe = pipe
        self._flush = flush
        self._deadline: float | None = None

    @property
    def heard(self) -> bool:
        """Whether the journal has ended."""
        return self._deadline is not None

    @property
    def too_late(self) -> bool:
        """Whether the time after the journal's end is over."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def wait(self, seconds: float) -> None:
        """Wait so long, or until the word comes, or until it is too late."""
        if self._deadline is not None:
            time.sleep(max(0.0, min(seconds, self._deadline - time.monotonic())))
            return
        readable, _, _ = select.select([self._pipe], [], [], seconds)
        if readable and not os.read(self._pipe, 4096):
            self._deadline = time.monotonic() + self._flush


class Pusher:
    """Pushes a journal to a server, to its end."""

    def __init__(
        self,
        tail: Tail,
        server: Server,
        ending: Any,
        progress: PushProgress,
        *,
        complain: Callable[[Response], str],
        note: Callable[[PushProgress], None],
        chance: random.Random,
    ) -> None:
        """``ending`` is an ``Ending``; ``complain`` puts an answer into words, ``note`` keeps the progress."""
        self.progress = progress
        self._tail = tail
        self._server = server
        self._ending = ending
        self._complain = complain
        self._note = note
        self._chance = chance
        self._lines = MAX_LINES

    def run(self) -> bool:
        """Push until the journal has ended and is dealt with, or until it is too late. Whether it is complete."""
        while not self._ending.too_late:
            self._ending.wait(0)
            ended = self._ending.heard  # asked first: what was written before the end is then in the file
            batch = self._tail.batch(self._lines)
            if batch and not self._deliver(batch):
                break
            if not batch and ended:
                self.progress = replace(self.progress, complete=not self.progress.rejected)
                break
            if batch.count(b"\n") < self._lines and not ended:
                self._ending.wait(PAUSE)
        self._write()
        return self.progress.complete

    def _deliver(self, batch: bytes) -> bool:
        """Whether the batch is dealt with before it is too late."""
        delivery = Delivery(self._server, batch)
        failures = 0
        while answer := delivery.resume():
            self._failed(self._complain(answer))
            was_heard = self._ending.heard
            self._ending.wait(retry_delay(answer, failures, self._chance))
            if self._ending.too_late:
                return False
            failures = 0 if self._ending.heard != was_heard else failures + 1
        if delivery.too_large:
            self._lines = max(1, self._lines // 2)
        self._tail.passed(batch)
        self._passed(batch, delivery)
        return True

    def _passed(self, batch: bytes, delivery: Delivery) -> None:
        """Note that a batch is dealt with."""
        before = self.progress
        self.progress = replace(
            before,
            offset=before.offset + len(batch),
            points=before.points + delivery.points,
            rejected=before.rejected + delivery.rejected,
            first_rejected=before.first_rejected or delivery.first_rejected,
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
        self._note(self.progress)


def read_progress(folder: Path) -> PushProgress:
    """What ``push.json`` says; the beginning when there is none, or it cannot be read."""
    try:
        return from_json(PushProgress, read_json(folder / FILE))
    except ValueError:
        return PushProgress()


def write_progress(folder: Path, progress: PushProgress) -> None:
    """Keep it, on a full disk if at all possible."""
    with contextlib.suppress(OSError):
        write_json_anyway(folder / FILE, to_json(progress))


def main() -> int:
    """The process."""
    die_with_parent()
    lower_priority()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    folder = Path(sys.argv[1])
    given = json.loads(sys.stdin.buffer.readline())
    target = Influxdb(**given["influxdb"])
    progress = replace(read_progress(folder), server=describe(target), complete=False)
    pusher = Pusher(
        Tail(folder / "journal.lp", progress.offset),
        connect(target, given["secret"]),
        Ending(sys.stdin.fileno(), given["flush"]),
        progress,
        complain=lambda answer: failure_message(target, answer),
        note=partial(write_progress, folder),
        chance=random.Random(),
    )
    return 0 if pusher.run() else 1


if __name__ == "__main__":
    sys.exit(main())
