"""Controllers of stock agents, as deployments of ACA-Py have them: HTTPS endpoints that answer with an invitation,
and webhooks at which the next message is sent.

`/AGENT/invitation` invites to a connection over which a credential is offered; `/AGENT/request` is a proof request;
`/AGENT/revocation` revokes. The query says in which of many ways (see ``Mode``).
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from acapy_agent.did.did_key import DIDKey
from aiohttp import web
from stock_agents import StockAgent

from reference.ca import Authority
from reference.did_documents import DidDocuments
from reference.registry import Registry
from reference.tails import TailsFiles
from stampede.machine.ports import free_ports

TOKEN = "interop-registry-token"
ATTRIBUTES = ("name", "number", "since")
DIDCOMM = "https://didcomm.org/"

type Mode = dict[str, str]
"""The query of an endpoint: `hs` handshake protocols or none; `did` a method, `web` or `public`; `multi` one
invitation for all; `offer` none, attached or twice; `format` of offer or proof; `plain` without revocation; `of` the
issuer of what is asked for; `over` connection or attached; `self` also a self-attested answer; `verify` never or
decline; `as` and `enc` how the answer carries the invitation; `d_m` as a URL's parameter; `elder` by RFC 0160;
`renew` to offer another credential after a revocation."""


class Controllers:
    """Agents with their controllers, one HTTPS gateway for all, and the registry of the did:web AnonCreds method."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder, "localhost")
        self.port, self._hooks = free_ports(), free_ports()
        self.url = f"https://localhost:{self.port}"
        self.documents = DidDocuments("localhost", self.port)
        self.registry = self.url + Registry.PREFIX
        self.tails = self.url + TailsFiles.PREFIX
        self.token = TOKEN
        self.agents: dict[str, StockAgent] = {}
        self.genesis = ""
        self._registry, self._tails = Registry(folder / "registry", TOKEN), TailsFiles(folder / "tails")
        self.definitions: dict[tuple[str, str], str] = {}
        """Ids of credential definitions, by the issuer's name and revocable or plain."""
        self.sov: dict[str, str] = {}
        """DIDs on the Indy ledger, by the agent's name."""
        self._invited: dict[str, Mode] = {}
        """How the connection of an invitation goes on, by the invitation's id."""
        self._presented: dict[str, Mode] = {}
        self._issued: dict[tuple[str, str], tuple[str, str]] = {}
        """Connection and exchange of a credential, by registry and index."""
        self._kept: dict[str, Any] = {}
        """Invitations for all, short URLs, answers that are not ready."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._revoking = asyncio.Lock()
        """ACA-Py publishes one revocation after another, or loses some; a list's version is known by its second."""

    # ---- start and end

    async def start(self) -> None:
        gateway = web.Application(client_max_size=64 << 20, middlewares=[_refusals])
        gateway.add_routes(
            [
                *(*self.documents.routes(), *self._registry.routes(), *self._tails.routes()),
                web.route("*", "/{agent:[a-z0-9]+}/invitation", self._invitation),
                web.route("*", "/{agent:[a-z0-9]+}/request", self._request),
                web.post("/{agent:[a-z0-9]+}/revocation", self._revocation),
                web.get("/short/{id}", self._short),
                web.get("/poll/{id}", self._poll),
                web.get("/genesis", self._genesis),
                web.put("/tails/{name:.+:4:.+}", self._put_tails),
                web.get("/tails/{name:.+:4:.+}", self._get_tails),
            ]
        )
        hooks = web.Application(client_max_size=64 << 20)
        hooks.add_routes([web.post("/{agent}/topic/{topic}/", self._hook), web.get("/genesis", self._genesis)])
        await self._serve(gateway, self.port, self.authority.server_context())
        await self._serve(hooks, self._hooks)

    async def _serve(self, app: web.Application, port: int, tls: ssl.SSLContext | None = None) -> None:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()

    @property
    def genesis_url(self) -> str:
        return f"http://127.0.0.1:{self._hooks}/genesis"

    async def add(self, agent: StockAgent) -> StockAgent:
        """Start an agent."""
        self.agents[agent.name] = agent
        hooks = f"http://127.0.0.1:{self._hooks}"
        await agent.start(self.folder, hooks, self.authority.trust_file, DIDWEB_ANONCREDS_TOKEN=TOKEN)
        return agent

    async def stop(self) -> None:
        await asyncio.gather(*(agent.stop() for agent in self.agents.values()))

    # ---- what issuers and verifiers need first

    async def give_did_web(self, agent: StockAgent, *, public: bool = True) -> str:
        """A did:web DID with its document."""
        did = self.documents.did(agent.name)
        options = {"method": "web", "options": {"did": did, "key_type": "ed25519"}}
        made = await agent.post("/wallet/did/create", options)
        self.documents.publish(agent.name, made["result"]["verkey"], agent.endpoints, self.registry)
        if public:
            await agent.post("/wallet/did/public", did=did)
        return did

    async def give_did_sov(self, agent: StockAgent, trustee: StockAgent) -> None:
        """A DID on the ledger, with its whole key and an endpoint, made public."""
        made = (await agent.post("/wallet/did/create", {"method": "sov"}))["result"]
        did = self.sov[agent.name] = made["did"]
        await trustee.post("/ledger/register-nym", did=did, verkey=made["verkey"], role="ENDORSER")
        async with asyncio.timeout(60):
            while not await _answers(agent.post("/wallet/did/public", did=did)):
                await asyncio.sleep(0.5)

    def publish(self, name: str, endpoint: str) -> str:
        """A did:web DID for an agent that needs it for its AnonCreds objects alone."""
        return self.documents.publish(name, "CoRER63DVYnWZtK8uAzNbx3bLF1qPGVt4oxVjTFqUqfK", [endpoint], self.registry)

    async def make_issuer(self, agent: StockAgent, did: str) -> None:
        """Schema and two credential definitions: one with revocation, one without."""
        schema = await self._make_schema(agent, did)
        for tag in ("revocable", "plain"):
            self.definitions[agent.name, tag] = await self._make_definition(agent, did, schema, tag)
        path = "/revocation" if agent.classic else "/anoncreds/revocation"
        path += "/active-registry/" + quote(self.definitions[agent.name, "revocable"], safe="")
        async with asyncio.timeout(120):
            while not await _answers(agent.get(path)):
                await asyncio.sleep(0.3)

    async def _make_schema(self, agent: StockAgent, did: str) -> str:
        version = f"1.{int(time.time()) % 1_000_000}"
        if agent.classic:
            body: dict[str, Any] = {
                "schema_name": "member",
                "schema_version": version,
                "attributes": list(ATTRIBUTES),
            }
            return str((await agent.post("/schemas", body))["schema_id"])
        schema = {"issuerId": did, "name": "member", "version": version, "attrNames": list(ATTRIBUTES)}
        return str(
            (await agent.post("/anoncreds/schema", {"schema": schema, "options": {}}))["schema_state"]["schema_id"]
        )

    async def _make_definition(self, agent: StockAgent, did: str, schema: str, tag: str) -> str:
        options: dict[str, Any] = {"support_revocation": tag == "revocable"}
        if tag == "revocable":
            options["revocation_registry_size"] = 64
        if agent.classic:
            made = await agent.post(
                "/credential-definitions", {"schema_id": schema, "tag": agent.name + tag} | options
            )
            return str(made["credential_definition_id"])
        definition = {"issuerId": did, "schemaId": schema, "tag": agent.name + tag}
        made = await agent.post(
            "/anoncreds/credential-definition", {"credential_definition": definition, "options": options}
        )
        return str(made["credential_definition_state"]["credential_definition_id"])

    # ---- what happens at the agents

    async def _hook(self, request: web.Request) -> web.Response:
        agent, topic = self.agents[request.match_info["agent"]], request.match_info["topic"]
        task = asyncio.create_task(self._on(agent, topic, await request.json()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.Response()

    async def _on(self, agent: StockAgent, topic: str, event: dict[str, Any]) -> None:
        match topic, event.get("rfc23_state") or event.get("state"):
            case "connections", "completed":
                alias = event.get("alias") or ""
                found = self._invited.get(event.get("invitation_msg_id") or "")
                mode = found or (json.loads(alias) if alias.startswith("{") else None)
                if mode and self._kept.setdefault(f"{agent.name}/{event['connection_id']}", mode) is not None:
                    await self._go_on(agent, event["connection_id"], mode)
            case "issuer_cred_rev", "issued":
                exchange = (await agent.get(f"/issue-credential-2.0/records/{event['cred_ex_id']}"))["cred_ex_record"]
                key = event["rev_reg_id"], str(event["cred_rev_id"])
                self._issued[key] = exchange.get("connection_id", ""), exchange["thread_id"]
            case "present_proof_v2_0", "presentation-received":
                if self._presented.get(event["pres_ex_id"], {}).get("verify") == "decline":
                    path = f"/present-proof-2.0/records/{event['pres_ex_id']}/problem-report"
                    await agent.post(path, {"description": "not today"})

    async def _go_on(self, agent: StockAgent, connection_id: str, mode: Mode) -> None:
        """A connection is there: offer a credential over it, or ask for a proof. Once."""
        if mode.get("done " + connection_id):
            return
        mode["done " + connection_id] = "yes"
        if mode["endpoint"] == "invitation":
            for _ in range({"none": 0, "attached": 0, "twice": 2}.get(mode.get("offer", ""), 1)):
                offer = self._offer(agent, mode) | {"connection_id": connection_id}
                await agent.post("/issue-credential-2.0/send-offer", offer)
        elif mode.get("over") == "connection":
            body = self._proof(agent, mode) | {"connection_id": connection_id}
            await agent.post("/present-proof-2.0/send-request", body)

    def _offer(self, agent: StockAgent, mode: Mode) -> dict[str, Any]:
        values = {"name": "Alice", "number": secrets.token_hex(4), "since": "2026"}
        preview = [{"name": name, "value": value} for name, value in values.items()]
        kind = mode.get("format") or ("indy" if agent.classic else "anoncreds")
        definition = self.definitions[agent.name, "plain" if mode.get("plain") else "revocable"]
        return {
            "filter": {kind: {"cred_def_id": definition}},
            "credential_preview": {"@type": "issue-credential/2.0/credential-preview", "attributes": preview},
            "auto_issue": True,
            "auto_remove": False,
        }

    def _proof(self, agent: StockAgent, mode: Mode) -> dict[str, Any]:
        definition = self.definitions[mode.get("of", agent.name), "plain" if mode.get("plain") else "revocable"]
        if mode.get("unmatchable"):
            definition = definition[:-3] + "xyz"
        of_it = [{"cred_def_id": definition}]
        attributes: dict[str, Any] = {"a": {"names": ["name", "number"], "restrictions": of_it}}
        if mode.get("self"):
            attributes["b"] = {"name": "favourite colour"}
        predicate = {"name": "since", "p_type": ">=", "p_value": 2000, "restrictions": of_it}
        request: dict[str, Any] = {"name": "proof", "version": "1.0", "requested_attributes": attributes}
        request["requested_predicates"] = {"p": predicate}
        if not mode.get("plain"):
            request["non_revoked"] = {"from": int(time.time()), "to": int(time.time())}
        kind = mode.get("format") or ("indy" if agent.classic else "anoncreds")
        verify = mode.get("verify", "auto")
        return {"presentation_request": {kind: request}, "auto_verify": verify == "auto", "auto_remove": False}

    # ---- endpoints

    def _mode(self, request: web.Request) -> tuple[StockAgent, Mode]:
        endpoint = request.path.rsplit("/", 1)[1]
        return self.agents[request.match_info["agent"]], {**request.query, "endpoint": endpoint}

    async def _invitation(self, request: web.Request) -> web.StreamResponse:
        agent, mode = self._mode(request)
        attachments = []
        if mode.get("offer") == "attached":
            made = await agent.post("/issue-credential-2.0/create-offer", self._offer(agent, mode))
            attachments = [{"id": made["cred_ex_id"], "type": "credential-offer"}]
        return self._answer(await self._invite(agent, mode, attachments), mode)

    async def _request(self, request: web.Request) -> web.StreamResponse:
        agent, mode = self._mode(request)
        if mode.get("over") == "connection":
            return self._answer(await self._invite(agent, mode, []), mode)
        made = await agent.post("/present-proof-2.0/create-request", self._proof(agent, mode))
        self._presented[made["pres_ex_id"]] = mode
        mode.setdefault("hs", "none")
        invitation = await self._invite(agent, mode, [{"id": made["pres_ex_id"], "type": "present-proof"}])
        return self._answer(_connectionless(invitation) if mode.get("d_m") else invitation, mode)

    async def _invite(self, agent: StockAgent, mode: Mode, attachments: list[dict[str, str]]) -> dict[str, Any]:
        shared = f"{agent.name}?{json.dumps(mode)}" if mode.get("multi") else ""
        if shared in self._kept:
            found: dict[str, Any] = self._kept[shared]
            return found
        query = {"auto_accept": "true", "multi_use": "true" if shared else "false"}
        if mode.get("elder"):
            path, body = "/connections/create-invitation", {}
            query["alias"] = json.dumps(mode)
        else:
            path, body = "/out-of-band/create-invitation", _out_of_band(mode, self.documents.did(agent.name))
            if attachments:
                body["attachments"] = attachments
        made = (await agent.post(path, body, **query))["invitation"]
        self._invited[made["@id"]] = mode
        if shared:
            self._kept[shared] = made
        return made

    def _answer(self, invitation: dict[str, Any], mode: Mode) -> web.StreamResponse:
        """The invitation, in the way that ``as`` names."""
        parameter = "c_i" if "/connections/" in invitation["@type"] else "d_m" if mode.get("d_m") else "oob"
        url = f"{self.url}/i?{parameter}=" + _base64(invitation, mode.get("enc", "padded"))
        link = f"didcomm://invite?{parameter}=" + _base64(invitation, "bare")
        name = secrets.token_hex(6)
        self._kept[name] = (invitation, url)
        short = f"{self.url}/short/{name}"
        answers: dict[str, Callable[[], web.StreamResponse]] = {
            "json": lambda: web.json_response({"invitation": invitation, "invitation_url": url}),
            "bare": lambda: web.json_response(invitation),
            "urlfield": lambda: web.json_response({"help": f"{self.url}/help?x=1", "result": {"qr": {"href": url}}}),
            "strfield": lambda: web.json_response({"payload": json.dumps(invitation)}),
            "b64field": lambda: web.json_response({"invitation_b64": _base64(invitation, "bare")}),
            "text": lambda: web.Response(text=url),
            "deeplink": lambda: web.json_response({"link": link}),
            "redirect": lambda: _redirect(url),
            "redirect_relative": lambda: _redirect(url.removeprefix(self.url)),
            "redirect_deeplink": lambda: _redirect(link),
            "short": lambda: web.json_response({"invitation_url": short}),
            "short_redirect": lambda: _redirect(short),
            "short_oobid": lambda: web.json_response({"invitation_url": f"{short}?_oobid={name}"}),
            "202": lambda: web.json_response({"poll": f"{self.url}/poll/{name}"}, status=202),
            "202location": lambda: web.Response(
                status=202, headers={"Location": f"{self.url}/poll/{name}", "Retry-After": "1"}
            ),
        }
        return answers[mode.get("as", "json")]()

    async def _short(self, request: web.Request) -> web.StreamResponse:
        invitation, url = self._kept[request.match_info["id"]]
        if "json" in request.headers.get("Accept", ""):
            return web.json_response(invitation)
        return _redirect(url)

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["id"]
        if self._kept.setdefault(f"asked {name}", 0) < 1:
            self._kept[f"asked {name}"] += 1
            return web.json_response({"status": "pending"}, status=202)
        return web.json_response({"status": "ready", "invitation": self._kept[name][0]})

    async def _revocation(self, request: web.Request) -> web.StreamResponse:
        agent, mode = self._mode(request)
        asked = await request.json()
        async with asyncio.timeout(20):  # the webhook that tells of it may be behind
            while (key := (asked["rev_reg_id"], asked["cred_rev_id"])) not in self._issued:
                await asyncio.sleep(0.1)
        connection, thread = self._issued[key]
        body = {**asked, "publish": True, "notify": mode.get("notify") != "no", "connection_id": connection}
        if "version" in mode:
            body["notify_version"] = mode["version"]
        if mode.get("thread"):
            body["thread_id"] = thread
        async with self._revoking:
            await agent.post("/revocation/revoke" if agent.classic else "/anoncreds/revocation/revoke", body)
            await asyncio.sleep(1.1)
        if mode.get("renew"):
            offer = self._offer(agent, mode) | {"connection_id": connection}
            await agent.post("/issue-credential-2.0/send-offer", offer)
        return web.json_response({})

    async def _genesis(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self.genesis)

    async def _put_tails(self, request: web.Request) -> web.StreamResponse:
        async for part in await request.multipart():
            if getattr(part, "name", "") == "tails":
                self._tails_of(request).write_bytes(bytes(await part.read()))  # type: ignore[union-attr]
        return web.Response(text="ok")

    async def _get_tails(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(self._tails_of(request))

    def _tails_of(self, request: web.Request) -> Path:
        return self.folder / "tails" / request.match_info["name"].replace("/", "_")


@web.middleware
async def _refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except AssertionError as error:
        return web.json_response({"error": str(error)}, status=502)


async def _answers(call: Awaitable[Any]) -> bool:
    try:
        await call
    except AssertionError:
        return False
    return True


def _out_of_band(mode: Mode, did_web: str) -> dict[str, Any]:
    body: dict[str, Any] = {"accept": ["didcomm/aip1", "didcomm/aip2;env=rfc19"]}
    protocols = mode.get("hs", "didexchange/1.1")
    if protocols != "none":
        body["handshake_protocols"] = [DIDCOMM + protocol for protocol in protocols.split(",")]
    match mode.get("did"):
        case "web":
            body["use_did"] = did_web
        case "public":
            body["use_public_did"] = True
        case str(method):
            body["use_did_method"] = method
    return body


def _connectionless(invitation: dict[str, Any]) -> dict[str, Any]:
    """The attached message alone, with where to answer it, as vc-authn-oidc has it."""
    message: dict[str, Any] = invitation["requests~attach"][0]["data"]["json"]
    service = invitation["services"][0]
    keys = [DIDKey.from_did(key.split("#")[0]).public_key_b58 for key in service["recipientKeys"]]
    message["~service"] = {"recipientKeys": keys, "routingKeys": [], "serviceEndpoint": service["serviceEndpoint"]}
    return message


def _redirect(url: str) -> web.Response:
    return web.Response(status=302, headers={"Location": url})


def _base64(message: dict[str, Any], how: str) -> str:
    raw = json.dumps(message).encode()
    if how == "standard":
        return quote(base64.b64encode(raw).decode(), safe="")
    text = base64.urlsafe_b64encode(raw).decode()
    return text.rstrip("=") if how == "bare" else text
