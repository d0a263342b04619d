"""The issuer: offers each new connection a revocable credential, revokes it on request, then offers a new one."""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web

from .agent import Agent, AgentError
from .conversation import ASKED_FOR_MENU, Conversation
from .conversation import EVENTS as HEARD
from .did_documents import DidDocuments
from .registry import Registry
from .revocations import AlreadyRevoked, Revocations, UnknownCredential

LOGGER = logging.getLogger(__name__)
ATTRIBUTES = ("name", "number", "since")
MOST_OFFERS = 100  # that an invitation may ask for
EVENTS = (
    "connections::active connections::completed issuer_cred_rev::issued "
    f"issue_credential_v2_0::request-received issue_credential_v2_0::done issue_credential_v2_0::abandoned {HEARD}"
)


@dataclass
class Connection:
    """A holder's connection to the issuer."""

    connection_id: str
    holder_did: str
    invitation_msg_id: str
    credential: tuple[str, str] | None = None  # rev_reg_id, cred_rev_id of the newest
    wants_menu: bool = False  # after a revocation, in place of an offer


class Issuer:
    """Drives the issuer's agent and answers the issuer's HTTP requests."""

    NAME = "issuer"

    def __init__(self, agent: Agent, documents: DidDocuments, registry: Registry, registry_url: str) -> None:
        """`registry_url` is the registry's public base URL."""
        self._agent = agent
        self._documents = documents
        self._registry = registry
        self._registry_url = registry_url
        self._revocations = Revocations(agent, registry)
        self._connections: dict[str, Connection] = {}
        self._by_did: dict[str, Connection] = {}
        self._by_invitation: dict[str, Connection] = {}
        self._by_credential: dict[tuple[str, str], Connection] = {}
        self._conversation = Conversation(agent, self._renew)
        self._menus: set[str] = set()  # invitation_msg_id of those who want a menu
        self._offers: dict[str, int] = {}  # invitation_msg_id -> offers to make at once
        self._exchanges: dict[str, str] = {}  # cred_ex_id -> connection_id
        self._counts: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self.did = ""
        self.cred_def_id = ""

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.post("/issuer/invitation", self._post_invitation),
            web.post("/issuer/revocation", self._post_revocation),
            web.get("/issuer/status", self._get_status),
            web.get("/issuer/revocation-status", self._get_revocation_status),
        ]

    async def set_up(self, registry_size: int) -> None:
        """Create the DID, schema, credential definition and first revocation registry."""
        self.did = self._documents.did(self.NAME)
        options = {"did": self.did, "key_type": "ed25519"}
        made = await self._agent.post("/wallet/did/create", {"method": "web", "options": options})
        self._documents.publish(self.NAME, made["result"]["verkey"], self._agent.endpoints, self._registry_url)
        schema = {"issuerId": self.did, "name": "membership", "version": "1.0", "attrNames": list(ATTRIBUTES)}
        answer = await self._agent.post("/anoncreds/schema", {"schema": schema, "options": {}})
        schema_id = answer["schema_state"]["schema_id"]
        answer = await self._agent.post(
            "/anoncreds/credential-definition",
            {
                "credential_definition": {"issuerId": self.did, "schemaId": schema_id, "tag": "membership"},
                "options": {"support_revocation": True, "revocation_registry_size": registry_size},
            },
        )
        self.cred_def_id = answer["credential_definition_state"]["credential_definition_id"]
        await self._first_registry()

    async def _first_registry(self, seconds: float = 60) -> None:
        """Wait for the revocation registry, which ACA-Py creates after it has answered."""
        path = f"/anoncreds/revocation/active-registry/{quote(self.cred_def_id, safe='')}"
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                await self._agent.get(path)
                return
            except AgentError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(0.1)

    async def run(self) -> None:
        """Publish revocations as they arrive, until cancelled."""
        try:
            await self._revocations.run()
        finally:
            for task in self._tasks:
                task.cancel()

    def on_event(self, topic: str, payload: dict[str, Any]) -> None:
        """Handle an event of the agent; a new connection gets its offer."""
        match topic:
            case "connections::active" | "connections::completed":
                self._on_connection(payload)
            case "issue_credential_v2_0::request-received":
                self._exchanges[payload["cred_ex_id"]] = payload.get("connection_id", "")
            case "issuer_cred_rev::issued":
                self._on_issued(payload)
            case "issue_credential_v2_0::done":
                self._exchanges.pop(payload["cred_ex_id"], None)
                self._counts["accepted"] += 1
            case "issue_credential_v2_0::abandoned":
                self._exchanges.pop(payload["cred_ex_id"], None)
                self._counts["failed"] += 1
                LOGGER.warning("a credential exchange was abandoned: %s", payload.get("error_msg"))
            case _:
                self._soon(self._conversation.on_event(topic, payload))

    def _on_connection(self, payload: dict[str, Any]) -> None:
        connection_id = payload["connection_id"]
        if connection_id in self._connections:
            return
        connection = Connection(connection_id, payload.get("their_did") or "", payload.get("invitation_msg_id") or "")
        connection.wants_menu = connection.invitation_msg_id in self._menus
        self._menus.discard(connection.invitation_msg_id)
        self._connections[connection_id] = connection
        self._by_did[_short_did(connection.holder_did)] = connection
        self._by_invitation[connection.invitation_msg_id] = connection
        self._counts["connections"] += 1
        for _ in range(self._offers.pop(connection.invitation_msg_id, 1)):
            self._offer_soon(connection)

    def _on_issued(self, payload: dict[str, Any]) -> None:
        self._counts["issued"] += 1
        connection = self._connections.get(self._exchanges.get(payload["cred_ex_id"], ""))
        if connection is None:
            LOGGER.warning("a credential was issued on an unknown connection: %s", payload)
            return
        connection.credential = (sys.intern(payload["rev_reg_id"]), str(payload["cred_rev_id"]))
        self._by_credential[connection.credential] = connection

    def _renew(self, connection_id: str, name: str) -> None:
        """A holder has chosen to renew its credential, with this name in it."""
        if connection := self._connections.get(connection_id):
            self._offer_soon(connection, name)

    def _offer_soon(self, connection: Connection, name: str = "") -> None:
        self._soon(self._offer(connection, name))

    def _soon(self, doing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _offer(self, connection: Connection, name: str, attempts: int = 5) -> None:
        body = self._offer_body(name) | {"connection_id": connection.connection_id}
        for attempt in range(1, attempts + 1):
            try:
                await self._agent.post("/issue-credential-2.0/send-offer", body)
                return
            except AgentError as err:
                LOGGER.warning("offer to %s, attempt %d: %s", connection.connection_id, attempt, err)
                await asyncio.sleep(attempt)
        self._counts["failed"] += 1

    def _offer_body(self, name: str = "") -> dict[str, Any]:
        """What is offered next."""
        values = {"name": name or f"Holder {len(self._connections)}", "number": str(self._counts["offered"] + 1)}
        values["since"] = "2026-01-01"
        preview = [{"name": name, "value": values[name]} for name in ATTRIBUTES]
        self._counts["offered"] += 1
        return {
            "filter": {"anoncreds": {"cred_def_id": self.cred_def_id}},
            "credential_preview": {"@type": "issue-credential/2.0/credential-preview", "attributes": preview},
            "auto_issue": True,
            "auto_remove": True,
        }

    async def _post_invitation(self, request: web.Request) -> web.StreamResponse:
        """An invitation. In the query ``offers=N``: so many offers at once; ``did=1``: by the issuer's DID;
        ``menu=1``: after a revocation, a menu in place of a new offer;
        ``attached=1``: with the offer attached to it, ``attached=alone``: and without a connection."""
        offers = request.query.get("offers", "1")
        if not offers.isdecimal() or int(offers) > MOST_OFFERS:
            raise web.HTTPBadRequest(text=f"offers is {offers[:100]!r}; it must be a number from 0 to {MOST_OFFERS}.")
        body: dict[str, Any] = {
            "handshake_protocols": ["https://didcomm.org/didexchange/1.1"],
            "accept": ["didcomm/aip2;env=rfc19"],
        }
        if request.query.get("did"):
            body["use_did"] = self.did
        if attached := request.query.get("attached"):
            offers = "0"
            made = await self._agent.post("/issue-credential-2.0/create-offer", self._offer_body())
            body["attachments"] = [{"id": made["cred_ex_id"], "type": "credential-offer"}]
            if attached == "alone":
                del body["handshake_protocols"]
        made = await self._agent.post("/out-of-band/create-invitation", body, auto_accept="true")
        if offers != "1":
            self._offers[made["invitation"]["@id"]] = int(offers)
        if request.query.get("menu"):
            self._menus.add(made["invitation"]["@id"])
        self._counts["invitations"] += 1
        return web.json_response({"invitation": made["invitation"], "invitation_url": made["invitation_url"]})

    async def _post_revocation(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise web.HTTPBadRequest(text="The body must be a JSON object.")
        connection, credential = self._find(body)
        try:
            await self._revocations.revoke(credential, connection.connection_id)
        except UnknownCredential as err:
            raise web.HTTPNotFound(text=str(err)) from err
        except AlreadyRevoked as err:
            raise web.HTTPConflict(text=str(err)) from err
        self._counts["revoked"] += 1
        if connection.wants_menu:
            self._soon(self._conversation.on_event(ASKED_FOR_MENU, {"connection_id": connection.connection_id}))
        else:
            self._offer_soon(connection)
        return web.json_response({"rev_reg_id": credential[0], "cred_rev_id": credential[1], "revoked": True})

    def _find(self, body: dict[str, Any]) -> tuple[Connection, tuple[str, str]]:
        if body.get("rev_reg_id") and body.get("cred_rev_id"):
            credential = (str(body["rev_reg_id"]), str(body["cred_rev_id"]))
            connection = self._by_credential.get(credential)
            if connection is None:
                what = f"cred_rev_id {credential[1]} of rev_reg_id {credential[0]}"
                raise web.HTTPNotFound(text=f"No credential with {what} was issued.")
            return connection, credential
        if body.get("did"):
            connection = self._by_did.get(_short_did(str(body["did"])))
            what = f"DID {body['did']}"
        elif body.get("invitation_msg_id"):
            connection = self._by_invitation.get(str(body["invitation_msg_id"]))
            what = f"invitation {body['invitation_msg_id']}"
        else:
            raise web.HTTPBadRequest(text="The body needs rev_reg_id and cred_rev_id, or did, or invitation_msg_id.")
        if connection is None:
            raise web.HTTPNotFound(text=f"There is no connection with {what}.")
        if connection.credential is None:
            raise web.HTTPNotFound(text=f"The connection with {what} has no credential yet.")
        return connection, connection.credential

    async def _get_status(self, request: web.Request) -> web.StreamResponse:
        names = ("invitations", "connections", "offered", "issued", "accepted", "revoked", "failed")
        return web.json_response({name: self._counts[name] for name in names})

    async def _get_revocation_status(self, request: web.Request) -> web.StreamResponse:
        rev_reg_id, cred_rev_id = request.query.get("rev_reg_id", ""), request.query.get("cred_rev_id", "")
        if not rev_reg_id or not cred_rev_id.isdigit():
            raise web.HTTPBadRequest(text="The query needs rev_reg_id and cred_rev_id (a number).")
        revoked = self._registry.revocation_status(rev_reg_id, int(cred_rev_id))
        if revoked is None:
            raise web.HTTPNotFound(text=f"The registry has no place {cred_rev_id} in {rev_reg_id}.")
        return web.json_response({"rev_reg_id": rev_reg_id, "cred_rev_id": cred_rev_id, "revoked": revoked})


def _short_did(did: str) -> str:
    """The short form of a did:peer:4, which has two equivalent forms; other DIDs have one."""
    return ":".join(did.split(":")[:3]) if did.startswith("did:peer:4") else did
