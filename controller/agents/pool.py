"""All agents of this host and the wallets in them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import psutil

from controller.acapy_patches import registry
from controller.agents.acapy_wallet import IGNORED_TOPICS, TOPICS, AcapyWallet
from controller.agents.flags import patch_names
from controller.agents.inbox import Overflow
from controller.agents.ledgers import write_ledgers
from controller.agents.postgresql import Postgresql
from controller.agents.process import AgentProcess, Announce, check_ports_free
from controller.agents.webhooks import WebhookReceiver
from stampede.machine.ports import HeldPorts
from stampede.machine.trust import write_trust_file
from stampede.machine.wallet_space import TMPFS, lacking_space
from stampede.schema.errors import BadInput, StepError
from stampede.schema.records import EventKind
from stampede.schema.settings.run_settings import Settings

LOGGER = logging.getLogger(__name__)

CONCURRENT_CREATIONS = 4
"""Wallets that an agent creates at the same time."""
WALLET_DIR_PREFIX = "stampede-"
"""Of the folders with wallets; the controller's process id follows."""


class AgentPool:
    """Starts the agents, creates one wallet per holder, spread evenly, and removes everything again."""

    def __init__(
        self,
        settings: Settings,
        run_dir: Path,
        announce: Announce,
        secret_values: Mapping[str, str],
        overflow: Overflow | None = None,
    ) -> None:
        self.agents: list[AgentProcess] = []
        self._admin_ports: HeldPorts | None = None
        self._overflow = overflow
        self._settings = settings
        self._run_dir = run_dir
        self._announce = announce
        self._postgresql = (
            Postgresql.from_url(settings.postgresql_url, secret_values.get("postgresql_password", ""))
            if settings.wallet_storage == "postgresql"
            else None
        )
        self._wallets: dict[int, AcapyWallet] = {}
        self._agents_of: dict[int, AgentProcess] = {}
        self._places = itertools.count()
        self._webhooks = WebhookReceiver(TOPICS, IGNORED_TOPICS, overflow)
        self._session: aiohttp.ClientSession | None = None
        self._wallet_dir = Path()

    async def __aenter__(self) -> Self:
        count = self._settings.agents or psutil.cpu_count() or 1
        check_ports_free(self._settings, count)
        check_space(self._settings, count, wallet_dir_parent(self._run_dir))
        self._wallet_dir = create_wallet_dir(self._run_dir)
        await self._webhooks.__aenter__()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        trust_file = write_trust_file(
            self._run_dir / "trust.pem",
            *sorted({self._settings.ca_file, *(service.ca_file for service in self._settings.services.values())}),
        )
        self._admin_ports = HeldPorts(count)
        self.agents = [
            AgentProcess(
                number,
                self._settings,
                admin_port=self._admin_ports.first + number,
                run_dir=self._run_dir,
                wallet_dir=self._wallet_dir,
                trust_file=trust_file,
                webhooks=self._webhooks,
                session=self._session,
                announce=self._announce,
                postgresql=self._postgresql,
                overflow=self._overflow,
            )
            for number in range(count)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for outcome in await asyncio.gather(*(agent.stop() for agent in self.agents), return_exceptions=True):
            if isinstance(outcome, Exception):
                LOGGER.error("an agent did not stop cleanly: %s", outcome)
        if self._session:
            await self._session.close()
        if self._admin_ports:
            self._admin_ports.release()
        await self._webhooks.__aexit__(kind, error, trace)
        shutil.rmtree(self._wallet_dir, ignore_errors=True)

    @property
    def ready(self) -> int:
        """How many wallets have been created."""
        return len(self._wallets)

    async def start(self) -> None:
        """Start all agents and create all wallets. Raises AgentError."""
        self._report_patches_left_out()
        await write_ledgers(self._settings, self._run_dir)
        async with asyncio.TaskGroup() as group:
            for agent in self.agents:
                group.create_task(agent.start())
        agents, numbers = len(self.agents), self._settings.load.wallets
        for number in numbers:
            self._agent_of(number)
        async with asyncio.TaskGroup() as group:  # an agent's first wallet creates its store: not concurrently
            for number in numbers[:agents]:
                group.create_task(self.make(number))
        stride = agents * CONCURRENT_CREATIONS
        async with asyncio.TaskGroup() as group:
            for place in range(agents, agents + stride):
                group.create_task(self._make_all(numbers[place::stride]))

    async def _make_all(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            await self.make(number)

    def _report_patches_left_out(self) -> None:
        left_out = registry.left_out(patch_names(self._settings))
        if left_out:
            reasons = "; ".join(f"{name} ({reason})" for name, reason in left_out.items())
            self._announce(EventKind.PATCHES_LEFT_OUT, f"the agents run without these patches: {reasons}")

    def _agent_of(self, number: int) -> AgentProcess:
        """Each agent gets as many holders as another, whichever numbers are this host's."""
        if number not in self._agents_of:
            self._agents_of[number] = self.agents[next(self._places) % len(self.agents)]
        return self._agents_of[number]

    def get(self, number: int) -> AcapyWallet:
        """See controller.run.Wallets."""
        return self._wallets[number]

    async def make(self, number: int) -> None:
        """See controller.run.Wallets."""
        self._wallets[number] = await self._agent_of(number).create_wallet(number)

    async def remove(self, number: int) -> None:
        """See controller.run.Wallets."""
        if wallet := self._wallets.pop(number, None):
            try:
                await self._agents_of.pop(number).remove_wallet(wallet)
            except StepError as error:
                self._announce(EventKind.WALLET_KEPT, f"the wallet of holder {number} was not removed: {error}")

    async def replace(self, number: int) -> AcapyWallet:
        """See controller.run.Wallets."""
        agent, former = self._agent_of(number), self._wallets[number]
        self._wallets[number] = await agent.create_wallet(number)
        try:
            await agent.remove_wallet(former)
        except StepError as error:
            self._announce(EventKind.WALLET_KEPT, f"the former wallet of holder {number} was not removed: {error}")
        return self._wallets[number]


def check_space(settings: Settings, agents: int, folder: Path) -> None:
    """Raise BadInput when ``folder`` is too small for this host's wallets."""
    if lacking := lacking_space(settings.wallet_storage, folder, agents, settings.load.holders):
        raise BadInput(f"{settings.host_name}: {lacking}")


def create_wallet_dir(run_dir: Path) -> Path:
    """Create a private folder for the files of wallets."""
    return Path(tempfile.mkdtemp(prefix=f"{WALLET_DIR_PREFIX}{os.getpid()}-", dir=wallet_dir_parent(run_dir)))


def wallet_dir_parent(run_dir: Path) -> Path:
    """Where folders for wallets are created: in memory where the host has /dev/shm."""
    return TMPFS if os.access(TMPFS, os.W_OK) else run_dir
