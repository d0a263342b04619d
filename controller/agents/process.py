"""One ACA-Py process: started, watched, restarted and stopped by the controller."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import psutil

from controller.agents.admin import AdminApi
from controller.agents.inbox import Inbox
from controller.agents.postgresql import Postgresql
from controller.agents.wallet import TOPICS, AcapyWallet
from controller.agents.webhooks import WebhookReceiver
from stampede.schema.errors import AgentDied, AgentError, AgentLost, BadInput
from stampede.schema.records import EventKind
from stampede.schema.settings import Settings

START_LIMIT = 90.0
"""Seconds that an agent may take to start."""
STOP_LIMIT = 5.0
"""Seconds between SIGTERM and SIGKILL."""
DEATH_NOTICE = 1.0
"""Seconds within which one hears of a process's end after its connections broke."""
MAX_RESTARTS = 10
LAUNCHER = "controller.agents.launcher"

type Announce = Callable[[EventKind, str], None]
"""Takes an event's kind and text."""


class AgentProcess:
    """An ACA-Py agent of this host and the holder wallets in it."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        *,
        admin_port: int,
        run_dir: Path,
        wallet_dir: Path,
        trust_file: Path,
        webhooks: WebhookReceiver,
        session: aiohttp.ClientSession,
        announce: Announce,
        postgresql: Postgresql | None,
    ) -> None:
        self.name = f"agent-{number}"
        self.restarts = 0
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._settings = settings
        self._run_dir = run_dir
        self._wallet_dir = wallet_dir / self.name
        self._trust_file = trust_file
        self._webhooks = webhooks
        self._announce = announce
        self._port = settings.agent_port + number
        self._admin_port = admin_port
        self._admin_key = secrets.token_urlsafe(24)
        self._wallet_key = secrets.token_urlsafe(24)
        self._jwt_secret = secrets.token_urlsafe(24)
        self._postgresql = postgresql
        name = hashlib.sha256(f"{settings.run_id} {settings.host_name}".encode()).hexdigest()[:16]
        self._stores = (f"stampede_{name}_{number}", f"stampede_{name}_{number}_holders")
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._watcher: asyncio.Task[None] | None = None
        self._inboxes: list[Inbox] = []
        self.admin = AdminApi(
            session, f"http://127.0.0.1:{self._admin_port}", self._admin_key, self._has_died, self.name
        )

    @property
    def is_up(self) -> bool:
        """Whether the agent can be used now."""
        return self._up.is_set()

    async def until_up(self) -> None:
        """Return when the agent can be used. Raises AgentLost when it will not come back."""
        waits = {asyncio.ensure_future(event.wait()) for event in (self._up, self._lost)}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._lost.is_set():
            raise AgentLost(f"{self.name} was restarted {MAX_RESTARTS} times and ended each time")

    @property
    def pid(self) -> int:
        """Process id; 0 when it does not run."""
        return self._process.pid if self._process and self._alive() else 0

    def usage(self) -> psutil.Process | None:
        """The process as psutil sees it, for CPU and memory; None when it does not run."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid) if self.pid else None
        return None

    async def start(self) -> None:
        """Start the agent and return when it answers. Raises AgentError with the log's last lines."""
        self._wallet_dir.mkdir(parents=True, exist_ok=True)
        await self._launch()
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop the agent: SIGTERM, and SIGKILL after STOP_LIMIT."""
        self._stopping = True
        self._up.clear()
        if self._process and self._alive():
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_LIMIT)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._postgresql is not None:
            await self._postgresql.drop(*self._stores)

    async def create_wallet(self, number: int) -> AcapyWallet:
        """Create the wallet of holder ``number`` as a tenant of this agent."""
        name = f"holder-{number}-{secrets.token_hex(4)}"
        tenant = await self.admin.call(
            "POST",
            "/multitenancy/wallet",
            body={
                "wallet_name": name,
                "wallet_key": self._wallet_key,
                "wallet_key_derivation": "RAW",
                "wallet_type": "askar-anoncreds",
                "label": f"Stampede holder {number}",
            },
        )
        inbox = Inbox(TOPICS)
        self._inboxes.append(inbox)
        self._webhooks.register(tenant["wallet_id"], inbox)
        return AcapyWallet(self.admin, inbox, tenant["wallet_id"], tenant["token"], self.until_up)

    async def remove_wallet(self, wallet: AcapyWallet) -> None:
        """Remove a wallet with all that is in it."""
        self._webhooks.forget(wallet.wallet_id)
        if wallet.inbox in self._inboxes:
            self._inboxes.remove(wallet.inbox)
        await wallet.remove()

    async def _has_died(self) -> bool:
        """Whether a connection that broke, or was refused, did so because the process ended: its end may
        be heard of a moment later than that of its connections."""
        if self.is_up and self._process is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), DEATH_NOTICE)
        return not (self.is_up and self._alive())

    def _alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _launch(self) -> None:
        log = self._run_dir / "logs" / f"{self.name}.log"
        with log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                LAUNCHER,
                "start",
                *self._arguments(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment(),
                cwd=self._run_dir,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(START_LIMIT):
                while not await self._ready():
                    if not self._alive():
                        raise AgentError(f"{self.name} ended at start; its log says: {last_line(log)}")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AgentError(f"{self.name} was not ready within {START_LIMIT:g} s; see {log}") from None
        self._up.set()

    async def _ready(self) -> bool:
        try:
            return bool((await self.admin.call("GET", "/status/ready")).get("ready"))
        except (AgentError, AgentDied):
            return False

    async def _watch(self) -> None:
        """Restart the agent whenever it ends without having been told to, MAX_RESTARTS times."""
        while True:
            assert self._process is not None
            code = await self._process.wait()
            if self._stopping:
                return
            self._up.clear()
            cause = f"{self.name} ended with {describe_exit(code)}"
            self._announce(EventKind.AGENT_DIED, cause)
            for inbox in self._inboxes:
                inbox.fail(AgentDied(cause))
            if self.restarts == MAX_RESTARTS:
                self._announce(EventKind.AGENT_DIED, f"{self.name} is given up after {MAX_RESTARTS} restarts")
                self._lost.set()
                return
            self.restarts += 1
            await asyncio.sleep(min(10.0, 0.5 * self.restarts))
            try:
                await self._launch()
            except (AgentError, OSError) as error:
                self._announce(EventKind.AGENT_DIED, str(error))
                if self._alive():
                    self._process.kill()
            else:
                self._announce(EventKind.AGENT_RESTARTED, f"{self.name} is up again, restart {self.restarts}")

    def _arguments(self) -> list[str]:
        settings = self._settings
        tenancy = {"wallet_type": "single-wallet-askar", "wallet_name": self._stores[1], "cache_size": 10_000}
        arguments = [
            *("--label", f"Stampede {self.name}"),
            *("--inbound-transport", "http", settings.agent_bind, str(self._port)),
            *("--outbound-transport", "http"),
            *("--endpoint", f"http://{settings.agent_host}:{self._port}"),
            *("--admin", "127.0.0.1", str(self._admin_port)),
            *("--wallet-type", "askar-anoncreds", "--wallet-name", self._stores[0]),
            "--auto-provision",
            "--multitenant",
            "--multitenant-admin",
            *("--multitenancy-config", json.dumps(tenancy)),
            "--auto-accept-invites",
            "--auto-accept-requests",
            "--auto-respond-credential-offer",
            "--auto-store-credential",
            "--auto-respond-presentation-request",
            "--monitor-revocation-notification",
            "--monitor-ping",
            *("--log-level", "warning"),
        ]
        for plugin in settings.agent_plugins:
            arguments += ["--plugin", plugin]
        arguments += ["--genesis-url", settings.genesis_url] if settings.genesis_url else ["--no-ledger"]
        return arguments + list(settings.agent_args)

    def _environment(self) -> dict[str, str]:
        """Secrets go by the environment, which only the same user may read."""
        environment = {
            **os.environ,
            "ACAPY_ADMIN_API_KEY": self._admin_key,
            "ACAPY_WALLET_KEY": self._wallet_key,
            "ACAPY_WALLET_KEY_DERIVATION_METHOD": "kdf:argon2i:int",
            "ACAPY_MULTITENANT_JWT_SECRET": self._jwt_secret,
            "ACAPY_WEBHOOK_URL": self._webhooks.url,
            "ACAPY_HOME": str(self._wallet_dir),
            "HOME": str(self._wallet_dir),  # tails files lie below it
            "SSL_CERT_FILE": str(self._trust_file),
            "REQUESTS_CA_BUNDLE": str(self._trust_file),  # ACA-Py gets tails files by requests
            "PYTHONUNBUFFERED": "1",
            "STAMPEDE_ALLOWED_TARGETS": json.dumps(self._settings.allowed_targets),
        }
        if self._postgresql is not None:
            environment |= self._postgresql.environment()
        else:
            environment["STAMPEDE_SQLITE"] = "1"
        return environment


def check_ports_free(settings: Settings, count: int) -> None:
    """Raise BadInput when a port that an agent needs is taken."""
    for number in range(count):
        port = settings.agent_port + number
        with socket.socket(socket.AF_INET6 if ":" in settings.agent_bind else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.agent_bind, port))
            except OSError as error:
                raise BadInput(
                    f"port {port} of {settings.agent_bind} cannot be used for agent-{number} ({error.strerror}); "
                    f"stampede_agent_port is {settings.agent_port}: "
                    f"it must be the first of {count} free ports"
                ) from error


def describe_exit(code: int) -> str:
    """An exit code in words: ``signal 9`` or ``exit code 1``."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def last_line(log: Path) -> str:
    """The last line of a log that is not empty."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "nothing"
