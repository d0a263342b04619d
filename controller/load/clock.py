"""The run's clock: monotonic time, or virtual time in a dry run."""

from __future__ import annotations

import asyncio
import time

from controller.load.virtual_time import VirtualTimeLoop


class Clock:
    """Seconds on the event loop's clock, and their place in real time."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        virtual = isinstance(loop, VirtualTimeLoop)
        # uvloop's own time() has whole milliseconds of the same monotonic clock
        self._now = loop.time if virtual else time.monotonic
        self.timer_error = 0.0 if virtual else 0.0005
        """Seconds by which a timer of the loop may end early: uvloop's end at the nearest whole millisecond."""
        self._epoch = time.time() - self._now()

    def now(self) -> float:
        """Seconds on the clock."""
        return self._now()

    def now_ns(self) -> int:
        """This moment as nanoseconds since 1970."""
        return self.epoch_ns(self.now())

    def epoch_ns(self, moment: float) -> int:
        """A moment of the clock as nanoseconds since 1970."""
        return int((self._epoch + moment) * 1e9)

    def at_epoch(self, epoch: float) -> float:
        """The clock's time at ``epoch`` (seconds since 1970)."""
        return epoch - self._epoch
