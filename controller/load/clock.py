"""The run's clock: monotonic time, or virtual time in a dry run."""

from __future__ import annotations

import asyncio
import time

from controller.load.virtual_time import VirtualTimeLoop


class Clock:
    """Seconds on the event loop's clock, and their place in real time."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        # uvloop's own time() has whole milliseconds of the same monotonic clock
        self._now = loop.time if isinstance(loop, VirtualTimeLoop) else time.monotonic
        self._epoch = time.time() - self._now()

    def now(self) -> float:
        """Seconds on the clock."""
        return self._now()

    def epoch_ns(self, moment: float) -> int:
        """A moment of the clock as nanoseconds since 1970."""
        return int((self._epoch + moment) * 1e9)

    def at_epoch(self, epoch: float) -> float:
        """The clock's time at ``epoch`` (seconds since 1970)."""
        return epoch - self._epoch
