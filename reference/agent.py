"""One ACA-Py agent: its process and its admin API."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from controller.acapy_patches import registry
from stampede.machine.ports import HeldPorts
from stampede.machine.proxies import without_proxies

PATCHES = registry.GENERAL + registry.STORAGE["memory"]
"""What the agents start with: the same as the holders' agents, so that one machine bears more of both."""


class AgentError(Exception):
    """The agent did not start, exited, or rejected a request."""


class Agent:
    """An ACA-Py process that listens on the loopback interface only.

    Secrets (admin key, wallet key, tokens) are passed in the environment, so that no process list shows them.
    """

    def __init__(self, name: str, endpoints: Sequence[str], folder: Path, log: Path, trust_file: Path) -> None:
        """`folder` holds the wallet and tails files.

        `endpoints` are the public DIDComm URLs: one for HTTP, which may be followed by one for WebSockets.
        """
        self.name = name
        self.endpoints = endpoints
        self.log = log
        self._ports = HeldPorts(3)  # held, for other processes look for some while ACA-Py is still starting
        self.inbound_port, self.sockets_port, self._admin_port = range(self._ports.first, self._ports.first + 3)
        self._admin_key = secrets.token_urlsafe(24)
        self._folder = folder
        self._trust_file = trust_file
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def pid(self) -> int | None:
        """The process id; None before the start."""
        return self._process.pid if self._process else None

    @property
    def has_sockets(self) -> bool:
        """Whether it takes messages by WebSocket, too."""
        return len(self.endpoints) > 1

    @property
    def died(self) -> bool:
        """Whether the process was started and has exited."""
        return self._process is not None and self._process.returncode is not None

    async def start(self, arguments: Sequence[str], environment: dict[str, str]) -> None:
        """Start the process; `ready` waits until it can be used."""
        self._folder.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "controller.agents.launcher", "start", *self._arguments(), *arguments]
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self._environment(), **environment},
                start_new_session=True,
            )
        self._session = aiohttp.ClientSession(
            f"http://127.0.0.1:{self._admin_port}",
            headers={"X-API-Key": self._admin_key},
            timeout=aiohttp.ClientTimeout(total=120),
            connector=aiohttp.TCPConnector(limit=40),
        )

    async def ready(self, seconds: float = 60) -> None:
        """Wait until the admin API answers. Raises AgentError with the end of the log when it does not."""
        try:
            async with asyncio.timeout(seconds):
                while not await self._answers():
                    if self.died:
                        raise AgentError(self.failure())
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AgentError(self.failure(f"did not answer within {seconds:.0f} s")) from None

    async def stop(self, grace: float = 3) -> None:
        """Stop the process: SIGTERM, then SIGKILL after `grace` seconds."""
        self._ports.release()
        if self._session:
            await self._session.close()
        if self._process is None:
            return
        for stop in (self._process.terminate, self._process.kill):
            if self._process.returncode is None:
                stop()
                try:
                    await asyncio.wait_for(self._process.wait(), grace)
                except TimeoutError:
                    continue

    async def get(self, path: str, **query: str) -> Any:
        """GET from the admin API."""
        return await self.request("GET", path, params=query)

    async def post(self, path: str, body: Any = None, **query: str) -> Any:
        """POST to the admin API."""
        return await self.request("POST", path, json=body, params=query)

    async def request(self, method: str, path: str, **options: Any) -> Any:
        """One request to the admin API; `options` are aiohttp's. Raises AgentError."""
        assert self._session is not None, "the agent has not been started"
        try:
            async with self._session.request(method, path, **options) as response:
                text = await response.text()
                if response.status >= 400:
                    reason = f"{response.status} {response.reason}: {text[:300]}"
                    raise AgentError(f"agent {self.name}: {method} {path} answered {reason}")
                return json.loads(text) if text else None
        except (aiohttp.ClientError, TimeoutError) as err:
            reason = f"failed: {err or type(err).__name__}"
            raise AgentError(f"agent {self.name}: {method} {path} {reason}") from err

    async def _answers(self) -> bool:
        assert self._session is not None, "the agent has not been started"
        try:
            async with self._session.get("/status/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    def _arguments(self) -> list[str]:
        return [
            *("--label", f"Stampede reference {self.name}", "--endpoint", *self.endpoints),
            *("--inbound-transport", "http", "127.0.0.1", str(self.inbound_port)),
            *self._sockets(),
            *("--outbound-transport", "http", "--outbound-transport", "ws"),
            *("--admin", "127.0.0.1", str(self._admin_port)),
            *("--wallet-type", "askar-anoncreds", "--wallet-name", self.name, "--auto-provision"),
            *("--wallet-key-derivation-method", "RAW"),
            *("--no-ledger", "--log-level", "warning"),
        ]

    def _sockets(self) -> list[str]:
        """WebSockets, each of which is pinged now and then: those of thousands of phones are to cost little."""
        if not self.has_sockets:
            return []
        return [
            *("--inbound-transport", "ws", "127.0.0.1", str(self.sockets_port)),
            *("--ws-heartbeat-interval", "30", "--ws-timeout-interval", "90"),
        ]

    def _environment(self) -> dict[str, str]:
        import aries_askar

        return {
            **{name: value for name, value in without_proxies(os.environ).items() if not name.startswith("ACAPY_")},
            "HOME": str(self._folder),
            "ACAPY_HOME": str(self._folder),
            "ACAPY_ADMIN_API_KEY": self._admin_key,
            "ACAPY_WALLET_KEY": aries_askar.Store.generate_raw_key(),
            "SSL_CERT_FILE": str(self._trust_file),
            "REQUESTS_CA_BUNDLE": str(self._trust_file),
            "STAMPEDE_PATCHES": " ".join(PATCHES),  # for the launcher
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore",
        }

    def failure(self, what: str = "", lines: int = 15) -> str:
        """A message about this agent's failure: `what` happened, or its exit code, and the last lines of its log."""
        what = what or f"exited with code {self._process.returncode if self._process else '?'}"
        try:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            tail = ""
        return f"agent {self.name} {what}; its log {self.log} ends with:\n{tail}"
