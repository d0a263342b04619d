"""With all patches of ACA-Py and with none, holders send and get the same: messages in plain, and HTTPS requests."""

from __future__ import annotations

import base64
import binascii
import json
import re
from pathlib import Path
from typing import Any

import pytest
from points import journal_lines
from reference_services import ReferenceServices

from controller.agents.pool import AgentPool
from controller.metrics.journal import Journal
from controller.run.run import Run
from controller.services.client import HttpServices
from stampede.machine.ports import free_ports
from stampede.schema.line_protocol import decode
from stampede.schema.settings.run_settings import Settings

PLUGINS = Path(__file__).parents[1] / "agent_plugin"
STEPS = [
    *("connect_to_mediator", "request_invitation", "connect", "receive_credential", "request_invitation"),
    *("present_proof", "request_revocation", "receive_revocation_notification", "delete_credential"),
    *("receive_credential", "ping"),
]


async def journey(holder: Any) -> None:
    """Every protocol of a holder's life once."""
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    await holder.present_proof("verifier")
    await holder.request_revocation("issuer")
    await holder.receive_revocation_notification(issuer)
    await holder.receive_credential(issuer)  # which is offered once the old one is revoked
    await holder.ping(issuer)  # so that all that the agent says of the credential has been said


async def travel(folder: Path, variables: dict[str, Any]) -> list[dict[str, Any]]:
    """What the plugin ``witness`` noted of one holder's journey."""
    settings = Settings.from_variables(variables)
    (folder / "logs").mkdir(parents=True)
    with Journal(folder / "journal.lp", {"run": "r"}) as journal:
        async with (
            HttpServices(settings, {}) as services,
            AgentPool(settings, folder, lambda kind, text: None, {}) as pool,
        ):
            run = Run(settings, journey, services=services, wallets=pool, journal=journal)
            await pool.start()
            (folder / "noted").write_text("")
            await run.play(run.clock.now())
    steps = [decode(line.rstrip("\n")) for line in journal_lines(folder / "journal.lp") if line.startswith("step,")]
    assert [(step.tags["step"], step.tags["outcome"]) for step in steps] == [(name, "ok") for name in STEPS]
    return [json.loads(line) for line in (folder / "noted").read_text().splitlines()]


def registries(notes: list[dict[str, Any]]) -> set[str]:
    """The revocation registries that an agent asked for."""
    return {note["url"] for note in notes if note["kind"] == "request" and "/revRegDef/" in note["url"]}


class Names:
    """Gives what is made up anew in each journey (keys, DIDs, ids, numbers of a proof, times) a name by the order in
    which it is seen, so that what refers to what stays visible."""

    TOKEN = re.compile(
        r"^(?:[0-9]+ [0-9A-F]{32,} ?)+$"  # points on a curve
        r"|[A-Za-z0-9_+=-]{32,}"  # keys, ids, proofs in base64 or hexadecimal digits
        r"|\b[1-9A-HJ-NP-Za-km-z]{20,}\b"  # DIDs in base58
        r"|^[0-9]+$|[0-9]{9,}|(?<=::)[0-9]+|(?<=Holder )[0-9]+"  # numbers, times, and whom the issuer takes one for
        r"|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+Z?"
    )
    INDICES = frozenset({"i", "cred_rev_id", "rev_idx", "cred_rev_index"})
    """Keys of a credential's place in its registry."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, value: Any, key: str = "") -> Any:
        """The value with names in place of what is made up. JSON in base64 is shown as what it is."""
        if key in self.INDICES:
            return "<index>"
        if isinstance(value, dict):
            return {self.of(name): self.of(item, name) for name, item in sorted(value.items())}
        if isinstance(value, list) and len(value) > 16 and all(isinstance(item, int) for item in value):
            return "<bytes>"
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if isinstance(value, str):
            attached = json_of(value) if key == "base64" else None
            return self.TOKEN.sub(self._name, value) if attached is None else ["base64", self.of(attached)]
        return "<time>" if isinstance(value, int) and value > 1e9 else value

    def _name(self, token: re.Match[str]) -> str:
        if len(token[0]) < 9:  # it is the same as others by chance
            return "<number>"
        return self._names.setdefault(token[0], f"<{len(self._names)}>")


def json_of(text: str) -> Any:
    """The JSON object or list in a base64 text; None if it is something else."""
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        return None
    return found if isinstance(found, dict | list) else None


def in_order(notes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each conversation in its order, then each kind of request: agents do several things at once in no certain
    order, so that one conversation may be ahead of another or not."""
    conversations: dict[str, list[dict[str, Any]]] = {}
    requests: list[dict[str, Any]] = []
    for note in notes:
        thread = conversations.setdefault(thread_of(note["message"]), []) if "message" in note else requests
        thread.append(note)
    told = [note for _, each in sorted(conversations.items(), key=lambda item: types(item[1])) for note in each]
    requests.sort(key=lambda note: (note["method"], Names.TOKEN.sub("", note["url"])))
    names = Names()
    return [names.of(note) for note in told + requests]


def types(notes: list[dict[str, Any]]) -> list[str]:
    """The types of the messages, and whether they were sent."""
    return [f"{note['message']['@type']} {note['kind']}" for note in notes]


def thread_of(message: dict[str, Any]) -> str:
    """The id of the conversation that a message belongs to (Aries RFC 0008)."""
    return str(message.get("~thread", {}).get("thid") or message["@id"])


async def test_all_patches_and_none(
    reference: ReferenceServices, variables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS))
    own = reference.variables() | {"holders": 1, "agents": 1, "ramp_up": 0, "iterations": 1, "allowed_targets": []}
    own["agent_plugins"] = [*own["agent_plugins"], "witness"]
    own["agent_port"] = free_ports(1)
    noted = {}
    for switch in (True, False):
        switched = {"agent_patches": {"all": switch}}
        changed = {f"stampede_{name}": value for name, value in (own | switched).items()}
        for attempt in ("first", "second"):
            folder = tmp_path / f"{switch}-{attempt}"
            monkeypatch.setenv("WITNESS", str(folder / "noted"))
            notes = await travel(folder, variables | changed)
            if len(registries(notes)) == 1:
                break  # otherwise it was full after the first credential, and its successor has room for both
        assert len(registries(notes)) == 1
        noted[switch] = in_order(notes)

    kinds = {
        note["message"]["@type"].removeprefix("https://didcomm.org/") for note in noted[True] if "message" in note
    }
    assert kinds >= {
        "didexchange/1.1/request",
        "coordinate-mediation/1.0/keylist-update",
        "issue-credential/2.0/request-credential",
        "present-proof/2.0/presentation",
        "revocation_notification/2.0/revoke",
        "trust_ping/1.0/ping",
    }
    assert noted[True] == noted[False]
