"""Waiting until something is due, or the run ends."""

from __future__ import annotations

import asyncio
import random

import uvloop

from controller.load.clock import Clock
from controller.load.pacing import WOKEN_AT_ONCE, Pacer
from controller.load.virtual_time import VirtualTimeLoop
from stampede.load_models.interface import EndOfRun

WAITING = 10 * WOKEN_AT_ONCE


def test_the_end_wakes_all_who_wait_but_lets_others_go_on_meanwhile() -> None:
    async def main() -> tuple[list[str], int]:
        pacer = Pacer(Clock())
        ends: list[str] = []

        async def wait() -> None:
            try:
                await pacer.until(3600)
            except EndOfRun:
                ends.append("end of run")

        waiting = [asyncio.create_task(wait()) for _ in range(WAITING)]
        await asyncio.sleep(1)
        pacer.end()
        turns = 0
        while not all(task.done() for task in waiting):
            await asyncio.sleep(0)
            turns += 1
        return ends, turns

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        ends, turns = runner.run(main())
    assert ends == ["end of run"] * WAITING
    assert turns >= WAITING // WOKEN_AT_ONCE


def test_no_wait_ends_early() -> None:
    """Timers of uvloop end at the nearest whole millisecond, so that a tenth of them ended before they were due."""

    async def main() -> list[float]:
        clock, chosen = Clock(), random.Random(1)
        pacer = Pacer(clock)
        await asyncio.gather(*(pacer.until(clock.now() + chosen.uniform(0.001, 0.2)) for _ in range(2000)))
        return pacer.take_lags()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        lags = runner.run(main())
    assert len(lags) == 2000
    assert lags[0] >= 0
