"""``stampede watch --web``: serves the page of a run until Ctrl-C, or for an hour after the run's end."""

from __future__ import annotations

import asyncio
import time

from stampede import wording
from stampede.fleet.host_view import clock
from stampede.fleet.run_watch import ask_all, request_stop
from stampede.fleet.watch import POLL_EVERY, Watch
from stampede.live.page import LivePage
from stampede.live.server import PageServer
from stampede.live.stages import next_stage, stage_of
from stampede.schema.orders import NEXT_STAGE, as_text

OUTLASTS = 3600.0
"""Seconds for which the page stays after the run's end."""
REASON = "stopped from the page"


def serve(watched: Watch, port: int = 0) -> None:
    """Serve the page of a run, and say on the terminal where it is and what happens. Raises BadInput."""
    try:
        asyncio.run(_serve(watched, port))
    except KeyboardInterrupt:
        if not watched.over:
            raise  # the run continues, which is told


async def _serve(watched: Watch, port: int) -> None:
    page = LivePage(watched.run_id, watched.taking_part)

    async def stop() -> str:
        """Ask all hosts to end the run."""
        failed = await asyncio.to_thread(request_stop, watched.controllers, REASON)
        said = "All load hosts were asked to end the run."
        if failed:
            reasons = "; ".join(f"{name}: {problem}" for name, problem in failed.items())
            asked = f"{len(watched.controllers) - len(failed)} of {len(watched.controllers)} load hosts"
            said = f"{asked} were asked to end the run. Not asked: {reasons}"
        now = watched.now()
        page.stop_asked = f"{clock(now)}: {said}"
        page.events.note(now, said, "stop")
        _tell(said)
        return said

    async def go_on() -> str:
        """Send all hosts on to the next stage."""
        order = next_stage(stage_of(watched.taking_part), len(watched.controllers), watched.now())
        if order is None or not page.may_go_on:
            return "There is no next stage that could begin now."
        page.next_at, text = order.at, as_text(order)
        failed = await asyncio.to_thread(
            ask_all, watched.controllers, lambda controller: controller.write(NEXT_STAGE, text)
        )
        said = f"Stage {order.stage} begins at {clock(order.at)}."
        if failed:
            reasons = "; ".join(f"{name}: {problem}" for name, problem in failed.items())
            said += f" Not told, so they go on by their own time, and the load is not as the stages say: {reasons}"
        page.events.note(order.at, said, "next stage")
        _tell(said)
        return said

    await asyncio.to_thread(watched.wait_for_first_answers)
    page.note([], watched.now())
    async with PageServer(page, {"stop": stop, "next-stage": go_on}, port) as server:
        print(f"Run {watched.run_id}: {server.url}", flush=True)
        print("Whoever has this address can control the run. Ctrl-C ends the page, the run continues.", flush=True)
        rounds = watched.rounds(POLL_EVERY)
        while (faults := await asyncio.to_thread(next, rounds, None)) is not None:
            for text in page.note(faults, watched.now()):
                _tell(text)
        _tell(f"Run {watched.run_id}: {page.headline} The page stays for an hour, or until Ctrl-C.")
        await asyncio.sleep(OUTLASTS)


def _tell(text: str) -> None:
    print(f"{clock(time.time())} {wording.printable(text)}", flush=True)
