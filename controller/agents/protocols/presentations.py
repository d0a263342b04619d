"""Presentations: proposed, requested and given (Aries RFCs 0454, 0434)."""

from __future__ import annotations

from typing import Any

from controller.agents.admin import check_not_abandoned
from controller.agents.protocols.connections import Connections
from controller.agents.protocols.credentials import FORMATS, WRONG_TYPE
from controller.agents.protocols.topics import REQUESTED_BY_1_0, UNMATCHED, Topics
from controller.agents.wallet import Connection, Presentation
from controller.services.invitation import Json
from controller.services.out_of_band import REQUEST, attached_thread, for_agent
from stampede.schema.errors import (
    AgentError,
    BadInvitation,
    PresentationRejected,
    ProblemReport,
    RequestUnmatched,
    UnsupportedProtocol,
)

READ = {"askar-anoncreds": ("anoncreds", "indy"), "askar": ("indy",)}
"""The formats of requests that a wallet can answer, by its type."""
NEEDS_ANONCREDS = "requires AskarAnonCreds"
"""ACA-Py's words for a request that a wallet of type askar cannot answer."""


class Presentations(Connections):
    """How a wallet shows what it holds. The agent answers most requests by itself, as soon as they are there."""

    __slots__ = ()

    async def propose_presentation(self, connection: Connection, request: Json, comment: str) -> None:
        """See Wallet."""
        body = {
            "connection_id": connection.connection_id,
            "comment": comment,
            "presentation_proposal": {FORMATS[self._type]: request},
        }
        await self._post("/present-proof-2.0/send-proposal", body=body)

    async def present_proof(self, invitation: Json) -> Presentation:
        """See Wallet."""
        return await self._presentation(await self._requested_by(invitation), "done")

    async def present_proof_to(self, connection: Connection) -> Presentation:
        """See Wallet."""
        return await self._presentation(await self._requested_over(connection), "done")

    async def send_proof(self, invitation: Json) -> Presentation:
        """See Wallet."""
        return await self._presentation(await self._requested_by(invitation), "presentation-sent", "done")

    async def send_proof_to(self, connection: Connection) -> Presentation:
        """See Wallet."""
        return await self._presentation(await self._requested_over(connection), "presentation-sent", "done")

    async def _requested_by(self, invitation: Json) -> str:
        """The thread of the presentation request that an invitation carries, which is answered from now on."""
        ready = for_agent(invitation)
        thread_id = attached_thread(ready, REQUEST)
        if thread_id is None:
            raise BadInvitation("the invitation carries no presentation request (no requests~attach in it)")
        received = await self._receive(ready)
        if received.get("connection_id"):
            self._connections.add(received["connection_id"])
        return thread_id

    async def _requested_over(self, connection: Connection) -> str:
        """The thread of the next presentation request over a connection."""
        request = await self._expect(
            Topics.presentation_exchange,
            "request-received",
            "abandoned",
            REQUESTED_BY_1_0,
            connection_id=connection.connection_id,
        )
        if request["state"] == REQUESTED_BY_1_0:
            raise UnsupportedProtocol(
                "the verifier requests by present-proof 1.0 (Aries RFC 0037), which holders do not speak; it must "
                "request by 2.0 (RFC 0454)"
            )
        check_not_abandoned(request, "the presentation exchange")
        return str(request["thread_id"])

    async def _presentation(self, thread_id: str, *states: str) -> Presentation:
        """The presentation of a thread, once it is in one of these states. A request that the agent could not answer
        by itself is answered here."""
        exchange, ends = Topics.presentation_exchange, (*states, "abandoned")
        event = await self._expect(exchange, *ends, UNMATCHED, thread_id=thread_id)
        if event["state"] == UNMATCHED:
            await self._answer(event["pres_ex_id"])
            event = await self._expect(exchange, *ends, thread_id=thread_id)
        self._check_presented(event)
        if str(event.get("verified", "true")) == "false":
            raise PresentationRejected("the verifier found the presentation not valid")
        return Presentation(str(event.get("pres_ex_id", "")), str(event.get("thread_id", "")))

    def _check_presented(self, event: Json) -> None:
        """Raise ProblemReport when the verifier, or the holder's agent, has abandoned the exchange."""
        try:
            check_not_abandoned(event, "the presentation exchange")
        except ProblemReport as error:
            if self._type == "askar" and NEEDS_ANONCREDS in error.detail:
                raise ProblemReport(f"{error.detail}; {WRONG_TYPE[self._type]}") from None
            raise

    async def _answer(self, pres_ex_id: str) -> None:
        """Send a presentation of credentials and self-attested values. Raises RequestUnmatched."""
        path = f"/present-proof-2.0/records/{pres_ex_id}"
        requests = (await self._get(path)).get("by_format", {}).get("pres_request", {})
        name = next((each for each in READ[self._type] if each in requests), "")
        if not name and self._type == "askar" and "anoncreds" in requests:
            raise ProblemReport(f"the verifier requests in the format anoncreds; {WRONG_TYPE[self._type]}")
        if not name:
            raise UnsupportedProtocol(
                f"the verifier requests in the format {', '.join(requests) or 'of no name'}, which holders do not "
                f"speak; it must be one of {', '.join(READ[self._type])}"
            )
        answer, missing = await self._selected(path, requests[name])
        if missing:
            sentence = f"no credential of the holder has what the verifier requests: {'; '.join(missing)}"
            await self._post(f"{path}/problem-report", body={"description": sentence})
            raise RequestUnmatched(sentence)
        try:
            await self._post(f"{path}/send-presentation", body={name: answer})
        except AgentError as error:
            hint = ""
            if name == "indy" and self._type == "askar-anoncreds":
                hint = ", which needs the credential's Indy ledger (stampede_ledgers or stampede_genesis_url)"
            raise ProblemReport(
                f"the holder's agent could not make the presentation in the format {name}{hint}: {error.detail}"
            ) from error

    async def _selected(self, path: str, request: Json) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """What answers a request, and a clause for each part of it that nothing answers."""
        answer: dict[str, dict[str, Any]] = {
            "requested_attributes": {},
            "requested_predicates": {},
            "self_attested_attributes": {},
        }
        missing = []
        for kind in ("requested_attributes", "requested_predicates"):
            for referent, wanted in request.get(kind, {}).items():
                # The newest credential comes last in a wallet, but ACA-Py puts those first that are not revoked.
                found = (await self._get(f"{path}/credentials", referent=referent, count="1"))["results"]
                if found:
                    chosen = {"cred_id": found[0]["cred_info"]["referent"]}
                    answer[kind][referent] = chosen | ({"revealed": True} if kind == "requested_attributes" else {})
                elif (
                    wanted.get("name") in self.self_attested
                    and not wanted.get("restrictions")
                    and "p_type" not in wanted
                ):
                    answer["self_attested_attributes"][referent] = self.self_attested[wanted["name"]]
                else:
                    missing.append(_described(wanted))
        return answer, missing


def _described(wanted: Json) -> str:
    """An attribute or predicate of a request, in words."""
    names = ", ".join(wanted.get("names") or [str(wanted.get("name"))])
    if "p_type" in wanted:
        return f"{names} {wanted['p_type']} {wanted.get('p_value')}"
    if wanted.get("restrictions"):
        return f"{names}, from {wanted['restrictions']}"
    return f"{names} (a script's self_attested or stampede_self_attested may give it)"
