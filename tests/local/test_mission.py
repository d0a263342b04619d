"""Whole runs of the playbook with real agents, and what may happen to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from local_playbook import Playbook, wait_for
from reference_services import ReferenceServices

from stampede.machine.ports import free_ports

STEPS = {
    "connect_to_mediator",
    "request_invitation",
    "connect",
    "receive_credential",
    "present_proof",
    "request_revocation",
    "receive_revocation_notification",
    "delete_credential",
}

AUDITED = '''
import json
from pathlib import Path


async def script(holder):
    """The mission's script; at its end the holder notes what was revoked and what is in the wallet."""
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    revoked = []
    async for _ in holder.until_end_of_run():
        async for _ in holder.repeat({{ stampede_presentations_min }}, {{ stampede_presentations_max }}):
            await holder.wait({{ stampede_wait_min }}, {{ stampede_wait_max }})
            await holder.present_proof("verifier")
        await holder.wait({{ stampede_wait_min }}, {{ stampede_wait_max }})
        revoked.append(holder.credentials["issuer"][-1])
        await holder.request_revocation("issuer")
        await holder.receive_revocation_notification(issuer)
        await holder.receive_credential(issuer)
    note = {
        "revoked": [[old.credential_id, old.rev_reg_id, old.cred_rev_id] for old in revoked],
        "wallet": await holder.wallet.credential_ids(),
        "held": holder.credentials["issuer"][-1].credential_id,
    }
    Path("FOLDER", f"{holder.number}.json").write_text(json.dumps(note))
'''


def test_forty_holders_thrice_through_the_mission(
    playbook: Playbook, reference: ReferenceServices, tmp_path: Path
) -> None:
    """The services' own counts, the registry and the wallets agree with the report."""
    notes = tmp_path / "notes"
    notes.mkdir()
    script = tmp_path / "audited.py.j2"
    script.write_text(AUDITED.replace("FOLDER", str(notes)))
    verified = reference.get("/verifier/presentations")["verified"]
    mediated = reference.get("/mediator/status")["connections"]

    code, output = playbook.run(
        script=str(script),
        holders=40,
        agents=2,
        iterations=3,
        wait_min=0.5,
        wait_max=3,
        presentations_min=1,
        presentations_max=3,
        ramp_up="10s",
    )

    assert code == 0, output
    steps = playbook.summary()["steps"]
    assert set(steps) == STEPS
    assert {name: step["failed"] for name, step in steps.items() if step["failed"]} == {}
    assert steps["request_revocation"]["ok"] == 40 * 3
    assert steps["receive_credential"]["ok"] == 40 * 4
    assert reference.get("/verifier/presentations")["verified"] - verified == steps["present_proof"]["ok"]
    routed = {
        connection: count
        for connection, count in reference.get("/mediator/status")["connections"].items()
        if connection not in mediated
    }
    assert len(routed) == 40
    assert all(routed.values())
    for number in range(40):
        note = json.loads((notes / f"{number}.json").read_text())
        assert note["wallet"] == [note["held"]]
        assert len(note["revoked"]) == 3
        for credential_id, registry_id, index in note["revoked"]:
            assert credential_id not in note["wallet"]
            query = f"rev_reg_id={urlquote(registry_id)}&cred_rev_id={index}"
            assert reference.get(f"/issuer/revocation-status?{query}")["revoked"] is True
    assert (playbook.results / "report.html").stat().st_size > 50_000
    assert playbook.left_running() == []


def urlquote(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def test_ones_own_script_without_a_mediator(playbook: Playbook, reference: ReferenceServices, tmp_path: Path) -> None:
    """Connect, receive, present thrice, ping, no revocation: from a file outside the repository."""
    script = tmp_path / "own script.py"
    script.write_text(
        "async def script(holder):\n"
        "    await holder.connect_to_mediator()\n"
        "    issuer = await holder.connect('issuer', 'agency')\n"
        "    await holder.receive_credential('agency')\n"
        "    async for _ in holder.repeat(3):\n"
        "        await holder.wait(0.1, 0.5)\n"
        "        await holder.present_proof('verifier')\n"
        "    await holder.ping(issuer)\n"
        "    async with holder.step('say good bye', 'issuer'):\n"
        "        protocols = await holder.discover_features(issuer, 'https://didcomm.org/basicmessage/*')\n"
        "        assert protocols == ['https://didcomm.org/basicmessage/1.0'], protocols\n"
        "        await holder.send_message(issuer, 'good bye')\n"
        "    assert await holder.discover_features(issuer)\n"
    )
    mediations = reference.get("/mediator/status")["mediations"]

    code, output = playbook.run(script=str(script), holders=3, mediator_did="")

    assert code == 0, output
    counts = {name: (step["ok"], step["failed"]) for name, step in playbook.summary()["steps"].items()}
    assert counts == {
        "request_invitation": (12, 0),
        "connect": (3, 0),
        "receive_credential": (3, 0),
        "present_proof": (9, 0),
        "ping": (3, 0),
        "discover_features": (6, 0),
        "send_message": (3, 0),
        "say good bye": (3, 0),
    }
    assert reference.get("/mediator/status")["mediations"] == mediations


def test_a_killed_agent_comes_back_and_the_run_goes_on(playbook: Playbook) -> None:
    playbook.start(
        holders=6,
        agents=2,
        duration="5m",
        wait_min=0.2,
        wait_max=0.6,
        presentations_min=1,
        presentations_max=2,
        drain="20s",
    )
    playbook.wait_for_steps(40)
    os.kill(playbook.state()["agents"][0]["pid"], signal.SIGKILL)
    wait_for(lambda: agents_at_work_after_restart(playbook) == {0, 1}, 120)
    assert playbook.play("stop")[0] == 0
    code, output = playbook.end()

    assert code != 0, "failed steps fail the playbook"
    failed = [step for step in playbook.journal() if step["outcome"] == "failed"]
    assert {step["error"] for step in failed} == {"agent_died"}, output
    assert all("agent-0" in step["detail"] for step in failed)
    assert all(int(step["holder"].rstrip("i")) % 2 == 0 for step in failed), "holders of the other agent were not hit"
    kinds = [event["kind"] for event in playbook.journal("event")]
    assert kinds.index("agent_died") < kinds.index("agent_restarted")
    assert agents_at_work_after_restart(playbook) == {0, 1}
    assert "agent_died" in output
    assert playbook.left_running() == []


def agents_at_work_after_restart(playbook: Playbook) -> set[int]:
    """The numbers of the agents, of two, whose holders made a step 5 s or more after an agent was started anew."""
    restarted = [float(event["time"]) for event in playbook.journal("event") if event["kind"] == "agent_restarted"]
    return {
        int(step["holder"].rstrip("i")) % 2
        for step in playbook.journal()
        if restarted and step["outcome"] == "ok" and float(step["time"]) > restarted[0] + 5
    }


WAITING = """
async def script(holder):
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    await holder.wait(45)  # until the agent that is killed meanwhile is up again, also on a slow machine
    await holder.present_proof("verifier")
"""


def test_holders_that_waited_while_their_agent_was_killed_go_on(playbook: Playbook, tmp_path: Path) -> None:
    """But for the one whose wallet's file then ends within a write."""
    script = tmp_path / "waiting.py.j2"
    script.write_text(WAITING)
    playbook.start(script=str(script), holders=4, iterations=2, ramp_up=0, drain="30s")
    playbook.wait_for_steps(4 * 4 - 1)
    victim = psutil.Process(playbook.state()["agents"][0]["pid"])
    home = Path(victim.environ()["ACAPY_HOME"])
    victim.kill()
    files = sorted(home.glob("wallet/*_holders/records/*.log"), key=lambda file: file.stat().st_size)
    assert len(files) == 5, "of the holders, and of the store's own profile"
    os.truncate(files[-1], files[-1].stat().st_size - 1)
    _, output = playbook.end()

    failed = [step for step in playbook.journal() if step["outcome"] == "failed"]
    assert [step["error"] for step in failed] == ["agent_died"], output
    assert failed[0]["detail"] == "agent-0 ended with signal 9 while it wrote to the wallet"
    presented = [step["holder"] for step in playbook.journal() if step["step"] == "present_proof"]
    assert len(set(presented)) == 4, output
    assert playbook.summary()["steps"]["present_proof"]["ok"] >= 4


def test_ctrl_c_leaves_nothing_running(playbook: Playbook) -> None:
    playbook.start(holders=4, duration="5m", wait_min=0.2, wait_max=0.6)
    playbook.wait_for_steps(5)
    assert playbook.process is not None
    family = [psutil.Process(playbook.state()["pid"])]
    family += family[0].children(recursive=True)
    os.killpg(playbook.process.pid, signal.SIGINT)
    playbook.end(60)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert playbook.left_running() == []


def test_acapys_own_admin_endpoint_is_a_service_by_configuration(
    playbook: Playbook, tmp_path: Path, reference: ReferenceServices
) -> None:
    """... and its API key, a secret, is found nowhere."""
    key, admin = "aVerySecretKey4711", free_ports(2)
    inbound = admin + 1
    agent = subprocess.Popen(
        [
            Path(sys.executable).with_name("aca-py"),
            "start",
            *("--inbound-transport", "http", "127.0.0.1", str(inbound)),
            *("--outbound-transport", "http", "--endpoint", f"http://127.0.0.1:{inbound}"),
            *("--admin", "127.0.0.1", str(admin), "--no-ledger", "--label", "plain agent"),
            *("--wallet-type", "askar-anoncreds", "--wallet-name", "plain", "--auto-provision"),
            *("--auto-accept-requests", "--auto-ping-connection", "--log-level", "warning"),
        ],
        env=os.environ | {"ACAPY_ADMIN_API_KEY": key, "ACAPY_WALLET_KEY": "k", "ACAPY_HOME": str(tmp_path / "plain")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: accepts(admin), 60)
        script = tmp_path / "own.py"
        script.write_text("async def script(holder):\n    await holder.ping(await holder.connect('plain'))\n")
        code, output = playbook.run(
            script=str(script),
            holders=2,
            mediator_did="",
            secrets={"plain_key": key},
            services={
                "plain": {
                    "invitation": {
                        "url": f"http://127.0.0.1:{admin}/out-of-band/create-invitation?auto_accept=true",
                        "headers": {"X-API-Key": "${secret:plain_key}"},
                        "body": {"handshake_protocols": ["https://didcomm.org/didexchange/1.1"]},
                        "found_at": "/invitation",
                    }
                }
            },
        )
    finally:
        agent.terminate()
        agent.wait(20)
    assert code == 0, output
    assert playbook.summary()["steps"]["ping"]["ok"] == 2
    assert key not in output
    found = subprocess.run(
        ["grep", "-rl", key, playbook.run_dir.parent, playbook.results], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
    packed = subprocess.run(["zgrep", "-rl", key, playbook.results], capture_output=True, text=True, check=False)
    assert packed.stdout == ""


def accepts(port: int) -> bool:
    async def connect() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return asyncio.run(connect())


def test_a_dry_run_starts_nothing(playbook: Playbook) -> None:
    code, output = playbook.run(dry_run=True, holders=100, duration="10m", wait_min=10, wait_max=60)
    assert code == 0, output
    assert "A run of 100 holders would take about" in output
    assert not playbook.run_dir.exists()
    assert not playbook.results.exists()


@pytest.mark.parametrize("verb", ["--help", "--version"])
def test_the_command_helps(verb: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("stampede"), verb],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "stampede" in done.stdout
