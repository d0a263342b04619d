"""The verifier: each invitation carries a proof request for a credential that is not revoked now."""

import logging
import time
from collections import Counter
from typing import Any

from aiohttp import web

from .agent import Agent

LOGGER = logging.getLogger(__name__)
EVENTS = "present_proof_v2_0::done present_proof_v2_0::abandoned"


class Verifier:
    """Drives the verifier's agent and answers the verifier's HTTP requests."""

    NAME = "verifier"

    def __init__(self, agent: Agent) -> None:
        """`cred_def_id` must be set once the issuer has one."""
        self._agent = agent
        self.cred_def_id = ""
        self._states: dict[str, str] = {}

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.post("/verifier/invitation", self._post_invitation),
            web.get("/verifier/presentations", self._get_presentations),
            web.get("/verifier/presentations/{id}", self._get_presentation),
        ]

    def on_event(self, topic: str, payload: dict[str, Any]) -> None:
        """Record the outcome of a presentation."""
        presentation = payload.get("pres_ex_id", "")
        if presentation not in self._states:
            return
        verified = topic == "present_proof_v2_0::done" and payload.get("verified") == "true"
        self._states[presentation] = "verified" if verified else "failed"
        if not verified:
            LOGGER.warning("presentation %s failed: %s", presentation, payload)

    async def _post_invitation(self, request: web.Request) -> web.StreamResponse:
        """An invitation with a request. ``also=NAME`` in the query: for that attribute, too, by the holder's word."""
        proof_request: dict[str, Any] = {
            "name": "membership",
            "version": "1.0",
            "requested_attributes": {
                "name": {"name": "name", "restrictions": [{"cred_def_id": self.cred_def_id}]},
            },
            "requested_predicates": {},
            "non_revoked": {"to": int(time.time())},
        }
        if also := request.query.get("also"):
            proof_request["requested_attributes"]["also"] = {"name": also}
        exchange = await self._agent.post(
            "/present-proof-2.0/create-request",
            {"presentation_request": {"anoncreds": proof_request}, "auto_verify": True, "auto_remove": True},
        )
        presentation = exchange["pres_ex_id"]
        body = {
            "attachments": [{"id": presentation, "type": "present-proof"}],
            "accept": ["didcomm/aip2;env=rfc19"],
        }
        made = await self._agent.post("/out-of-band/create-invitation", body, auto_accept="true")
        self._states[presentation] = "pending"
        return web.json_response(
            {
                "invitation": made["invitation"],
                "invitation_url": made["invitation_url"],
                "presentation_id": presentation,
            }
        )

    async def _get_presentations(self, request: web.Request) -> web.StreamResponse:
        counts = Counter(self._states.values())
        answer = {state: counts[state] for state in ("verified", "failed", "pending")}
        return web.json_response({"requested": len(self._states), **answer})

    async def _get_presentation(self, request: web.Request) -> web.StreamResponse:
        presentation = request.match_info["id"]
        if presentation not in self._states:
            raise web.HTTPNotFound(text=f"There is no presentation {presentation}.")
        return web.json_response({"id": presentation, "state": self._states[presentation]})
