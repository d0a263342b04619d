"""The mediator: grants mediation to everyone who connects via its public did:web DID."""

from typing import Any

from aiohttp import web

from .agent import Agent
from .did_documents import DidDocuments

EVENTS = "mediation::granted"


class Mediator:
    """Drives the mediator's agent and reports what it forwarded."""

    NAME = "mediator"

    def __init__(self, agent: Agent, documents: DidDocuments) -> None:
        """`agent` must run with --open-mediation."""
        self._agent = agent
        self._documents = documents
        self._mediated: set[str] = set()
        self.did = ""

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [web.get("/mediator/status", self._get_status)]

    async def set_up(self) -> None:
        """Create the public DID and the routing DID."""
        self.did = self._documents.did(self.NAME)
        options = {"did": self.did, "key_type": "ed25519"}
        made = await self._agent.post("/wallet/did/create", {"method": "web", "options": options})
        self._documents.publish(self.NAME, made["result"]["verkey"], self._agent.endpoints)
        await self._agent.post("/wallet/did/public", did=self.did)
        await self._agent.post("/reference/routing-did")

    def on_event(self, topic: str, payload: dict[str, Any]) -> None:
        """Record a connection that was granted mediation."""
        self._mediated.add(payload["connection_id"])

    async def _get_status(self, request: web.Request) -> web.StreamResponse:
        forwarded: dict[str, int] = await self._agent.get("/reference/forwards")
        pickup: dict[str, int] = await self._agent.get("/reference/pickup")
        connections = {**dict.fromkeys(sorted(self._mediated), 0), **forwarded}
        return web.json_response(
            {
                "mediations": len(self._mediated),
                "forwarded": sum(forwarded.values()),
                **pickup,
                "connections": connections,
            }
        )
