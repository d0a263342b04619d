"""``stampede_agent_patches``: which patches of ACA-Py the holders' agents start with, and what depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stampede.schema.settings.shapes import Switch
from stampede.schema.settings.variable_reader import VariableReader, shown

VARIABLE = "stampede_agent_patches"
ALL = "all"
"""The key that stands for those that are not named."""

DEPENDENTS: Mapping[str, str] = {
    "nested_loops": "",
    "cache_scan": "",
    "tails_files": "proofs after the download of a tails file has failed once",
    "askar_errors": "telling two calls to the wallet apart that fail at the same moment",
    "start_up": "agents that start while their machine is busy",
    "attached_messages": "invitations with a message, if their connection takes more than 7 s",
    "made_up_parents": "answers to connectionless messages",
    "missing_parents": "connections to Credo, and all whose response does not name the invitation",
    "left_out_messages": "the error unsupported_protocol; without it such a step waits for its timeout",
    "unmatched_requests": "self-attested answers and the error request_unmatched",
    "sqlite_connections": "wallets in SQLite, if more than a few holders of an agent are active at once",
    "sqlite_writers": "wallets in SQLite, if more than a few holders of an agent are active at once",
    "saves": "",
    "schema_pool": "",
    "lazy_messages": "",
    "slim_events": "",
    "event_socket": "",
    "context_copies": "",
    "proxy_look_ups": "",
    "leftovers": "the memory of long runs: each answered invitation stays in it",
    "revocation_states": "",
    "stored_credentials": "",
    "memory_wallets": "",
}
"""Every patch that can be switched off, in the order in which they are applied, and what does not work without it;
empty where agents merely need more CPU. ``controller.acapy_patches.registry`` has the patches themselves."""


def read_agent_patches(reader: VariableReader) -> tuple[str, ...]:
    """The names of the patches that are on; all but those that are switched off. What is wrong is noted."""
    switches: dict[str, bool] = {}
    for name, value in reader.read("agent_patches").items():
        if name != ALL and name not in DEPENDENTS:
            reader.complain(
                f"{VARIABLE} has {shown(name)}, which is no patch; it must be {ALL} or one of {', '.join(DEPENDENTS)}"
            )
        try:
            switches[name] = Switch().read(value)
        except (TypeError, ValueError):
            reader.complain(f"{VARIABLE} has {shown(name)}: {shown(value)}; the value must be {Switch.right}")
    return tuple(name for name in DEPENDENTS if switches.get(name, switches.get(ALL, True)))


def storage_without_patch(wallet_storage: str, on: tuple[str, ...]) -> str:
    """Where wallets are stored with the patches that are ``on``: in SQLite when those in memory are switched off."""
    return "sqlite" if wallet_storage == "memory" and "memory_wallets" not in on else wallet_storage


def switched_off(variables: Mapping[str, Any]) -> list[str]:
    """A sentence when patches are switched off on which more depends than CPU; no reason against a run."""
    reader = VariableReader({VARIABLE: variables.get(VARIABLE, {})})
    on = read_agent_patches(reader)
    lost = [f"{name} ({what})" for name, what in DEPENDENTS.items() if what and name not in on]
    if reader.problems or not lost:
        return []
    return [f"{VARIABLE} switches off what more depends on than CPU: {'; '.join(lost)}"]
