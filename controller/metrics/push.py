"""Pushes a run's journal to InfluxDB while it is written: ``python -m controller.metrics.push RUN_DIR``.

A process of its own, so that no step waits for it, and one that the journal is the queue of: it holds a batch and
the place in the journal where it stands, however long the server is away. The first line of its input is a JSON
object with ``influxdb`` (``stampede.schema.settings.Influxdb``), ``secret`` and ``flush``, the seconds that it has
after the journal's end; that its input ends says that the journal has ended. What it has done stands in
``push.json``, from which one that is started anew goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import random
import select
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from controller.metrics.journal_tail import Tail
from stampede.influxdb.client import Answer, Server, complaint, connect, describe
from stampede.influxdb.delivery import MOST_LINES, Delivery, pause
from stampede.machine.files import read_json, write_json_anyway
from stampede.machine.processes import die_with_parent, lower_priority
from stampede.schema.settings import Influxdb

LOGGER = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two batches when there is no whole batch to push."""
PUSH_FILE = "push.json"


@dataclass
class Progress:
    """How far the push has come; kept in ``push.json``. Times in seconds since 1970."""

    server: str
    points: int = 0
    """Lines that the server took."""
    offset: int = 0
    """Bytes of the journal that are dealt with: the next line to push begins there."""
    behind: int = 0
    """Bytes of the journal after that."""
    rejected: int = 0
    """Lines that the server will not take."""
    first_rejected: str = ""
    error: str = ""
    """Why nothing can be pushed now; empty when it can."""
    error_since: float | None = None
    complete: bool = False
    """Whether the journal has ended and all of it is in InfluxDB."""
    time: float = field(default_factory=time.time)

    @classmethod
    def of(cls, file: Path, server: str) -> Self:
        """What the file says; a beginning when there is none."""
        known = read_json(file)
        if not isinstance(known, dict):
            return cls(server)
        return cls(**{**known, "server": server, "complete": False})

    def passed(self, batch: bytes, delivery: Delivery) -> None:
        """Note that a batch is dealt with."""
        self.offset += len(batch)
        self.points += delivery.points
        self.rejected += delivery.rejected
        self.first_rejected = self.first_rejected or delivery.first_rejected
        self.error, self.error_since = "", None

    def failed(self, error: str) -> None:
        """Note why nothing can be pushed."""
        if error != self.error:
            LOGGER.warning("%s", error)
        self.error = error
        self.error_since = self.error_since or time.time()

    def write(self, file: Path) -> None:
        """Keep it; on a full disk as far as that goes."""
        self.time = time.time()
        with contextlib.suppress(OSError):
            write_json_anyway(file, dataclasses.asdict(self))


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
        progress: Progress,
        *,
        complain: Callable[[Answer], str],
        note: Callable[[Progress], None],
        chance: random.Random,
    ) -> None:
        """``ending`` is an ``Ending``; ``complain`` puts an answer into words, ``note`` keeps the progress."""
        self._tail = tail
        self._server = server
        self._ending = ending
        self._progress = progress
        self._complain = complain
        self._note = note
        self._chance = chance
        self._lines = MOST_LINES

    def run(self) -> bool:
        """Push until the journal has ended and is dealt with, or until it is too late. Whether it is complete."""
        while not self._ending.too_late:
            self._ending.wait(0)
            ended = self._ending.heard  # asked first: what was written before the end is then in the file
            batch = self._tail.batch(self._lines)
            if batch and not self._deliver(batch):
                break
            if not batch and ended:
                self._progress.complete = not self._progress.rejected
                break
            if batch.count(b"\n") < self._lines and not ended:
                self._ending.wait(PAUSE)
        self._write()
        return self._progress.complete

    def _deliver(self, batch: bytes) -> bool:
        """Whether the batch is dealt with before it is too late."""
        delivery = Delivery(self._server, batch)
        failures = 0
        while answer := delivery.go_on():
            self._progress.failed(self._complain(answer))
            self._write()
            was_heard = self._ending.heard
            self._ending.wait(pause(answer, failures, self._chance))
            if self._ending.too_late:
                return False
            failures = 0 if self._ending.heard != was_heard else failures + 1
        if delivery.too_large:
            self._lines = max(1, self._lines // 2)
        self._tail.passed(batch)
        self._progress.passed(batch, delivery)
        self._write()
        return True

    def _write(self) -> None:
        self._progress.behind = self._tail.behind
        self._note(self._progress)


def main() -> int:
    """The process."""
    die_with_parent()
    lower_priority()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    folder = Path(sys.argv[1])
    given = json.loads(sys.stdin.buffer.readline())
    target = Influxdb(**given["influxdb"])
    progress = Progress.of(folder / PUSH_FILE, describe(target))
    pusher = Pusher(
        Tail(folder / "journal.lp", progress.offset),
        connect(target, given["secret"]),
        Ending(sys.stdin.fileno(), given["flush"]),
        progress,
        complain=lambda answer: complaint(target, answer),
        note=lambda progress: progress.write(folder / PUSH_FILE),
        chance=random.Random(),
    )
    return 0 if pusher.run() else 1


if __name__ == "__main__":
    sys.exit(main())
