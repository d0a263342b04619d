"""Holders as phones: whole runs with real agents that open no port, through a mediator that is ACA-Py as it comes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from local_playbook import Playbook
from reference_services import ReferenceServices
from stock_mediator import StockMediator, stock_mediator

from controller.agents.acapy_wallet import AcapyWallet
from controller.agents.pool import AgentPool
from controller.host.phone_watch import PhoneWatch
from stampede.schema.errors import BadInvitation, ServiceUnreachable
from stampede.schema.records import EventKind
from stampede.schema.settings.run_settings import Settings

JOURNEY = """
async def script(holder):
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    await holder.present_proof("verifier")
    await holder.ping(issuer)
    await holder.request_revocation("issuer")
    await holder.receive_revocation_notification(issuer)
    await holder.receive_credential(issuer)
"""
STEPS = {
    "connect_to_mediator": 1,
    "request_invitation": 2,
    "connect": 1,
    "receive_credential": 2,
    "present_proof": 1,
    "ping": 1,
    "request_revocation": 1,
    "receive_revocation_notification": 1,
    "delete_credential": 1,
}


def written(folder: Path, script: str) -> str:
    """A file with a script."""
    path = folder / "script.py"
    path.write_text(script)
    return str(path)


@pytest.mark.parametrize(("pickup", "transports"), [("websocket", ("http", "ws")), ("http", ("ws", "http"))])
def test_the_whole_journey_without_an_open_port(
    pickup: str, transports: tuple[str, ...], playbook: Playbook, reference: ReferenceServices, tmp_path: Path
) -> None:
    with stock_mediator(tmp_path / "mediator", "--enable-undelivered-queue", transports=transports) as mediator:
        playbook.start(
            script=written(tmp_path, JOURNEY),
            holders=5,
            ramp_up="10s",  # ACA-Py loses requests for mediation while it answers its very first
            mediator_pickup=pickup,
            agent_host="nobody.reaches.this",
            **mediator.variables(str(reference.settings["ca_file"])),
        )
        playbook.wait_for_steps(20)
        for agent in playbook.state()["agents"]:
            listening = {
                each.laddr.port
                for each in psutil.Process(agent["pid"]).net_connections(kind="tcp")
                if each.status == psutil.CONN_LISTEN
            }
            assert len(listening) == 1, "the admin API's port alone"
        code, output = playbook.end()

    assert code == 0, output
    steps = playbook.summary()["steps"]
    assert {name: step["failed"] for name, step in steps.items() if step["failed"]} == {}
    assert {name: step["ok"] for name, step in steps.items()} == {name: 5 * times for name, times in STEPS.items()}


AWAY = """
async def script(holder):
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    await holder.disconnect()
    await holder.request_revocation("issuer")
    await holder.wait(6)
    await holder.reconnect()
    await holder.receive_revocation_notification(issuer)
    await holder.receive_credential(issuer)
"""


def test_an_app_that_was_in_the_background_gets_what_waited(
    playbook: Playbook, reference: ReferenceServices, tmp_path: Path
) -> None:
    """The notification and the next offer come while the phone is away; wss, with a CA of its own."""
    with stock_mediator(tmp_path / "m", "--enable-undelivered-queue", transports=("http", "wss")) as mediator:
        code, output = playbook.run(
            script=written(tmp_path, AWAY),
            holders=4,
            ramp_up="8s",
            mediator_pickup="websocket",
            **mediator.variables(str(reference.settings["ca_file"])),
        )

    assert code == 0, output
    steps = playbook.summary()["steps"]
    assert {name: step["failed"] for name, step in steps.items() if step["failed"]} == {}
    assert steps["disconnect"]["ok"] == steps["reconnect"]["ok"] == 4
    assert steps["receive_credential"]["ok"] == 8
    phones = playbook.summary()["phones"]
    assert (phones["most_open"], phones["lost"], phones["dropped"]) == (4, 0, 0)
    assert phones["opened"] == phones["reconnected"] == 4
    assert phones["waited"] >= 8, "a notification and an offer each"
    assert "messages had waited at the mediator" in output.replace("\n", " ")


@asynccontextmanager
async def holders(
    count: int, mediator: StockMediator, folder: Path, variables: dict[str, Any], agents: int = 1
) -> AsyncIterator[tuple[AgentPool, list[AcapyWallet], list[str]]]:
    """So many phones that have a mediator; no playbook, no services. Last: what was announced."""
    told: list[str] = []
    own = {"agents": agents, "holders": count, "mediator_pickup": "websocket", **mediator.variables()}
    settings = Settings.from_variables(variables | {f"stampede_{name}": value for name, value in own.items()})
    (folder / "logs").mkdir(parents=True)
    async with AgentPool(settings, folder, lambda kind, text: told.append(f"{kind}: {text}"), {}) as pool:
        await pool.start()
        wallets = [pool.get(number) for number in settings.load.wallets]
        first, *others = wallets
        async with asyncio.timeout(60):  # ACA-Py loses requests for mediation while it answers its very first
            await first.connect_to_mediator(mediator.did)
            await asyncio.gather(*(wallet.connect_to_mediator(mediator.did) for wallet in others))
        yield pool, wallets, told


async def until(condition: Callable[[], Any], limit: float = 60) -> None:
    """Return as soon as it holds."""
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.1)


HANDSHAKE = {"handshake_protocols": ["https://didcomm.org/didexchange/1.1"]}


async def test_a_mediator_and_an_agent_that_are_killed_come_back(tmp_path: Path, variables: dict[str, Any]) -> None:
    """Holders 0 and 2 are in the agent that is killed; what their friends 1 and 3 send waits in the meantime."""
    with stock_mediator(tmp_path / "mediator", "--enable-undelivered-queue") as mediator:
        async with holders(4, mediator, tmp_path / "run", variables, agents=2) as (pool, wallets, told):
            agent = pool.agents[0]
            friends = []
            for one, other in ((wallets[0], wallets[1]), (wallets[2], wallets[3])):
                about = HANDSHAKE | {"mediation_id": one._mediation_id}
                made = await one._post("/out-of-band/create-invitation", about, auto_accept="true")
                accepting = other.accept_invitation(made["invitation"], "friend")
                friends.append((other, await asyncio.wait_for(accepting, 60)))
            assert mediator.sockets() == 4

            mediator.kill()
            await asyncio.to_thread(mediator.start)
            await until(lambda: mediator.sockets() == 4)
            state = await agent.admin.call("GET", "/pickup")
            assert (state["wanted"], state["opened"], state["dropped"]) == (2, 2, 2)

            os.kill(agent.pid, signal.SIGKILL)
            await until(lambda: mediator.sockets() == 2)
            for other, friend in friends:
                await other.send_message(friend, "while you were away")
            await until(lambda: mediator.sockets() == 4)
            async with asyncio.timeout(60):
                while (state := await agent.admin.call("GET", "/pickup"))["waited"] < 2 or state["open"] < 2:
                    await asyncio.sleep(0.1)
            assert (state["reconnected"], state["opened"], state["dropped"]) == (2, 0, 0)
            assert any(each.startswith("agent_restarted") for each in told)
            for other, friend in friends:
                await asyncio.wait_for(other.ping(friend), 60)

            await asyncio.wait_for(wallets[2].disconnect(), 60)
            os.kill(agent.pid, signal.SIGKILL)
            await until(lambda: mediator.sockets() == 2)
            await until(lambda: mediator.sockets() == 3 and agent.is_up)
            async with asyncio.timeout(60):
                while (state := await agent.admin.call("GET", "/pickup"))["open"] < 1:
                    await asyncio.sleep(0.1)
            assert (state["wanted"], state["reconnected"]) == (1, 1), "who was away stays away"
            await asyncio.wait_for(wallets[2].reconnect(), 60)
            assert mediator.sockets() == 4

            await agent.remove_wallet(wallets[0])
            await until(lambda: mediator.sockets() == 3)
            mediator.kill()
            lost = Lost()
            async with asyncio.timeout(60):
                while (await agent.admin.call("GET", "/pickup"))["open"]:
                    await asyncio.sleep(0.1)
            await PhoneWatch(pool.agents, lost.write, lost.announce).finish()
            assert lost.text.startswith("3 of 3 phones had lost their mediator and not got it back at the end: ")


class Lost:
    """A journal that keeps nothing, and what is announced."""

    text = ""

    def write(self, record: object) -> None:
        """See Journal."""

    def announce(self, kind: EventKind, text: str, value: float) -> None:
        assert kind == EventKind.PHONES_LOST
        self.text = text


async def test_what_is_wrong_with_a_mediator_is_told_by_the_step(tmp_path: Path, variables: dict[str, Any]) -> None:
    with (
        stock_mediator(tmp_path / "mediator", transports=("http",)) as mediator,
        pytest.raises(BadInvitation, match=r"the mediator has http://.* it must have a WebSocket"),
    ):
        async with holders(1, mediator, tmp_path / "run", variables):
            pass
    with stock_mediator(tmp_path / "gone", transports=("http", "ws")) as mediator:
        mediator.kill()
        with pytest.raises(ServiceUnreachable, match=r"the mediator cannot be reached: Cannot connect to host"):
            async with holders(1, mediator, tmp_path / "run2", variables):
                pass
