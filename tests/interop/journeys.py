"""Runs of the playbook against stock services: many journeys in one run, each one holder's, or a scenario."""

from __future__ import annotations

import subprocess
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_playbook import PROGRAM, surroundings
from points import journal_lines
from stock_agents import KEY

from stampede.machine.ports import free_ports
from stampede.schema.line_protocol import decode

CONNECT = 'await holder.connect(s("issuer"))\n'
RECEIVE = 'issuer = await holder.connect(s("issuer"))\nawait holder.receive_credential(issuer)\n'
PRESENT = RECEIVE + 'await holder.present_proof(s("verifier"))\n'
REVOKE = (
    'await holder.request_revocation(s("issuer"), issuer)\nawait holder.receive_revocation_notification(issuer)\n'
)
CONNECTED = ("request_invitation", "connect")
RECEIVED = (*CONNECTED, "receive_credential")
PRESENTED = (*RECEIVED, "request_invitation", "present_proof")
REVOKED = ("request_revocation", "receive_revocation_notification", "delete_credential")


@dataclass(frozen=True)
class Journey:
    """What one holder does, and the steps that its journal must have then: `connect` or `connect: bad_invitation`."""

    name: str
    services: Mapping[str, Any]
    script: str
    """In services and script `{url}` is the gateway's, `{NAME:admin}` that of an agent's admin API, and
    `{NAME:revocable}` and `{NAME:plain}` are its credential definitions."""
    steps: Sequence[str]

    def __str__(self) -> str:
        return self.name


REVOCATION = {"rev_reg_id": "${rev_reg_id}", "cred_rev_id": "${cred_rev_id}"}


def network(issuer: str, verifier: str, query: str = "", revocation: str = "version=v2_0") -> dict[str, Any]:
    """The services of two agents; ``query`` is for invitation and proof request, ``revocation`` for that."""
    return {
        "issuer": {
            "invitation": {"url": f"{{url}}/{issuer}/invitation?{query}"},
            "revocation": {"url": f"{{url}}/{issuer}/revocation?{revocation}", "body": REVOCATION},
        },
        "verifier": {"invitation": {"url": f"{{url}}/{verifier}/request?of={issuer}&{query}"}},
    }


LIFE = Journey(
    "life",
    network("issuer", "verifier", revocation=""),
    "await holder.connect_to_mediator()\n" + PRESENT + REVOKE,
    ("connect_to_mediator", *PRESENTED, *REVOKED),
)
"""A holder's whole life through a mediator, with the agents `issuer` and `verifier`."""


class Played:
    """The journal of a run, by journey."""

    def __init__(self, steps: Mapping[str, Sequence[Mapping[str, Any]]], output: str) -> None:
        self._steps, self.output = steps, output

    def steps(self, journey: str) -> list[str]:
        """As ``Journey.steps`` has them."""
        return [
            step["step"] if step["outcome"] == "ok" else f"{step['step']}: {step['error']}"
            for step in self._steps.get(journey, [])
        ]

    def details(self, journey: str) -> str:
        """What failed steps said."""
        return "\n".join(step["detail"] for step in self._steps.get(journey, []) if step.get("detail"))

    def check(self, journey: Journey) -> None:
        """Fails when the steps are not those that it must have."""
        found = self.steps(journey.name)
        assert found == list(journey.steps), f"{self.details(journey.name)}\n{'' if found else self.output[-4000:]}"


def play(
    folder: Path, journeys: Sequence[Journey], *, ca_file: Path, places: Mapping[str, str], **variables: Any
) -> Played:
    """One run in which holder N makes journey N; ``variables`` without the prefix ``stampede_``."""
    folder.mkdir()
    (folder / "script.py").write_text(_filled_in(_script(journeys), places))
    services = {
        f"{journey.name}.{name}": _filled_in(entry, places)
        for journey in journeys
        for name, entry in journey.services.items()
    }
    settings = {
        "script": str(folder / "script.py"),
        "holders": len(journeys),
        "ramp_up": f"{max(1, len(journeys) // 3)}s",
        "iterations": 1,
        "on_failure": "stop",
        "fail_on_errors": False,
        "services": services,
        "ca_file": str(ca_file),
    }
    done = _run_test(folder, settings | variables)
    return Played(_journal(folder / "results", [journey.name for journey in journeys]), done.stdout)


def play_mission(
    folder: Path, services: Mapping[str, Any], *, ca_file: Path, places: Mapping[str, str], **variables: Any
) -> None:
    """The scenario issue_present_revoke, by some holders. Fails when a step does, or one is missing."""
    folder.mkdir()
    holders, credentials = 3, 2
    settings = {
        "script": "issue_present_revoke",
        "holders": holders,
        "ramp_up": "2s",
        "iterations": credentials,
        "presentations_min": 1,
        "presentations_max": 2,
        "wait_min": 1,
        "wait_max": 2,
        "services": _filled_in(services, places),
        "ca_file": str(ca_file),
    }
    done = _run_test(folder, settings | variables)
    names = [f"holder {number}" for number in range(holders)]
    played = Played(_journal(folder / "results", names), done.stdout)
    for name in names:
        steps = Counter(played.steps(name))
        assert {step for step in steps if ": " in step} == set(), played.details(name)
        assert steps["receive_credential"] == credentials + 1, done.stdout[-4000:]
        assert [steps[step] for step in REVOKED] == [credentials] * len(REVOKED)
        assert credentials <= steps["present_proof"] <= 2 * credentials
    assert done.returncode == 0, done.stdout[-4000:]


def _run_test(folder: Path, variables: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    """run-test.yml on this machine, with what all these runs have alike."""
    settings = {
        "run_id": folder.name,
        "work_dir": str(folder / "work"),
        "results_dir": str(folder / "results"),
        "step_timeout": "60s",
        "reference_services": False,
        "mediator_pickup": "none",
        "agents": 1,
        "agent_port": free_ports(2),
        "secrets": {"key": KEY},
        **variables,
    }
    extra = folder / "settings.yml"
    extra.write_text(yaml.safe_dump({f"stampede_{name}": value for name, value in settings.items()}))
    return subprocess.run(
        [
            PROGRAM,
            *("-i", "inventory/local", "playbooks/run-test.yml", "-e", f"@{extra}"),
        ],
        **surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=400,
    )


def _script(journeys: Sequence[Journey]) -> str:
    lines = ["import asyncio", "from stampede import StepError", ""]
    for number, journey in enumerate(journeys):
        lines += [f"async def journey_{number}(holder):", f"    s = lambda name: {journey.name!r} + '.' + name"]
        lines += [textwrap.indent(textwrap.dedent(journey.script), "    ")]
    lines += [f"JOURNEYS = [{', '.join(f'journey_{number}' for number in range(len(journeys)))}]", ""]
    lines += ["async def script(holder):", "    await JOURNEYS[holder.number](holder)", ""]
    return "\n".join(lines)


def _filled_in(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled_in(each, places) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled_in(each, places) for each in value]
    if isinstance(value, str):
        for name, place in places.items():
            value = value.replace("{" + name + "}", place)
    return value


def _journal(results: Path, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Tags and fields of each step, by the name of the holder's journey."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in results.glob("*/*/journal.lp.gz"):
        for line in journal_lines(path):
            if line.startswith("step,"):
                point = decode(line.rstrip("\n"))
                found.setdefault(names[int(point.fields["holder"])], []).append({**point.tags, **point.fields})
    return found
