"""Credentials: proposed, offered, received, revoked and deleted (Aries RFCs 0453, 0434, 0721)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controller.agents.admin import check_not_abandoned
from controller.agents.protocols.connections import Connections
from controller.agents.protocols.topics import LEFT_OUT, OFFERED_BY_1_0, Topics
from controller.agents.wallet import Connection, Credential
from controller.services.invitation import Json
from controller.services.out_of_band import OFFER, attached_thread, for_agent
from stampede.schema.errors import AgentError, BadInvitation, NoOffer, ProblemReport, UnsupportedProtocol

STORED = {"askar-anoncreds": Topics.credential_stored, "askar": Topics.indy_credential_stored}
"""What tells, by the type of the wallet, that it has stored a credential, whatever the format of its offer."""
WRONG_TYPE = {
    "askar-anoncreds": (
        "the offer has the format indy only, and issuers of ACA-Py 1.1 and older issue that to wallets with "
        "stampede_wallet_type: askar alone"
    ),
    "askar": "stampede_wallet_type is askar, which takes the format indy only; it must be askar-anoncreds for this",
}
"""What helps, by the type of a wallet that cannot take what it is offered or asked for."""
FORMATS = {"askar-anoncreds": "anoncreds", "askar": "indy"}
"""The format of credentials and presentations, by the type of the wallet."""
NOTIFIED = ("", "indy::", "anoncreds::", "indy-anoncreds::")
"""What stands before the id of a revocation registry in a notification: nothing in version 2.0, in 1.0 the format."""


class Credentials(Connections):
    """How a wallet comes by its credentials, and loses them."""

    __slots__ = ()

    async def propose_credential(
        self, connection: Connection, attributes: Mapping[str, str], filters: Mapping[str, str], comment: str
    ) -> None:
        """See Wallet."""
        preview = [{"name": name, "value": value} for name, value in attributes.items()]
        body = {
            "connection_id": connection.connection_id,
            "comment": comment,
            "credential_preview": {"@type": "issue-credential/2.0/credential-preview", "attributes": preview},
            "filter": {FORMATS[self._type]: dict(filters)},
        }
        await self._post("/issue-credential-2.0/send-proposal", body=body)

    async def receive_credential(self, connection: Connection) -> Credential:
        """See Wallet."""
        return await self._issued(connection_id=connection.connection_id)

    async def accept_offer(self, invitation: Json, name: str) -> tuple[Connection, Credential]:
        """See Wallet."""
        ready = for_agent(invitation)
        thread_id = attached_thread(ready, OFFER)
        if thread_id is None:
            raise BadInvitation("the invitation carries no credential offer (no requests~attach with one in it)")
        received = await self._receive(ready)
        if received.get("connection_id"):
            connection = await self._connection_of(received, name)
        else:
            connection = Connection(name, "", invitation_msg_id=str(ready["@id"]))
        return connection, await self._issued(thread_id=thread_id)

    async def _issued(self, **offered: str) -> Credential:
        """Await offer, request and issued credential of the exchange that is known by its connection or thread."""
        offer = await self._expect(
            Topics.credential_exchange,
            "offer-received",
            "abandoned",
            OFFERED_BY_1_0,
            missing=NoOffer,
            **offered,
        )
        if offer["state"] == OFFERED_BY_1_0:
            raise UnsupportedProtocol(
                "the issuer offers by issue-credential 1.0 (Aries RFC 0036), which holders do not speak; it must "
                "offer by 2.0 (RFC 0453)"
            )
        check_not_abandoned(offer, "the credential exchange")
        cred_ex_id = offer["cred_ex_id"]
        if self._type == "askar" and await self._offered(cred_ex_id) == {"anoncreds"}:  # it would wait in vain
            raise ProblemReport(f"the offer has the format anoncreds only; {WRONG_TYPE['askar']}")
        done = await self._expect(Topics.credential_exchange, "done", "abandoned", LEFT_OUT, cred_ex_id=cred_ex_id)
        if done["state"] == LEFT_OUT:
            raise UnsupportedProtocol(
                f"the issuer offers in the format {done.get('format')}, which holders do not take; it must offer in "
                "anoncreds or indy"
            )
        await self._check_issued(done)
        stored = await self._expect(STORED[self._type], cred_ex_id=cred_ex_id)
        credential = Credential(stored["cred_id_stored"], cred_ex_id, done.get("thread_id", ""))
        if stored.get("rev_reg_id"):  # the index in the registry stands in the wallet only
            kept = await self._get(f"/credential/{credential.credential_id}")
            credential.rev_reg_id, credential.cred_rev_id = kept["rev_reg_id"], str(kept["cred_rev_id"])
        return credential

    async def _check_issued(self, event: Json) -> None:
        """Raise ProblemReport when the issuer, or the holder's agent, has abandoned the exchange."""
        try:
            check_not_abandoned(event, "the credential exchange")
        except ProblemReport as error:
            formats = await self._offered(event["cred_ex_id"])
            if self._type == "askar-anoncreds" and formats == {"indy"}:
                raise ProblemReport(f"{error.detail}; {WRONG_TYPE[self._type]}") from None
            raise

    async def _offered(self, cred_ex_id: str) -> set[str]:
        """The formats in which a credential is offered; none when the agent has forgotten the offer."""
        try:
            record = await self._get(f"/issue-credential-2.0/records/{cred_ex_id}")
        except AgentError:
            return set()
        return set(record.get("cred_ex_record", {}).get("by_format", {}).get("cred_offer", {}))

    async def receive_revocation_notification(self, credentials: Sequence[Credential]) -> Credential:
        """See Wallet."""
        by_name = {credential.thread_id: credential for credential in credentials if credential.thread_id}
        for credential in credentials:
            if credential.rev_reg_id:
                name = f"{credential.rev_reg_id}::{credential.cred_rev_id}"
                by_name |= dict.fromkeys((before + name for before in NOTIFIED), credential)
        event = await self._expect(Topics.revocation_notification, credential_id=by_name)
        return by_name[event["credential_id"]]

    async def delete_credential(self, credential: Credential) -> None:
        """See Wallet."""
        await self._admin.call("DELETE", f"/credential/{credential.credential_id}", token=self._token)

    async def credential_ids(self) -> list[str]:
        """See Wallet."""
        found: list[str] = []
        while True:
            page = (await self._get("/credentials", start=str(len(found)), count="100"))["results"]
            found += [credential["referent"] for credential in page]
            if len(page) < 100:
                return found
