"""Waiting until something is due, and measuring how late the wake-up was."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from controller.load.clock import Clock
from stampede.load_models.interface import EndOfRun

WOKEN_AT_ONCE = 50
"""Holders that the end of the run wakes per iteration of the event loop."""


class Pacer:
    """All waits of a run; ``end`` wakes them all."""

    def __init__(self, clock: Clock) -> None:
        self.end_reached = asyncio.Event()
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._sleepers: set[asyncio.Future[None]] = set()
        self._of_holders: dict[int, set[asyncio.Future[None]]] = {}
        self._retired: set[int] = set()
        self._lags: list[float] = []

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.end_reached.is_set()

    async def until(self, due: float, holder: int | None = None) -> None:
        """Wait until the clock shows ``due``, or a little more. Raises EndOfRun when the run ends before that, or
        ``holder``, whose wait it is, is retired."""
        if self.ended or holder in self._retired:
            raise EndOfRun
        sleeper = self._loop.create_future()
        # never early: a step that is over before it is due has a response time below 0
        timer = self._loop.call_at(due + self._clock.timer_error, _wake, sleeper)
        self._sleepers.add(sleeper)
        if holder is not None:
            self._of_holders.setdefault(holder, set()).add(sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self._sleepers.discard(sleeper)
            if holder is not None:
                self._of_holders[holder].discard(sleeper)
                if not self._of_holders[holder]:
                    del self._of_holders[holder]
        self._lags.append(self._clock.now() - due)

    def retire(self, holder: int) -> None:
        """Have a holder leave: its waits raise EndOfRun, now and from now on."""
        self._retired.add(holder)
        for sleeper in self._of_holders.get(holder, ()):
            if not sleeper.done():
                sleeper.set_exception(EndOfRun())

    def is_retired(self, holder: int) -> bool:
        """Whether a holder is to leave."""
        return holder in self._retired

    async def unless_over[Result](self, work: Coroutine[None, None, Result]) -> Result:
        """Await ``work``. Raises EndOfRun when the run ends before that."""
        tasks = asyncio.ensure_future(work), asyncio.ensure_future(self.end_reached.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                raise EndOfRun
            return tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()

    def take_lags(self) -> list[float]:
        """The lateness of all wake-ups since the last call, in seconds, sorted."""
        lags, self._lags = sorted(self._lags), []
        return lags

    def end(self) -> None:
        """End the run: all waits raise EndOfRun, now and from now on."""
        self.end_reached.set()
        self._wake_some()

    def _wake_some(self) -> None:
        """Wake in batches, so that steps in flight can proceed: waking 10,000 at once delays them by 0.5 s."""
        for _ in range(min(len(self._sleepers), WOKEN_AT_ONCE)):
            sleeper = self._sleepers.pop()
            if not sleeper.done():
                sleeper.set_exception(EndOfRun())
        if self._sleepers:
            self._loop.call_soon(self._wake_some)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
