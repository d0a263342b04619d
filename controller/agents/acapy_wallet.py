"""A holder's wallet in an ACA-Py agent: each protocol is one method that acts, then awaits the event that answers."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Collection, Sequence

from controller.agents.admin import AdminApi, check_not_abandoned
from controller.agents.inbox import Event, Inbox, Topic
from controller.agents.remote_phone import RemotePhone
from controller.agents.wallet import Connection, Credential, Presentation
from controller.services.invitation import Json, as_out_of_band, request_thread_id
from stampede.schema.errors import (
    AgentError,
    BadInvitation,
    NoConnection,
    NoOffer,
    PresentationRejected,
    ProblemReport,
    StepError,
    StepTimeout,
)


class Topics:
    """Every webhook topic that AcapyWallet waits for, and those that it knows and ignores."""

    connection = Topic(
        "connections",
        exchange="connection_id",
        awaited=frozenset({"active", "completed", "abandoned", "error"}),
    )
    mediation = Topic("mediation", exchange="mediation_id", awaited=frozenset({"granted", "denied"}))
    credential_exchange = Topic(
        "issue_credential_v2_0",
        exchange="cred_ex_id",
        awaited=frozenset({"offer-received", "done", "abandoned"}),
    )
    credential_stored = Topic("issue_credential_v2_0_anoncreds", needs="cred_id_stored", exchange="cred_ex_id")
    indy_credential_stored = Topic("issue_credential_v2_0_indy", needs="cred_id_stored", exchange="cred_ex_id")
    presentation_exchange = Topic(
        "present_proof_v2_0",
        exchange="thread_id",
        awaited=frozenset({"request-received", "presentation-sent", "done", "abandoned"}),
    )
    revocation_notification = Topic("revocation-notification-v2", exchange="credential_id")
    ping = Topic("ping", exchange="thread_id", awaited=frozenset({"response_received"}))


TOPICS = {topic.name: topic for topic in vars(Topics).values() if isinstance(topic, Topic)}
STORED = {"askar-anoncreds": Topics.credential_stored, "askar": Topics.indy_credential_stored}
"""What tells, by the type of the wallet, that it has stored a credential, whatever the format of its offer."""
UNFIT = {
    "askar-anoncreds": (
        "No supported formats",
        "issuers of ACA-Py 1.1 and older issue to wallets with stampede_wallet_type: askar only",
    ),
    "askar": (
        "requires AskarAnonCreds",
        "stampede_wallet_type is askar, which takes the format indy only; it must be askar-anoncreds for this offer",
    ),
}
"""By the type of the wallet: how an exchange is abandoned for which it is the wrong one, and what helps."""
REUSED = "reuse-accepted"
"""State of an invitation whose sender has agreed to go on with the connection that there is (Aries RFC 0434)."""
DISCLOSURES_POLL = 0.05
"""Seconds between two looks for the answer to a query of features."""
IGNORED_TOPICS = frozenset({"credential", "discover_feature_v2_0", "out_of_band", "basicmessages", "keylist"})
"""Topics that ACA-Py sends and no step awaits."""


class AcapyWallet:
    """A Wallet that is a tenant of a multi-tenant ACA-Py agent."""

    __slots__ = (
        "_admin",
        "_agent_up",
        "_cut_off",
        "_mediation_id",
        "_phone",
        "_token",
        "_type",
        "inbox",
        "wallet_id",
    )

    def __init__(
        self,
        admin: AdminApi,
        inbox: Inbox,
        wallet_id: str,
        token: str,
        agent_up: Callable[[], Awaitable[None]],
        wallet_type: str = "askar-anoncreds",
        phone: RemotePhone | None = None,
    ) -> None:
        """``phone``: how the wallet is reached when nothing can connect to its agent."""
        self._admin = admin
        self.inbox = inbox
        self._token = token
        self._agent_up = agent_up
        self._mediation_id = ""
        self._cut_off: StepError | None = None
        self._type = wallet_type
        self._phone = phone
        self.wallet_id = wallet_id

    async def connect_to_mediator(self, did: str) -> None:
        """See Wallet."""
        async with self._phone.meets(did) if self._phone else contextlib.nullcontext():
            request = await self._post("/didexchange/create-request", their_public_did=did, auto_accept="true")
        connection_id = request["connection_id"]
        await self._connected(connection_id)
        asked = await self._post(f"/mediation/request/{connection_id}")
        answer = await self._expect(Topics.mediation, "granted", "denied", mediation_id=asked["mediation_id"])
        if answer["state"] == "denied":
            raise BadInvitation(f"mediator {did} denied mediation")
        self._mediation_id = asked["mediation_id"]
        if self._phone:
            await self._phone.come()

    async def disconnect(self) -> None:
        """See Wallet."""
        await self._mediated_phone().go()

    async def reconnect(self) -> None:
        """See Wallet."""
        await self._mediated_phone().come()

    async def accept_invitation(self, invitation: Json, name: str) -> Connection:
        """See Wallet."""
        self._check_reachable()
        received = await self._receive(invitation)
        if not received.get("connection_id"):
            raise BadInvitation("the invitation offers no connection (no handshake_protocols in it)")
        connection_id = received["connection_id"]
        if received.get("state") == REUSED:  # the connection is there already: no event tells that it is made
            found = await self._admin.call("GET", f"/connections/{connection_id}", token=self._token)
        else:
            found = await self._connected(connection_id)
        return Connection(
            name,
            connection_id,
            found.get("my_did", ""),
            found.get("their_did", ""),
            received.get("invi_msg_id") or found.get("invitation_msg_id", ""),
        )

    async def receive_credential(self, connection: Connection) -> Credential:
        """See Wallet."""
        connection_id = connection.connection_id
        offer = await self._expect(
            Topics.credential_exchange,
            "offer-received",
            "abandoned",
            connection_id=connection_id,
            missing=NoOffer,
        )
        self._check_issued(offer)
        cred_ex_id = offer["cred_ex_id"]
        done = await self._expect(Topics.credential_exchange, "done", "abandoned", cred_ex_id=cred_ex_id)
        self._check_issued(done)
        stored = await self._expect(STORED[self._type], cred_ex_id=cred_ex_id)
        credential = Credential(stored["cred_id_stored"], cred_ex_id, done.get("thread_id", ""))
        if stored.get("rev_reg_id"):  # the index in the registry stands in the wallet only
            kept = await self._admin.call("GET", f"/credential/{credential.credential_id}", token=self._token)
            credential.rev_reg_id, credential.cred_rev_id = kept["rev_reg_id"], str(kept["cred_rev_id"])
        return credential

    def _check_issued(self, event: Json) -> None:
        """Raise ProblemReport when the issuer, or the holder's agent, has abandoned the exchange."""
        try:
            check_not_abandoned(event, "the credential exchange")
        except ProblemReport as error:
            sign, advice = UNFIT[self._type]
            if sign in error.detail:
                raise ProblemReport(f"{error.detail}; {advice}") from None
            raise

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
        thread_id = request_thread_id(invitation)
        if thread_id is None:
            raise BadInvitation("the invitation carries no presentation request (no requests~attach in it)")
        self._check_reachable()
        await self._receive(invitation)
        return thread_id

    async def _requested_over(self, connection: Connection) -> str:
        """The thread of the next presentation request over a connection."""
        request = await self._expect(
            Topics.presentation_exchange, "request-received", "abandoned", connection_id=connection.connection_id
        )
        check_not_abandoned(request, "the presentation exchange")
        return str(request["thread_id"])

    async def _presentation(self, thread_id: str, *states: str) -> Presentation:
        """The presentation of a thread, once it is in one of these states."""
        event = await self._expect(Topics.presentation_exchange, *states, "abandoned", thread_id=thread_id)
        check_not_abandoned(event, "the presentation exchange")
        if str(event.get("verified", "true")) == "false":
            raise PresentationRejected("the verifier found the presentation not valid")
        return Presentation(str(event.get("pres_ex_id", "")), str(event.get("thread_id", "")))

    async def receive_revocation_notification(self, credentials: Sequence[Credential]) -> Credential:
        """See Wallet."""
        by_id = {f"{credential.rev_reg_id}::{credential.cred_rev_id}": credential for credential in credentials}
        event = await self._expect(Topics.revocation_notification, credential_id=by_id)
        return by_id[event["credential_id"]]

    async def delete_credential(self, credential: Credential) -> None:
        """See Wallet."""
        await self._admin.call("DELETE", f"/credential/{credential.credential_id}", token=self._token)

    async def credential_ids(self) -> list[str]:
        """See Wallet."""
        found: list[str] = []
        while True:
            query = {"start": str(len(found)), "count": "100"}
            page = (await self._admin.call("GET", "/credentials", query=query, token=self._token))["results"]
            found += [credential["referent"] for credential in page]
            if len(page) < 100:
                return found

    async def ping(self, connection: Connection) -> None:
        """See Wallet."""
        sent = await self._post(f"/connections/{connection.connection_id}/send-ping", body={"comment": ""})
        await self._expect(Topics.ping, "response_received", thread_id=sent["thread_id"])

    async def send_message(self, connection: Connection, text: str) -> None:
        """See Wallet."""
        await self._post(f"/connections/{connection.connection_id}/send-message", body={"content": text})

    async def discover_features(self, connection: Connection, match: str) -> list[str]:
        """See Wallet."""
        # No event tells of the disclosures, and the query's own answer looks for them every half second only.
        _, former = await self._disclosures(connection)
        query = {"connection_id": connection.connection_id, "query_protocol": match}
        sent = asyncio.ensure_future(
            self._admin.call("GET", "/discover-features-2.0/queries", query=query, token=self._token)
        )
        try:
            while True:
                protocols, updated = await self._disclosures(connection)
                if protocols is not None and updated != former:
                    return protocols
                if sent.done():
                    sent.result()
                await asyncio.sleep(DISCLOSURES_POLL)
        except asyncio.CancelledError:
            self._cut_off = StepTimeout("waited for the disclosures of the other agent")
            raise
        finally:
            sent.cancel()
            await asyncio.gather(sent, return_exceptions=True)

    async def _disclosures(self, connection: Connection) -> tuple[list[str] | None, str]:
        """The protocols last disclosed over a connection, and when; None while none are."""
        records = await self._admin.call("GET", "/discover-features-2.0/records", token=self._token)
        for record in records["results"]:
            if record.get("connection_id") == connection.connection_id and record.get("disclosures"):
                disclosed = record["disclosures"]["disclosures"]
                protocols = [each["id"] for each in disclosed if each.get("feature-type") == "protocol"]
                return protocols, record.get("updated_at", "")
        return None, ""

    def cut_off(self) -> StepError | None:
        """See Wallet."""
        reason, self._cut_off = self._cut_off, None
        return reason

    async def ready(self) -> None:
        """See Wallet."""
        await self._agent_up()

    async def remove(self) -> None:
        """See Wallet."""
        if self._phone:
            with contextlib.suppress(AgentError):  # then it ends with the agent
                await self._phone.end()
        await self._admin.call("POST", f"/multitenancy/wallet/{self.wallet_id}/remove", body={})

    async def _expect(
        self, topic: Topic, *states: str, missing: type[StepError] = StepTimeout, **values: str | Collection[str]
    ) -> Event:
        """Await an event; when the step's timeout cuts that off, keep the reason as ``missing``."""
        try:
            async with self._phone.poked() if self._phone else contextlib.nullcontext():
                return await self.inbox.expect(topic.name, *states, **values)
        except asyncio.CancelledError:
            self._cut_off = missing(self.inbox.cut_off)
            raise

    def _check_reachable(self) -> None:
        """Raise NoConnection when no answer could come."""
        if self._phone:
            self._mediated_phone()

    def _mediated_phone(self) -> RemotePhone:
        if self._phone is None or not self._mediation_id:
            raise NoConnection(
                "phones are reached through their mediator only, and this holder has none; the script must call "
                "connect_to_mediator() before"
            )
        return self._phone

    async def _receive(self, invitation: Json) -> Json:
        """Hand an invitation to the agent. One of RFC 0160 needs ACA-Py's plugin ``connections``."""
        legacy = "/connections/" in str(invitation.get("@type", ""))
        path = "/connections/receive-invitation" if legacy else "/out-of-band/receive-invitation"
        mediation = {"mediation_id": self._mediation_id} if self._mediation_id else {}
        try:
            return await self._post(path, body=as_out_of_band(invitation), auto_accept="true", **mediation)
        except AgentError as error:
            # ACA-Py answers 500 to invitations that it cannot make sense of; 503 and 504 are its own troubles.
            if re.search(rf" {path} answered (4|500)", error.detail):
                raise BadInvitation(f"the holder's agent did not take the invitation: {error.detail}") from error
            raise

    async def _connected(self, connection_id: str) -> Json:
        event = await self._expect(
            Topics.connection, "active", "completed", "abandoned", "error", connection_id=connection_id
        )
        check_not_abandoned(event, "the connection")
        return event

    async def _post(self, path: str, body: Json | None = None, **query: str) -> Json:
        return await self._admin.call("POST", path, body=body or {}, query=query, token=self._token)
