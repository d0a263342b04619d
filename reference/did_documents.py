"""The did.json documents of the services' did:web DIDs."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from aiohttp import web

from .didweb_anoncreds.identifiers import SERVICE, SERVICE_TYPE


class DidDocuments:
    """DIDs `did:web:<host>%3A<port>:<name>` with their documents at `https://<host>:<port>/<name>/did.json`."""

    def __init__(self, host: str, port: int) -> None:
        """`host` and `port` are the gateway's public ones, as a URL has them."""
        self._authority = quote(f"{host}:{port}", safe="")
        self._documents: dict[str, dict[str, Any]] = {}

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [web.get("/{name:[a-z]+}/did.json", self._get)]

    def did(self, name: str) -> str:
        """The DID of `name`."""
        return f"did:web:{self._authority}:{name}"

    def publish(self, name: str, verkey: str, didcomm_urls: Sequence[str], registry_url: str = "") -> str:
        """Publish the document of a DID with this Ed25519 key (base58); returns the DID.

        The first of `didcomm_urls` has priority, for those who can use any of them.
        """
        did = self.did(name)
        key = f"{did}#key-1"
        services: list[dict[str, Any]] = [
            {
                "id": f"{did}#did-communication" + (f"-{priority}" if priority else ""),
                "type": "did-communication",
                "priority": priority,
                "recipientKeys": [key],
                "routingKeys": [],
                "serviceEndpoint": url,
                "accept": ["didcomm/aip2;env=rfc19"],
            }
            for priority, url in enumerate(didcomm_urls)
        ]
        if registry_url:
            services.append({"id": f"{did}#{SERVICE}", "type": SERVICE_TYPE, "serviceEndpoint": registry_url})
        self._documents[name] = {
            "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/ed25519-2018/v1"],
            "id": did,
            "verificationMethod": [
                {
                    "id": key,
                    "type": "Ed25519VerificationKey2018",
                    "controller": did,
                    "publicKeyBase58": verkey,
                }
            ],
            "authentication": [key],
            "assertionMethod": [key],
            "service": services,
        }
        return did

    async def _get(self, request: web.Request) -> web.StreamResponse:
        document = self._documents.get(request.match_info["name"])
        if document is None:
            raise web.HTTPNotFound(text="no such DID")
        return web.json_response(document)
