"""ACA-Py as it comes: its own command, no plugin unless one is named, driven by its admin API."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
from installs import installed, python, virtualenv

from reference.wallets import create_wallet_folder
from stampede.machine.ports import free_ports

KEY = "interop-admin-key"
CURRENT = Path(sys.executable).with_name("aca-py")
"""ACA-Py 1.7.0, which runs the holders too."""
START_LIMIT = 180


class StockAgent:
    """An agent in a process of its own. ``endpoint``, ``admin`` are its addresses."""

    def __init__(
        self,
        name: str,
        *arguments: str,
        program: Path = CURRENT,
        wallet_type: str = "askar-anoncreds",
        ledger: str = "",
        transports: Sequence[str] = ("http",),
        plugins: Sequence[str] = (),
    ) -> None:
        """``arguments`` are further ones of `aca-py start`, ``ledger`` a genesis URL or nothing."""
        self.name = name
        self.classic = wallet_type == "askar"
        first = free_ports(1 + len(transports))
        self.admin = f"http://127.0.0.1:{first}"
        ports = {transport: first + number for number, transport in enumerate(transports, 1)}
        self.endpoints = [f"{transport}://127.0.0.1:{port}" for transport, port in ports.items()]
        self._command = [
            *(str(program), "start", "--label", name, "--endpoint", *self.endpoints),
            *("--admin", "127.0.0.1", str(first), "--admin-api-key", KEY),
            *("--outbound-transport", "http", "--outbound-transport", "ws", "--auto-accept-requests"),
            *("--wallet-type", wallet_type, "--wallet-name", name, "--wallet-key", "key", "--auto-provision"),
            *("--log-level", "warning", *arguments, *(("--genesis-url", ledger) if ledger else ("--no-ledger",))),
        ]
        for transport, port in ports.items():
            self._command += ["--inbound-transport", transport, "127.0.0.1", str(port)]
        for plugin in plugins:
            self._command += ["--plugin", plugin]

    async def start(self, folder: Path, webhooks: str, trust: Path, **environment: str) -> None:
        """Returns when it is ready; ``webhooks`` is the URL that its events are posted to."""
        self._home = home = create_wallet_folder()  # in memory: on a busy disk SQLite is too slow for ACA-Py
        self.log = folder / f"{self.name}.log"
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                *("--webhook-url", f"{webhooks}/{self.name}"),
                stdout=log,
                stderr=log,
                stdin=asyncio.subprocess.DEVNULL,
                env=os.environ
                | {"HOME": str(home), "ACAPY_HOME": str(home), "SSL_CERT_FILE": str(trust)}
                | {"REQUESTS_CA_BUNDLE": str(trust), "PYTHONWARNINGS": "ignore"}
                | environment,
            )
        self._session = aiohttp.ClientSession(self.admin, headers={"X-API-Key": KEY})
        async with asyncio.timeout(START_LIMIT):
            while not await self._ready():
                assert self._process.returncode is None, f"{self.name} ended: {self.log.read_text()[-2000:]}"
                await asyncio.sleep(0.2)

    async def _ready(self) -> bool:
        try:
            async with self._session.get("/status/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def post(self, path: str, body: Any = None, **query: str) -> dict[str, Any]:
        """The answer of an admin API's POST. Raises AssertionError when it refuses."""
        return await self._call("POST", path, body or {}, query)

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """The answer of an admin API's GET."""
        return await self._call("GET", path, None, query)

    async def _call(self, method: str, path: str, body: Any, query: dict[str, str]) -> dict[str, Any]:
        async with self._session.request(method, path, json=body, params=query) as answer:
            text = await answer.text()
            assert answer.status < 400, f"{self.name}: {method} {path}: {answer.status} {text[:300]}"
            found: dict[str, Any] = json.loads(text)
            return found

    async def stop(self) -> None:
        """End it."""
        if hasattr(self, "_session"):
            await self._session.close()
        if hasattr(self, "_process") and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if hasattr(self, "_home"):
            shutil.rmtree(self._home)


OLD_VERSIONS = ("0.12.4", "1.0.1")
OLD_NEEDS = ("aries-askar==0.3.2", "indy-credx==1.1.1", "indy-vdr==0.4.2", "anoncreds==0.2.0", "setuptools<80")
"""What aries-cloudagent's optional dependency `askar` names, in versions with wheels; apispec wants distutils."""


def old_acapy(version: str) -> Path:
    """The `aca-py` of an aries-cloudagent before it became acapy-agent. Raises Missing."""
    interpreter, requirements = python(12), (f"aries-cloudagent=={version}", *OLD_NEEDS)
    place = installed(
        f"aries-cloudagent-{version}", requirements, lambda made: virtualenv(made, interpreter, *requirements)
    )
    return place / "bin/aca-py"
