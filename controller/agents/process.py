"""One ACA-Py process: started, watched, restarted and stopped by the controller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import psutil

from controller.agents import flags
from controller.agents.acapy_wallet import TOPICS, AcapyWallet
from controller.agents.admin import AdminApi
from controller.agents.flags import AgentIdentity
from controller.agents.inbox import Inbox, Overflow
from controller.agents.postgresql import Postgresql
from controller.agents.remote_phone import RemotePhone
from controller.agents.restart_policy import RestartPolicy
from controller.agents.webhooks import WebhookReceiver
from controller.wallet_memory.folders import folder_of, take_cut_short
from stampede.machine.proxies import without_proxies
from stampede.schema.errors import AgentDied, AgentError, AgentLost, BadInput
from stampede.schema.records import EventKind
from stampede.schema.settings.run_settings import Settings

START_TIMEOUT = 90.0
"""Seconds that an agent may take to start."""
STOP_TIMEOUT = 5.0
"""Seconds between SIGTERM and SIGKILL."""
EXIT_NOTICE = 1.0
"""Seconds within which the exit of a process is noticed after its connections broke."""
PROBE = 1.0
"""Seconds between an answer of an agent and the next empty request by which its lag is measured."""
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
        overflow: Overflow | None = None,
        restart_policy: RestartPolicy | None = None,
    ) -> None:
        self._identity = AgentIdentity(
            number, admin_port, wallet_dir / f"agent-{number}", trust_file, webhook_url=webhooks.url
        )
        self._settings = settings
        self._run_dir = run_dir
        self._webhooks = webhooks
        self._announce = announce
        self._postgresql = postgresql
        self._overflow = overflow
        self._restart_policy = restart_policy or RestartPolicy()
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._watcher: asyncio.Task[None] | None = None
        self._inboxes: dict[str, Inbox] = {}
        self._phones: dict[str, RemotePhone] = {}
        self._loop_lag = 0.0
        self._probing_since: float | None = None
        self.admin = AdminApi(
            session, f"http://127.0.0.1:{admin_port}", self._identity.admin_key, self._has_exited, self.name
        )

    @property
    def name(self) -> str:
        """Such as ``agent-0``."""
        return self._identity.name

    @property
    def restarts(self) -> int:
        """How often the agent has been restarted."""
        return self._restart_policy.restarts

    @property
    def is_up(self) -> bool:
        """Whether the agent can be used now."""
        return self._up.is_set()

    async def until_up(self) -> None:
        """Return when the agent can be used. Raises AgentLost when it has been given up."""
        waits = {asyncio.ensure_future(event.wait()) for event in (self._up, self._lost)}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._lost.is_set():
            raise AgentLost(f"{self.name} was restarted {self._restart_policy.limit} times and exited each time")

    @property
    def pid(self) -> int:
        """Process id; 0 when it is not running."""
        return self._process.pid if self._process and self._is_running() else 0

    def usage(self) -> psutil.Process | None:
        """The process as psutil sees it, for CPU and memory; None when it is not running."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid) if self.pid else None
        return None

    async def watch_loop(self) -> None:
        """Measure continuously how long the agent's event loop takes to answer; to be run as a task."""
        while True:
            await asyncio.sleep(PROBE)
            if self.is_up:
                began = time.monotonic()
                self._probing_since = began
                try:
                    with contextlib.suppress(AgentError, AgentDied):
                        await self.admin.call("GET", "/status/live")
                finally:
                    self._loop_lag = max(self._loop_lag, time.monotonic() - began)
                    self._probing_since = None

    def take_loop_lag(self) -> float:
        """The longest that an empty request took since the last call, in seconds, also one that is not answered."""
        since = self._probing_since
        waiting = time.monotonic() - since if since is not None else 0.0
        longest, self._loop_lag = max(self._loop_lag, waiting), 0.0
        return longest

    async def start(self) -> None:
        """Start the agent and return once it responds. Raises AgentError with the last line of its log."""
        self._identity.home.mkdir(parents=True, exist_ok=True)
        await self._launch()
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop the agent: SIGTERM, and SIGKILL after STOP_TIMEOUT."""
        self._stopping = True
        self._up.clear()
        if self._process and self._is_running():
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._postgresql is not None:
            await self._postgresql.drop(*flags.store_names(self._settings, self._identity.number))

    async def create_wallet(self, number: int) -> AcapyWallet:
        """Create the wallet of holder ``number`` as a tenant of this agent."""
        name = f"holder-{number}-{secrets.token_hex(4)}"
        tenant = await self.admin.call(
            "POST",
            "/multitenancy/wallet",
            body={
                "wallet_name": name,
                "wallet_key": self._identity.wallet_key,
                "wallet_key_derivation": "RAW",
                "wallet_type": self._settings.wallet_type,
                "label": f"Stampede holder {number}",
            },
        )
        inbox = Inbox(TOPICS, self._settings.inbox_limit, self._overflow)
        self._inboxes[tenant["wallet_id"]] = inbox
        self._webhooks.register(tenant["wallet_id"], inbox)
        token = tenant["token"]
        pickup = self._settings.mediator_pickup
        phone = RemotePhone(self.admin, token, pickup) if self._settings.has_phones else None
        if phone:
            self._phones[tenant["wallet_id"]] = phone
        return AcapyWallet(
            self.admin, inbox, tenant["wallet_id"], token, self.until_up, self._settings.wallet_type, phone
        )

    async def remove_wallet(self, wallet: AcapyWallet) -> None:
        """Remove a wallet with everything in it."""
        self._webhooks.forget(wallet.wallet_id)
        self._inboxes.pop(wallet.wallet_id, None)
        self._phones.pop(wallet.wallet_id, None)
        await wallet.remove()

    async def _has_exited(self) -> bool:
        """Whether a connection broke, or was refused, because the process exited. Its exit may be noticed a moment
        after its connections broke."""
        if self.is_up and self._process is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), EXIT_NOTICE)
        return not (self.is_up and self._is_running())

    def _is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _launch(self) -> None:
        settings, identity = self._settings, self._identity
        log = self._run_dir / "logs" / f"{self.name}.log"
        with log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                LAUNCHER,
                "start",
                *flags.command_line(settings, identity),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**without_proxies(os.environ), **flags.environment(settings, identity, self._postgresql)},
                cwd=self._run_dir,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await self._is_ready():
                    if not self._is_running():
                        raise AgentError(f"{self.name} exited at start; its log ends with: {last_line(log)}")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AgentError(f"{self.name} was not ready within {START_TIMEOUT:g} s; see {log}") from None
        if self._phones:  # which were there before the agent was
            away = [wallet_id for wallet_id, phone in self._phones.items() if phone.is_away]
            await self.admin.call("POST", "/pickup/restore", body={"away": away})
        self._up.set()

    async def _is_ready(self) -> bool:
        try:
            return bool((await self.admin.call("GET", "/status/ready")).get("ready"))
        except (AgentError, AgentDied):
            return False

    async def _watch(self) -> None:
        """Restart the agent whenever it exits without having been told to, as long as the policy allows it."""
        policy = self._restart_policy
        while True:
            assert self._process is not None
            code = await self._process.wait()
            if self._stopping:
                return
            self._up.clear()
            cause = f"{self.name} ended with {describe_exit(code)}"
            self._announce(EventKind.AGENT_DIED, cause)
            for inbox in self._inboxes.values():
                inbox.fail(AgentDied(cause))
            if policy.exhausted:
                self._announce(EventKind.AGENT_DIED, f"{self.name} is given up after {policy.limit} restarts")
                self._lost.set()
                return
            await asyncio.sleep(policy.next_pause())
            try:
                await self._launch()
            except (AgentError, AgentDied, OSError) as error:
                self._announce(EventKind.AGENT_DIED, str(error))
                if self._is_running():
                    self._process.kill()
            else:
                self._end_cut_short(cause)
                self._announce(EventKind.AGENT_RESTARTED, f"{self.name} is up again, restart {self.restarts}")

    def _end_cut_short(self, cause: str) -> None:
        """Have the holders start again whose wallets lost what was being written when the agent died."""
        _, holders_store = flags.store_names(self._settings, self._identity.number)
        for wallet_id in take_cut_short(folder_of(self._identity.home, holders_store)):
            if inbox := self._inboxes.get(wallet_id):
                inbox.fail(AgentDied(f"{cause} while it wrote to the wallet"), for_good=True)


def check_ports_free(settings: Settings, count: int) -> None:
    """Raise BadInput when a port that an agent needs is in use. With phones there is none."""
    if settings.has_phones:
        return
    for number in range(count):
        port = flags.inbound_port(settings, number)
        with socket.socket(socket.AF_INET6 if ":" in settings.agent_bind else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.family == socket.AF_INET6:  # as the agents listen
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
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
