"""Holders as phones: whole runs with real agents that open no port, through a mediator that is ACA-Py as it comes."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from conftest import Playbook
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
