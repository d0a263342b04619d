"""Holders as phones: whole runs with real agents that open no port, through a mediator that is ACA-Py as it comes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from conftest import Playbook, wait_for
from reference_services import ReferenceServices
from stock_mediator import stock_mediator

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
            holders=8,
            mediator_pickup=pickup,
            agent_host="nobody.reaches.this",
            **mediator.variables(str(reference.settings["ca_file"])),
        )
        playbook.wait_for_steps(30)
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
    assert {name: step["ok"] for name, step in steps.items()} == {name: 8 * times for name, times in STEPS.items()}


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
    assert "8 messages had waited" in output.replace("\n", " ") or phones["waited"] > 8


STEADY = """
async def script(holder):
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    async for _ in holder.until_end_of_run():
        await holder.ping(issuer)
        await holder.wait(1)
"""


def test_a_mediator_and_an_agent_that_are_killed_and_come_back(
    playbook: Playbook, reference: ReferenceServices, tmp_path: Path
) -> None:
    with stock_mediator(tmp_path / "mediator", "--enable-undelivered-queue") as mediator:
        playbook.start(
            script=written(tmp_path, STEADY),
            holders=6,
            agents=1,
            duration="60s",
            step_timeout="15s",
            on_failure="continue",
            mediator_pickup="websocket",
            fail_on_errors=False,
            **mediator.variables(str(reference.settings["ca_file"])),
        )
        playbook.wait_for_steps(30)
        assert mediator.sockets() == 6
        mediator.kill()
        mediator.start()
        wait_for(lambda: mediator.sockets() == 6, 40)
        os.kill(playbook.state()["agents"][0]["pid"], signal.SIGKILL)
        wait_for(lambda: mediator.sockets() == 0, 20)
        wait_for(lambda: mediator.sockets() == 6, 60)
        code, output = playbook.end()

    assert code == 0, output
    phones = playbook.summary()["phones"]
    assert (phones["most_open"], phones["opened"], phones["lost"]) == (6, 6, 0)
    assert phones["dropped"] == 6
    assert phones["reconnected"] == 12
    pings = [step for step in playbook.journal() if step["step"] == "ping"]
    last = {step["holder"]: step["outcome"] for step in pings}
    assert len(last) == 6 and set(last.values()) <= {"ok", "interrupted"}


def test_links_that_do_not_come_back_are_told(
    playbook: Playbook, reference: ReferenceServices, tmp_path: Path
) -> None:
    with stock_mediator(tmp_path / "mediator") as mediator:
        playbook.start(
            script=written(tmp_path, STEADY),
            holders=3,
            agents=1,
            duration="15s",
            drain="1s",
            step_timeout="5s",
            mediator_pickup="websocket",
            fail_on_errors=False,
            **mediator.variables(str(reference.settings["ca_file"])),
        )
        playbook.wait_for_steps(12)
        mediator.kill()
        code, output = playbook.end()

    assert code == 0, output
    assert playbook.summary()["phones"]["lost"] == 3
    (event,) = [event for event in playbook.journal("event") if event["kind"] == "phones_lost"]
    assert event["text"].startswith("3 of 3 phones had lost their mediator")
    assert "links were down when the run ended" in output.replace("\n", " ")
