"""A run on virtual time: pacing, load model, failures and the end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.agents.wallet import Connection
from controller.holder.holder import Holder
from controller.run.run import Run
from controller.run.simulated import SimulatedWallet, SimulatedWallets
from controller.services.invitation import Json
from stampede.schema.errors import AgentDied, AgentLost, ServiceRefused

Play = Callable[..., Run]
PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^, ]+)')


def steps(folder: Path) -> list[dict[str, str]]:
    """The journal's steps as their tags and fields."""
    lines = [line for line in (folder / "journal.lp").read_text().splitlines() if line.startswith("step,")]
    return [{key: value.strip('"') for key, value in PAIR.findall(line)} for line in lines]


async def mission(holder: Holder) -> None:
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    async for _ in holder.until_end_of_run():
        async for _ in holder.repeat(1, 10):
            await holder.wait(10, 60)
            await holder.present_proof("verifier")
        await holder.wait(10, 60)
        await holder.request_revocation("issuer")
        await holder.receive_revocation_notification(issuer)
        await holder.receive_credential(issuer)


def test_the_missions_script(play: Play, tmp_path: Path) -> None:
    run = play(mission, holders=5, iterations=3)
    counted = run.figures.steps
    assert run.finished == 5
    assert run.figures.outcomes == {"ok": sum(counted.values())}
    assert counted["connect_to_mediator"] == counted["connect"] == 5
    assert counted["receive_credential"] == 5 * 4
    assert counted["request_revocation"] == counted["delete_credential"] == 5 * 3
    assert 15 <= counted["present_proof"] <= 150
    assert counted["request_invitation"] == counted["connect"] + counted["present_proof"]
    assert len(steps(tmp_path)) == sum(counted.values())


def test_one_seed_makes_a_run_repeatable(play: Play, tmp_path: Path) -> None:
    first = play(mission).figures.steps
    (tmp_path / "journal.lp").unlink()
    assert play(mission).figures.steps == first
    assert play(mission, seed=43).figures.steps != first


def test_no_mediator(play: Play) -> None:
    assert "connect_to_mediator" not in play(mission, mediator_did="").figures.steps


def test_ramp_up_is_even(play: Play) -> None:
    starts: list[float] = []

    async def script(holder: Holder) -> None:
        starts.append(asyncio.get_running_loop().time())

    play(script, holders=5, ramp_up="10s")
    assert starts == pytest.approx([0, 2, 4, 6, 8])


def test_a_duration_ends_waits_and_lets_steps_drain(play: Play, tmp_path: Path) -> None:
    async def script(holder: Holder) -> None:
        connection = await holder.connect("issuer")
        async for _ in holder.until_end_of_run():
            await holder.wait(10, 20)
            await holder.ping(connection)

    loop_times: list[float] = []

    async def timed(holder: Holder) -> None:
        try:
            await script(holder)
        finally:
            loop_times.append(asyncio.get_running_loop().time())

    run = play(timed, duration="5m", ramp_up=0, iterations=1)
    assert run.finished == 4
    assert all(300 <= time < 305 for time in loop_times)
    assert 4 * 13 <= run.figures.steps["ping"] <= 4 * 30


def test_what_does_not_end_while_draining_is_interrupted(play: Play, tmp_path: Path) -> None:
    class Stuck(SimulatedWallet):
        async def ping(self, connection: Connection) -> None:
            await asyncio.sleep(1000)

    class Wallets(SimulatedWallets):
        def get(self, number: int) -> SimulatedWallet:
            return Stuck(str(number))

    async def script(holder: Holder) -> None:
        await holder.ping(await holder.connect("issuer"))

    run = play(script, Wallets(1), duration="20s", drain="10s", step_timeout="5m", ramp_up=0)
    assert run.figures.outcomes["interrupted"] == 4
    assert {step["outcome"] for step in steps(tmp_path) if step["step"] == "ping"} == {"interrupted"}


def test_iterations_end_a_run_without_duration(play: Play) -> None:
    rounds: list[int] = []

    async def script(holder: Holder) -> None:
        async for number in holder.until_end_of_run():
            rounds.append(number)

    play(script, holders=2, iterations=3)
    assert sorted(rounds) == [1, 1, 2, 2, 3, 3]


class Refusing:
    """Services that refuse every second invitation request."""

    def __init__(self) -> None:
        self.asked = 0

    async def request_invitation(self, service: str, values: Any) -> Json:
        self.asked += 1
        if self.asked % 2:
            raise ServiceRefused("issuer answered 503 busy")
        return {"@type": "https://didcomm.org/out-of-band/1.1/invitation"}


async def connect_and_ping(holder: Holder) -> None:
    async for _ in holder.until_end_of_run():
        await holder.ping(await holder.connect("issuer"))


def test_after_a_failure_continue_goes_on(play: Play, tmp_path: Path) -> None:
    run = play(connect_and_ping, services=Refusing(), holders=1, iterations=2, on_failure="continue")
    outcomes = [(step["step"], step["outcome"], step.get("error")) for step in steps(tmp_path)]
    assert outcomes == [
        ("request_invitation", "failed", "service_refused"),
        ("ping", "failed", "no_connection"),
        ("request_invitation", "ok", None),
        ("connect", "ok", None),
        ("ping", "ok", None),
    ]
    assert run.finished == 1


def test_after_a_failure_restart_begins_anew_with_a_fresh_wallet(play: Play, tmp_path: Path) -> None:
    replaced: list[int] = []

    class Wallets(SimulatedWallets):
        async def replace(self, number: int) -> SimulatedWallet:
            replaced.append(number)
            return self.get(number)

    run = play(connect_and_ping, Wallets(1), Refusing(), holders=1, iterations=3, on_failure="restart")
    attempts = [(step["step"], step["outcome"], step["attempt"]) for step in steps(tmp_path)]
    assert attempts[:3] == [
        ("request_invitation", "failed", "1i"),
        ("request_invitation", "ok", "2i"),
        ("connect", "ok", "2i"),
    ]
    assert replaced
    assert run.active == 0


def test_after_a_failure_stop_stops_the_holder(play: Play) -> None:
    run = play(connect_and_ping, services=Refusing(), holders=2, on_failure="stop")
    assert run.stopped == 2
    assert run.figures.outcomes == {"failed": 2, "ok": 3}


def test_a_script_that_always_fails_ends(play: Play) -> None:
    class Dead(SimulatedWallet):
        async def accept_invitation(self, invitation: Json, name: str) -> Connection:
            raise AgentDied("agent-0 ended with signal 9")

    class Wallets(SimulatedWallets):
        def get(self, number: int) -> SimulatedWallet:
            return Dead(str(number))

    run = play(mission, Wallets(1), iterations=3)
    assert run.stopped == 4
    assert run.figures.errors == {"agent_died": 12}


def test_an_agent_that_does_not_come_back_stops_its_holders(play: Play) -> None:
    class Lost(SimulatedWallet):
        async def accept_invitation(self, invitation: Json, name: str) -> Connection:
            raise AgentDied("agent-0 ended with signal 9")

        async def ready(self) -> None:
            await asyncio.sleep(60)
            raise AgentLost("agent-0 was restarted 10 times")

    class Wallets(SimulatedWallets):
        def get(self, number: int) -> SimulatedWallet:
            return Lost(str(number)) if number else SimulatedWallet("0")

    for on_failure in ("restart", "continue"):
        run = play(mission, Wallets(1), holders=2, iterations=2, on_failure=on_failure)
        assert (run.stopped, run.finished) == (1, 1)


def test_the_end_of_the_run_does_not_wait_for_an_agent(play: Play) -> None:
    class Away(SimulatedWallet):
        async def accept_invitation(self, invitation: Json, name: str) -> Connection:
            raise AgentDied("agent-0 ended with signal 9")

        async def ready(self) -> None:
            await asyncio.sleep(1e6)

    class Wallets(SimulatedWallets):
        def get(self, number: int) -> SimulatedWallet:
            return Away(str(number))

    for on_failure in ("restart", "continue"):
        run = play(mission, Wallets(1), duration="30s", ramp_up=0, drain="1h", on_failure=on_failure)
        assert run.finished == 4
        assert run.clock.now() < 60


def test_a_script_that_raises_is_recorded(play: Play, tmp_path: Path) -> None:
    async def script(holder: Holder) -> None:
        raise KeyError("oops")

    run = play(script, holders=1, iterations=1)
    assert run.stopped == 1
    (record,) = steps(tmp_path)
    assert (record["step"], record["error"], record["detail"]) == ("script", "script_error", "KeyError: 'oops'")


def test_a_timeout_names_the_step_and_its_limit(play: Play, tmp_path: Path) -> None:
    class Silent(SimulatedWallet):
        async def receive_credential(self, connection: Connection) -> Any:
            await asyncio.sleep(1000)

    class Wallets(SimulatedWallets):
        def get(self, number: int) -> SimulatedWallet:
            return Silent(str(number))

    play(mission, Wallets(1), holders=1, iterations=1, step_timeout="20s")
    (failed,) = [step for step in steps(tmp_path) if step["outcome"] == "failed"]
    assert (failed["step"], failed["error"]) == ("receive_credential", "timeout")
    assert float(failed["service_time"]) == pytest.approx(20)
    assert "for 20 s" in failed["detail"]


def test_response_time_counts_from_when_a_step_was_due(play: Play, tmp_path: Path) -> None:
    """A stalled generator cannot hide its waiting (coordinated omission)."""

    async def script(holder: Holder) -> None:
        connection = await holder.connect("issuer")
        await holder.wait(5)
        # the loop was busy for 3 s just when the wait was over
        asyncio.get_running_loop()._skipping.skipped += 3  # type: ignore[attr-defined]
        await holder.ping(connection)

    play(script, holders=1)
    ping = steps(tmp_path)[-1]
    assert float(ping["response_time"]) - float(ping["service_time"]) == pytest.approx(3)


def stall(seconds: float) -> None:
    """The event loop is busy for so long."""
    asyncio.get_running_loop()._skipping.skipped += seconds  # type: ignore[attr-defined]


def lags(folder: Path, name: str) -> list[float]:
    """How late the steps of a name began, by the journal."""
    return [
        float(each["response_time"]) - float(each["service_time"]) for each in steps(folder) if each["step"] == name
    ]


@pytest.mark.parametrize("wait", [None, 0, 0.02])
@pytest.mark.parametrize(
    "model", [{"load_model": "rounds", "ramp_up": "1s"}, {"load_model": "open", "ramp_up": 0, "iterations": 1}]
)
def test_a_wait_does_not_hide_how_late_a_round_or_an_arrival_was(
    play: Play, tmp_path: Path, model: dict[str, Any], wait: float | None
) -> None:
    """A generator that stalls for a second begins ten late, whatever the script does first."""

    async def script(holder: Holder) -> None:
        async for _ in holder.until_end_of_run():
            if wait is not None:
                await holder.wait(wait)
            async with holder.step("ask"):
                await asyncio.sleep(0.01)

    def prepare(run: Run) -> None:
        asyncio.get_running_loop().call_later(2.55, stall, 1.0)

    run = play(script, prepare=prepare, **model, rate="10/s", duration="5s", holders=40, drain="1s")
    assert run.dropped == run.rounds_dropped == 0
    late = sorted(lag for lag in lags(tmp_path, "ask") if lag > 0.001)
    assert late == pytest.approx([0.05 + number / 10 - (wait or 0) for number in range(10)])


def test_a_wait_after_a_wait_does_not_hide_that_it_ended_late(play: Play, tmp_path: Path) -> None:
    async def script(holder: Holder) -> None:
        asyncio.get_running_loop().call_later(0.5, stall, 3.0)
        await holder.wait(1)
        await holder.wait(1)
        async with holder.step("ask"):
            pass

    play(script, holders=1)
    assert lags(tmp_path, "ask") == pytest.approx([1.5])


def test_what_a_script_does_between_two_waits_shortens_neither(play: Play) -> None:
    """Who was late once waits for less once, and makes up for nothing else."""
    moments: list[float] = []

    async def script(holder: Holder) -> None:
        async for _ in holder.until_end_of_run():
            await holder.wait(2)
            moments.append(asyncio.get_running_loop().time())
            await asyncio.sleep(5)  # a request of its own, which is no step
            if len(moments) == 2:
                asyncio.get_running_loop().call_later(1.5, stall, 1.0)

    play(script, holders=1, iterations=4)
    assert moments == pytest.approx([2, 9, 16.5, 23])


def test_a_think_time_after_a_late_step_is_waited_for_in_full(play: Play, tmp_path: Path) -> None:
    moments: list[float] = []

    async def script(holder: Holder) -> None:
        async for _ in holder.until_end_of_run():
            await holder.wait(2)
            async with holder.step("ask"):
                moments.append(asyncio.get_running_loop().time())
                await asyncio.sleep(1)

    def prepare(run: Run) -> None:
        asyncio.get_running_loop().call_later(1, stall, 10.0)

    play(script, prepare=prepare, holders=1, iterations=3)
    assert moments == pytest.approx([11, 14, 17])
    assert lags(tmp_path, "ask") == pytest.approx([9, 0, 0])


def test_tasks_of_a_holder_wait_from_the_same_late_moment(play: Play, tmp_path: Path) -> None:
    async def script(holder: Holder) -> None:
        async def ask(seconds: int) -> None:
            await holder.wait(seconds)
            async with holder.step(f"ask_{seconds}"):
                await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as group:
            for seconds in (1, 2, 5):
                group.create_task(ask(seconds))

    def prepare(run: Run) -> None:
        asyncio.get_running_loop().call_later(9, stall, 4.0)  # the arrival of the second is due at 10

    play(script, prepare=prepare, load_model="open", rate="6/min", iterations=1, duration="20s", ramp_up=0, holders=9)
    assert lags(tmp_path, "ask_1") == pytest.approx([0, 2])
    assert lags(tmp_path, "ask_2") == pytest.approx([0, 1])
    assert lags(tmp_path, "ask_5") == pytest.approx([0, 0])


def test_the_pause_after_a_failure_is_no_response_time(play: Play, tmp_path: Path) -> None:
    async def script(holder: Holder) -> None:
        if holder.attempt == 1:
            await holder.wait(5)
            raise ValueError("a step was due when it failed")
        async with holder.step("look"):
            await asyncio.sleep(0.1)

    play(script, holders=1)
    failed, look = steps(tmp_path)
    assert (failed["step"], look["step"]) == ("script", "look")
    assert look["response_time"] == look["service_time"]


def test_stopping_a_run(play: Play) -> None:
    async def script(holder: Holder) -> None:
        holder.context.pacer.end()
        await holder.connect("issuer")

    run = play(script, holders=3, ramp_up=0, duration="1h")
    assert run.figures.steps == {}
    assert run.active == 0
