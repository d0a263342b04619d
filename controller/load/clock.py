"""The run's clock: the event loop's time, so that a dry run may run on virtual time."""

from __future__ import annotations

import asyncio
import time


class Clock:
    """Seconds of the event loop, and their place in real time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoch = time.time() - self._loop.time()

    def now(self) -> float:
        """Seconds on the loop's clock."""
        return self._loop.time()

    def epoch_ns(self, moment: float) -> int:
        """A moment of the loop's clock as nanoseconds since 1970."""
        return int((self._epoch + moment) * 1e9)

    def at_epoch(self, epoch: float) -> float:
        """The loop's time at ``epoch`` (seconds since 1970)."""
        return epoch - self._epoch
