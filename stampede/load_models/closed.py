"""The closed load model: a fixed number of holders, each going through the script on its own pace.

After the ramp-up the number of holders is constant; a holder that waits for a slow service asks no more of
it, as the public does (Schroeder et al., "Open Versus Closed: A Cautionary Tale", NSDI 2006).
"""

from __future__ import annotations

import asyncio

from stampede.load_models.interface import Clock, EndOfRun, Live, Pacer


async def ramp_up(holders: int, seconds: float, clock: Clock, pacer: Pacer, start: float, live: Live) -> None:
    """Start ``live(number, due)`` for holders 0 to ``holders`` - 1, evenly over ``seconds`` from ``start``
    (a moment of ``clock``), and return when all have ended. Cancelling cancels them."""
    async with asyncio.TaskGroup() as group:
        try:
            for number in range(holders):
                due = start + seconds * number / holders
                if due > clock.now():
                    await pacer.until(due)
                group.create_task(live(number, due))
        except EndOfRun:
            pass  # over before all have begun
