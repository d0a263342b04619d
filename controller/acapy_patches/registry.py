"""All patches of a holders' agent, and the one place that applies them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from controller.acapy_patches.askar_errors import ASKAR_ERRORS
from controller.acapy_patches.attached_messages import ATTACHED_MESSAGES
from controller.acapy_patches.cache_scan import CACHE_SCAN
from controller.acapy_patches.left_out_messages import LEFT_OUT_MESSAGES
from controller.acapy_patches.made_up_parents import MADE_UP_PARENTS
from controller.acapy_patches.missing_parents import MISSING_PARENTS
from controller.acapy_patches.nested_loops import NESTED_LOOPS
from controller.acapy_patches.patch import Patch
from controller.acapy_patches.speed.context_copies import CONTEXT_COPIES
from controller.acapy_patches.speed.event_socket import EVENT_SOCKET
from controller.acapy_patches.speed.lazy_messages import LAZY_MESSAGES
from controller.acapy_patches.speed.leftovers import LEFTOVERS
from controller.acapy_patches.speed.proxy_look_ups import PROXY_LOOK_UPS
from controller.acapy_patches.speed.revocation_states import REVOCATION_STATES
from controller.acapy_patches.speed.saves import SAVES
from controller.acapy_patches.speed.schema_pool import SCHEMA_POOL
from controller.acapy_patches.speed.slim_events import SLIM_EVENTS
from controller.acapy_patches.speed.stored_credentials import STORED_CREDENTIALS
from controller.acapy_patches.start_up import START_UP
from controller.acapy_patches.storage.memory import MEMORY_WALLETS
from controller.acapy_patches.storage.sqlite import SQLITE_CONNECTIONS, SQLITE_WRITERS
from controller.acapy_patches.tails_files import TAILS_FILES
from controller.acapy_patches.unmatched_requests import UNMATCHED_REQUESTS

PATCHES = {
    patch.name: patch
    for patch in (
        NESTED_LOOPS,  # first: the others import ACA-Py, which applies nest_asyncio when it is imported
        CACHE_SCAN,
        TAILS_FILES,
        ASKAR_ERRORS,
        START_UP,
        ATTACHED_MESSAGES,
        MADE_UP_PARENTS,
        MISSING_PARENTS,
        LEFT_OUT_MESSAGES,
        UNMATCHED_REQUESTS,
        SQLITE_CONNECTIONS,
        SQLITE_WRITERS,
        SAVES,
        SCHEMA_POOL,
        LAZY_MESSAGES,
        SLIM_EVENTS,
        EVENT_SOCKET,
        CONTEXT_COPIES,
        PROXY_LOOK_UPS,
        LEFTOVERS,
        REVOCATION_STATES,
        STORED_CREDENTIALS,
        MEMORY_WALLETS,
    )
}
"""By name, in the order in which they are applied. ``stampede.schema.settings.agent_patches`` says what depends on
each; a user switches them off by these names."""

STORAGE = {
    "memory": (MEMORY_WALLETS.name,),
    "sqlite": (SQLITE_CONNECTIONS.name, SQLITE_WRITERS.name),
    "postgresql": (),
}
"""The patches of agents by where their wallets are: the values of ``stampede_wallet_storage``."""
GENERAL = tuple(name for name in PATCHES if name not in {name for names in STORAGE.values() for name in names})
"""Those of every agent."""


@dataclass(slots=True)
class Outcome:
    """What became of the patches that were asked for."""

    applied: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Name of each patch that does not fit what is installed: why."""


def apply(names: Iterable[str]) -> Outcome:
    """Apply the named patches to this process, except those written for other source than is installed.

    Raises ValueError for a name that is not in ``PATCHES``.
    """
    outcome = Outcome()
    for patch in select(names):
        if reason := patch.why_not():
            outcome.left_out[patch.name] = reason
        else:
            patch.apply()
            outcome.applied.append(patch.name)
    return outcome


def left_out(names: Iterable[str]) -> dict[str, str]:
    """The named patches that ``apply`` would leave out: why. Nothing is imported or changed."""
    return {patch.name: reason for patch in select(names) if (reason := patch.why_not())}


def select(names: Iterable[str]) -> list[Patch]:
    """The named patches in the order in which they are applied. Raises ValueError for an unknown name."""
    wanted = set(names)
    if unknown := sorted(wanted - set(PATCHES)):
        raise ValueError(f"there is no patch {unknown[0]!r}; it must be one of {', '.join(PATCHES)}")
    return [patch for name, patch in PATCHES.items() if name in wanted]
