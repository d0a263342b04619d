"""What a load model works with."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Protocol

type Live = Callable[[int, float], Coroutine[None, None, None]]


class EndOfRun(BaseException):
    """Ends a holder's script when the run is over. Not an Exception, so that scripts do not catch it."""


class Clock(Protocol):
    """The run's clock."""

    def now(self) -> float:
        """Seconds on the clock."""


class Pacer(Protocol):
    """All waits of a run."""

    async def until(self, due: float) -> None:
        """Wait until the clock shows ``due``. Raises EndOfRun when the run ends before that."""
