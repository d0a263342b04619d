"""ACA-Py's command line flags and environment for a holders' agent, as functions of the settings.

``aca-py start --help`` and https://aca-py.org describe the flags.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from controller.acapy_patches import registry
from controller.acapy_patches.speed.event_socket import SOCKET
from controller.acapy_patches.speed.slim_events import UNHEARD
from controller.agents.ledgers import LEDGERS_FILE
from controller.agents.postgresql import Postgresql
from controller.agents.protocols.topics import IGNORED_TOPICS
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.web_address import in_url

WALLETS_IN_MEMORY = 10_000
"""Wallets that an agent keeps open (``cache_size``); more than it ever has."""

OWN_PLUGINS = ("controller.dialogue",)
"""Stampede's plugins that all holders' agents have."""

NO_PORT = (
    *("--plugin", "controller.pickup"),
    *("--inbound-transport", "controller.pickup.transports", "127.0.0.1", "0"),
    *("--outbound-transport", "controller.pickup.transports"),
    *("--endpoint", "didcomm:transport/queue"),  # Aries RFC 0092, as other mobile agents have it
)
"""The flags of an agent whose holders are phones."""


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """What tells one agent of a host from the others, for the time of a run."""

    number: int
    admin_port: int
    home: Path
    """Folder of the wallets' files and the tails files."""
    trust_file: Path
    """PEM file with the CAs that the agent trusts."""
    webhook_url: str
    admin_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    wallet_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    jwt_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def name(self) -> str:
        """Such as ``agent-0``, as in the journal and the names of logs."""
        return f"agent-{self.number}"


def inbound_port(settings: Settings, number: int) -> int:
    """The port to which others send DIDComm messages for agent ``number``."""
    return settings.agent_port + number


def store_names(settings: Settings, number: int) -> tuple[str, str]:
    """The Askar stores of agent ``number``: its own and its holders'. Unique among the hosts of all runs, because
    hosts may share a PostgreSQL server."""
    run = hashlib.sha256(f"{settings.run_id} {settings.host_name}".encode()).hexdigest()[:16]
    return f"stampede_{run}_{number}", f"stampede_{run}_{number}_holders"


def patch_names(settings: Settings) -> tuple[str, ...]:
    """The patches with which the agents start: those that are switched on and have to do with their wallets."""
    fitting = registry.GENERAL + registry.STORAGE[settings.wallet_storage]
    return tuple(name for name in settings.agent_patches if name in fitting)


def open_port(settings: Settings, number: int) -> tuple[str, ...]:
    """The flags by which others send their messages to a port of agent ``number``."""
    port = str(inbound_port(settings, number))
    endpoint = f"http://{in_url(settings.agent_host)}:{port}"
    return ("--inbound-transport", "http", settings.agent_bind, port, "--endpoint", endpoint)


def outbound_transports(settings: Settings) -> list[str]:
    """The flags by which agents reach others, some of which have a WebSocket endpoint only; but for what
    ``stampede_agent_args`` has, since ACA-Py refuses a transport that is named twice."""
    words = [word for argument in settings.agent_args for word in argument.split("=", 1)]
    given = {name for flag, name in pairwise(words) if flag in ("--outbound-transport", "-ot")}
    return [word for name in ("http", "ws") if name not in given for word in ("--outbound-transport", name)]


def command_line(settings: Settings, agent: AgentIdentity) -> list[str]:
    """The flags after ``start``."""
    own_store, holders_store = store_names(settings, agent.number)
    tenancy = {
        "wallet_type": "single-wallet-askar",
        "wallet_name": holders_store,
        "cache_size": WALLETS_IN_MEMORY,
    }
    flags = [
        *("--label", f"Stampede {agent.name}"),
        *(NO_PORT if settings.has_phones else open_port(settings, agent.number)),
        *outbound_transports(settings),
        *("--admin", "127.0.0.1", str(agent.admin_port)),
        *("--wallet-type", settings.wallet_type, "--wallet-name", own_store),
        "--auto-provision",
        "--multitenant",
        "--multitenant-admin",
        *("--multitenancy-config", json.dumps(tenancy)),
        "--auto-accept-invites",
        "--auto-accept-requests",
        "--auto-ping-connection",  # a connection of RFC 0160 is complete with its first message
        "--auto-respond-credential-offer",
        "--auto-store-credential",
        "--auto-respond-presentation-request",
        "--monitor-revocation-notification",
        "--monitor-ping",
        *("--log-level", "warning"),
    ]
    for plugin in (*OWN_PLUGINS, *settings.agent_plugins):
        flags += ["--plugin", plugin]
    return flags + ledger_flags(settings) + list(settings.agent_args)


def ledger_flags(settings: Settings) -> list[str]:
    """The flags about Indy ledgers, of which ACA-Py takes one kind."""
    if settings.ledgers:
        return ["--genesis-transactions-list", LEDGERS_FILE]
    return ["--genesis-url", settings.genesis_url] if settings.genesis_url else ["--no-ledger"]


def environment(settings: Settings, agent: AgentIdentity, postgresql: Postgresql | None) -> dict[str, str]:
    """Environment variables to add to the controller's own. Secrets are passed here, where only the same user can
    read them, and not on the command line. The names that begin with STAMPEDE are for the launcher."""
    variables = {
        "ACAPY_ADMIN_API_KEY": agent.admin_key,
        "ACAPY_WALLET_KEY": agent.wallet_key,
        "ACAPY_WALLET_KEY_DERIVATION_METHOD": "kdf:argon2i:int",
        "ACAPY_MULTITENANT_JWT_SECRET": agent.jwt_secret,
        "WEBHOOK_URL": agent.webhook_url,  # ACA-Py adds it to those of stampede_agent_args
        SOCKET: agent.webhook_url,
        "ACAPY_HOME": str(agent.home),
        "HOME": str(agent.home),  # tails files are stored below it
        "SSL_CERT_FILE": str(agent.trust_file),
        "REQUESTS_CA_BUNDLE": str(agent.trust_file),  # ACA-Py downloads tails files with requests
        "PYTHONUNBUFFERED": "1",
        "STAMPEDE_ALLOWED_TARGETS": json.dumps(settings.allowed_targets),
        "STAMPEDE_PATCHES": " ".join(patch_names(settings)),
        UNHEARD: " ".join(sorted(IGNORED_TOPICS)),
        "STAMPEDE_MEDIATOR_PICKUP": settings.mediator_pickup,
        "STAMPEDE_MEDIATOR_POLL_INTERVAL": str(settings.mediator_poll_interval),
    }
    return variables | (postgresql.environment() if postgresql is not None else {})
