"""For the tests of the reference services: real holders, tenants of one agent."""

import asyncio
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from reference.agent import Agent
from stampede.machine.ports import free_ports

PATIENCE = 120.0  # seconds that a holder waits for anything


class Holder:
    """One tenant: acts by the admin API, and waits for the webhooks that answer."""

    def __init__(self, agents: "HolderAgent", wallet_id: str, token: str) -> None:
        self._agents = agents
        self._headers = {"Authorization": f"Bearer {token}"}
        self.wallet_id = wallet_id
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.changed = asyncio.Condition()

    async def ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        return await self._agents.agent.request(method, path, json=body, params=query, headers=self._headers)

    async def wait(self, topic: str, test: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The first webhook of this topic that passes the test, seen or to come; each is given once."""
        async with asyncio.timeout(PATIENCE), self.changed:
            while True:
                for place, (name, payload) in enumerate(self.seen):
                    if name == topic and test(payload):
                        del self.seen[place]
                        return payload
                await self.changed.wait()

    async def connect_to_mediator(self, did: str) -> str:
        made = await self.ask("POST", "/didexchange/create-request", their_public_did=did, auto_accept="true")
        connection_id = made["connection_id"]
        await self.wait("connections", lambda it: it["connection_id"] == connection_id and it["state"] == "active")
        asked = await self.ask("POST", f"/mediation/request/{connection_id}", {})
        await self.wait("mediation", lambda it: it["state"] == "granted")
        await self.ask("PUT", f"/mediation/{asked['mediation_id']}/default-mediator")
        return connection_id

    async def receive(self, invitation: dict[str, Any]) -> dict[str, Any]:
        return await self.ask("POST", "/out-of-band/receive-invitation", invitation, auto_accept="true")

    async def connect(self, invitation: dict[str, Any]) -> str:
        connection_id = (await self.receive(invitation))["connection_id"]
        await self.wait("connections", lambda it: it["connection_id"] == connection_id and it["state"] == "active")
        return connection_id

    async def credential(self) -> dict[str, Any]:
        """Wait for the next credential to be stored."""
        done = await self.wait("issue_credential_v2_0", lambda it: it["state"] in ("done", "abandoned"))
        if done["state"] != "done":
            raise AssertionError(f"credential exchange abandoned: {done.get('error_msg')}")
        stored = await self.wait("issue_credential_v2_0_anoncreds", lambda it: bool(it.get("cred_id_stored")))
        return await self.ask("GET", f"/credential/{stored['cred_id_stored']}")

    async def present(self, invitation: dict[str, Any]) -> str:
        await self.receive(invitation)
        done = await self.wait("present_proof_v2_0", lambda it: it["state"] in ("done", "abandoned"))
        return str(done["state"])

    async def credentials(self) -> list[dict[str, Any]]:
        return (await self.ask("GET", "/credentials"))["results"]


class HolderAgent:
    """A multi-tenant ACA-Py agent, the way a load host runs it."""

    def __init__(self, folder: Path, ca_file: Path, plugins: list[str]) -> None:
        self._folder = folder
        self._plugins = plugins
        self._holders: dict[str, Holder] = {}
        self.agent = Agent("holders", [""], folder / "wallet", folder / "holders.log", ca_file)
        self.agent.endpoints = [f"http://localhost:{self.agent.inbound_port}"]

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_post("/topic/{topic}/", self._on_webhook)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        port = free_ports()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        arguments = ["--multitenant", "--multitenant-admin", "--monitor-revocation-notification"]
        arguments += ["--multitenancy-config", json.dumps({"wallet_type": "single-wallet-askar"})]
        arguments += ["--auto-respond-credential-offer", "--auto-store-credential", "--auto-accept-requests"]
        arguments += ["--auto-respond-presentation-request", "--auto-accept-invites"]
        for plugin in self._plugins:
            arguments += ["--plugin", plugin]
        environment = {"ACAPY_WEBHOOK_URL": f"http://127.0.0.1:{port}", "ACAPY_MULTITENANT_JWT_SECRET": "test"}
        self._folder.mkdir(parents=True, exist_ok=True)
        await self.agent.start(arguments, environment)
        await self.agent.ready()

    async def stop(self) -> None:
        await self.agent.stop()
        await self._runner.cleanup()

    async def holder(self, name: str) -> Holder:
        body = {"wallet_name": name, "wallet_key": name, "label": name, "wallet_type": "askar-anoncreds"}
        made = await self.agent.post("/multitenancy/wallet", {**body, "wallet_dispatch_type": "base"})
        holder = Holder(self, made["wallet_id"], made["token"])
        self._holders[holder.wallet_id] = holder
        return holder

    async def _on_webhook(self, request: web.Request) -> web.Response:
        payload = await request.json()
        holder = self._holders.get(request.headers.get("x-wallet-id", ""))
        if holder is not None:
            async with holder.changed:
                holder.seen.append((request.match_info["topic"], payload))
                holder.changed.notify_all()
        return web.Response()


class Client:
    """Asks the reference services by HTTPS."""

    def __init__(self, ca_file: Path) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(ca_file)), limit=100),
            timeout=aiohttp.ClientTimeout(total=120),
        )

    async def get(self, url: str, **query: str) -> Any:
        return (await self.ask("GET", url, params=query))[1]

    async def post(self, url: str, body: Any = None) -> Any:
        status, answer = await self.ask("POST", url, json=body)
        assert status == 200, answer
        return answer

    async def ask(self, method: str, url: str, **options: Any) -> tuple[int, Any]:
        async with self._session.request(method, url, **options) as response:
            return response.status, await response.json()

    async def close(self) -> None:
        await self._session.close()
