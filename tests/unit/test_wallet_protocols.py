"""A wallet's protocols against an admin API that answers by a script: versions, attachments, reuse, odd requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.agents.acapy_wallet import TOPICS, AcapyWallet
from controller.agents.inbox import Inbox
from controller.agents.remote_phone import RemotePhone
from controller.agents.wallet import Connection, Credential
from stampede.schema.errors import (
    AgentError,
    BadInvitation,
    ProblemReport,
    RequestUnmatched,
    StepTimeout,
    UnsupportedProtocol,
    noted,
)

REGISTRY = "did:web:issuer.example.org:4:CL_ACCUM:a::b"
INVITATION: dict[str, Any] = {
    "@type": "https://didcomm.org/out-of-band/1.1/invitation",
    "@id": "i1",
    "services": ["did:web:a"],
}
HANDSHAKE = {"handshake_protocols": ["https://didcomm.org/didexchange/1.1"]}
OFFER = {"@type": "https://didcomm.org/issue-credential/2.0/offer-credential", "@id": "o1"}
REQUEST = {"@type": "https://didcomm.org/present-proof/2.0/request-presentation", "@id": "r1"}
VERIFIER = Connection("verifier", "c1")


class Agent:
    """Answers the admin API by path, the longest that a request begins with, and notes what was posted."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.posted: dict[str, Any] = {}

    async def call(self, method: str, path: str, *, body: Any = None, query: Any = None, **_: Any) -> Any:
        if method == "POST":
            self.posted[path] = body
        asked = path + "".join(f"?{value}" for name, value in (query or {}).items() if name == "referent")
        answer = self.answers[max((each for each in self.answers if asked.startswith(each)), key=len)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def phone(self, method: str, path: str, **_: Any) -> Any:
        """What the phone of a wallet answers whose mediator is down."""
        await asyncio.sleep(0.01)
        return {"waits_for": "Connection refused"} if path == "/pickup/come" else {}


async def up() -> None:
    pass


def wallet(answers: dict[str, Any]) -> tuple[AcapyWallet, Agent]:
    agent = Agent(**answers)
    return AcapyWallet(agent, Inbox(TOPICS), "w", "token", up), agent  # type: ignore[arg-type]


def carrying(message: dict[str, Any]) -> dict[str, Any]:
    return INVITATION | {"requests~attach": [{"@id": "a", "data": {"json": message}}]}


# ------------------------------------------------------------------------------- revocation notifications


@pytest.mark.parametrize(
    ("topic", "event"),
    [
        ("revocation-notification-v2", {"credential_id": f"{REGISTRY}::7"}),
        ("revocation-notification", {"thread_id": f"indy::{REGISTRY}::7"}),
        ("revocation-notification", {"thread_id": f"anoncreds::{REGISTRY}::7"}),
        ("revocation-notification", {"thread_id": "thread-7"}),
    ],
)
@pytest.mark.parametrize("before", [True, False])
async def test_a_notification_of_either_version_finds_its_credential(
    topic: str, event: dict[str, Any], before: bool
) -> None:
    holder, _ = wallet({})
    credentials = [Credential(f"c{n}", f"x{n}", f"thread-{n}", REGISTRY, str(n)) for n in (77, 7, 8)]
    others = {"revocation-notification": {"thread_id": f"indy::{REGISTRY}::9"}, topic: event | {"comment": "sorry"}}

    def deliver() -> None:
        for each, payload in others.items():
            holder.inbox.deliver(each, payload)

    deliver() if before else asyncio.get_running_loop().call_later(0.01, deliver)
    async with asyncio.timeout(1):
        assert (await holder.receive_revocation_notification(credentials)).credential_id == "c7"


async def test_a_credential_without_registry_or_thread_is_nobodys() -> None:
    holder, _ = wallet({})
    for thread in ("", "indy::", "::"):
        holder.inbox.deliver("revocation-notification", {"thread_id": thread})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await holder.receive_revocation_notification([Credential("c1", "x1")])
    assert isinstance(holder.cut_off(), StepTimeout)


# -------------------------------------------------------------------------------------------------- phones


def with_phone() -> AcapyWallet:
    agent: Any = Agent()
    agent.call = agent.phone
    made = AcapyWallet(agent, Inbox(TOPICS), "w", "token", up, phone=RemotePhone(agent, "token", "websocket"))
    made._mediation_id = "m1"
    return made


async def test_what_a_phone_waits_for_is_told_when_time_is_over() -> None:
    with pytest.raises(TimeoutError) as expired:
        async with asyncio.timeout(1):
            await with_phone().reconnect()
    assert noted(expired.value) == "waited for the mediator to answer: Connection refused"


async def test_who_waits_in_vain_is_told_that_the_holder_is_disconnected() -> None:
    holder = with_phone()
    for disconnected in (False, True):
        if disconnected:
            await holder.disconnect()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await holder.receive_credential(VERIFIER)
        reason = holder.cut_off()
        assert reason is not None
        assert ("disconnected from its mediator" in reason.detail) == disconnected


# --------------------------------------------------------------------------------------------- connections


async def test_a_connection_met_again_by_what_an_invitation_carries_is_reused() -> None:
    """ACA-Py uses a known connection for an attached message without a word about reuse."""
    receive = "/out-of-band/receive-invitation"
    holder, _ = wallet({receive: {"connection_id": "c1", "state": "done"}, "/connections/c1": {"state": "completed"}})
    holder.inbox.deliver("connections", {"connection_id": "c1", "state": "active"})
    async with asyncio.timeout(1):
        first = await holder.accept_invitation(INVITATION | HANDSHAKE, "a")
        again = await holder.accept_invitation(carrying(REQUEST) | HANDSHAKE, "b")
    assert (first.reused, again.reused, again.connection_id) == (False, True, "c1")


async def test_a_known_connection_that_is_not_ready_is_awaited() -> None:
    receive = "/out-of-band/receive-invitation"
    holder, _ = wallet({receive: {"connection_id": "c1", "state": "done"}, "/connections/c1": {"state": "request"}})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await holder.accept_invitation(INVITATION | HANDSHAKE, "a")
    holder.inbox.deliver("connections", {"connection_id": "c1", "state": "active", "my_did": "did:mine"})
    async with asyncio.timeout(1):
        assert (await holder.accept_invitation(INVITATION | HANDSHAKE, "a")).my_did == "did:mine"


async def test_an_invitation_with_a_message_alone_is_no_connection() -> None:
    holder, agent = wallet({})
    with pytest.raises(BadInvitation, match="receive_credential or present_proof with the service's name"):
        await holder.accept_invitation(carrying(OFFER), "issuer")
    assert agent.posted == {}


@pytest.mark.parametrize(
    ("invitation", "path"),
    [
        ({"@type": "https://didcomm.org/connections/1.0/invitation"}, "/connections/receive-invitation"),
        (
            INVITATION | {"handshake_protocols": ["https://didcomm.org/connections/1.0"]},
            "/out-of-band/receive-invitation",
        ),
    ],
)
async def test_rfc_0160_names_the_plugin_that_it_needs(invitation: dict[str, Any], path: str) -> None:
    holder, _ = wallet({path: AgentError(f"agent-0: POST {path} answered 404")})
    with pytest.raises(BadInvitation, match=r"plugin connections .*stampede_agent_packages.*stampede_agent_plugins"):
        await holder.accept_invitation(invitation, "issuer")


async def test_a_mediator_by_invitation() -> None:
    receive, request = "/out-of-band/receive-invitation", "/mediation/request/c1"
    answers = {receive: {"connection_id": "c1", "state": "done"}, request: {"mediation_id": "m1"}}
    holder, agent = wallet(answers)
    holder.inbox.deliver("connections", {"connection_id": "c1", "state": "active"})
    holder.inbox.deliver("mediation", {"mediation_id": "m1", "state": "granted"})
    async with asyncio.timeout(1):
        await holder.connect_to_mediator(INVITATION | HANDSHAKE)
    assert list(agent.posted) == [receive, request]
    holder.inbox.deliver("connections", {"connection_id": "c1", "state": "active"})
    holder.inbox.deliver("mediation", {"mediation_id": "m1", "state": "denied"})
    with pytest.raises(BadInvitation, match="mediator Agency denied mediation"):
        await wallet_like(holder).connect_to_mediator(INVITATION | HANDSHAKE | {"label": "Agency"})


def wallet_like(holder: AcapyWallet) -> AcapyWallet:
    """Another wallet with the same agent and inbox."""
    return AcapyWallet(holder._admin, holder.inbox, "w2", "token", up)


# --------------------------------------------------------------------------------------------- credentials


def issued(holder: AcapyWallet, **more: str) -> None:
    event = {"cred_ex_id": "x1", "thread_id": "o1"} | more
    for state in ("offer-received", "request-sent", "credential-received", "done"):
        holder.inbox.deliver("issue_credential_v2_0", event | {"state": state})
    holder.inbox.deliver("issue_credential_v2_0_anoncreds", {"cred_ex_id": "x1", "cred_id_stored": "k1"})


async def test_an_offer_attached_to_an_invitation_without_a_connection() -> None:
    holder, agent = wallet({"/out-of-band/receive-invitation": {"state": "prepare-response"}})
    issued(holder)
    async with asyncio.timeout(1):
        connection, credential = await holder.accept_offer(carrying(OFFER), "issuer")
    assert (connection.name, connection.connection_id, connection.invitation_msg_id) == ("issuer", "", "i1")
    assert (credential.credential_id, credential.thread_id) == ("k1", "o1")
    (sent,) = agent.posted["/out-of-band/receive-invitation"]["requests~attach"]
    assert sent["data"]["json"]["~thread"] == {"pthid": "i1"}


async def test_an_offer_attached_to_an_invitation_with_a_connection() -> None:
    holder, _ = wallet({"/out-of-band/receive-invitation": {"connection_id": "c1", "state": "done"}})
    holder.inbox.deliver("connections", {"connection_id": "c1", "state": "active", "their_did": "did:theirs"})
    issued(holder, connection_id="c1")
    async with asyncio.timeout(1):
        connection, credential = await holder.accept_offer(carrying(OFFER) | HANDSHAKE, "issuer")
    assert (connection.connection_id, connection.their_did, credential.cred_ex_id) == ("c1", "did:theirs", "x1")


async def test_an_invitation_without_an_offer_is_told() -> None:
    holder, agent = wallet({})
    for invitation in (INVITATION | HANDSHAKE, carrying(REQUEST)):
        with pytest.raises(BadInvitation, match="carries no credential offer"):
            await holder.accept_offer(invitation, "issuer")
    assert agent.posted == {}


async def test_a_credential_is_proposed_in_the_format_of_the_wallet() -> None:
    for kind, name in (("askar-anoncreds", "anoncreds"), ("askar", "indy")):
        agent = Agent(**{"/issue": {}})
        holder = AcapyWallet(agent, Inbox(TOPICS), "w", "token", up, kind)  # type: ignore[arg-type]
        await holder.propose_credential(Connection("issuer", "c1"), {"name": "Alice"}, {"cred_def_id": "d"}, "please")
        assert agent.posted["/issue-credential-2.0/send-proposal"] == {
            "connection_id": "c1",
            "comment": "please",
            "credential_preview": {
                "@type": "issue-credential/2.0/credential-preview",
                "attributes": [{"name": "name", "value": "Alice"}],
            },
            "filter": {name: {"cred_def_id": "d"}},
        }


@pytest.mark.parametrize("before", [True, False])
async def test_elder_protocols_are_told_by_name(before: bool) -> None:
    holder, _ = wallet({})

    def deliver() -> None:
        offer = {"credential_exchange_id": "x", "connection_id": "c1", "state": "offer_received"}
        holder.inbox.deliver("issue_credential", offer)
        holder.inbox.deliver("present_proof", {"thread_id": "t", "connection_id": "c1", "state": "request_received"})

    deliver() if before else asyncio.get_running_loop().call_later(0.01, deliver)
    async with asyncio.timeout(1):
        with pytest.raises(UnsupportedProtocol, match=r"offers by issue-credential 1\.0"):
            await holder.receive_credential(Connection("issuer", "c1"))
        with pytest.raises(UnsupportedProtocol, match=r"requests by present-proof 1\.0"):
            await holder.present_proof_to(VERIFIER)


# ------------------------------------------------------------------------------------------- presentations

RECORD = "/present-proof-2.0/records/p1"


def requested(attributes: dict[str, Any], predicates: dict[str, Any] | None = None, name: str = "anoncreds") -> Any:
    request = {"requested_attributes": attributes, "requested_predicates": predicates or {}}
    return {"by_format": {"pres_request": {name: request}}}


def unmatched(holder: AcapyWallet, end: str = "done") -> None:
    event = {"pres_ex_id": "p1", "thread_id": "r1", "connection_id": "c1"}
    for state in ("request-received", "unmatched"):
        holder.inbox.deliver("present_proof_v2_0", event | {"state": state})
    asyncio.get_running_loop().call_later(0.02, holder.inbox.deliver, "present_proof_v2_0", event | {"state": end})


CARD = {"results": [{"cred_info": {"referent": "k1"}}]}
NONE: dict[str, Any] = {"results": []}


@pytest.mark.parametrize("name", ["anoncreds", "indy"])
async def test_what_the_agent_cannot_answer_is_answered_by_credentials_and_the_holders_own_word(name: str) -> None:
    attributes = {
        "a": {"names": ["name", "since"]},
        "b": {"name": "colour"},
        "c": {"name": "number", "restrictions": [{"cred_def_id": "d"}]},
    }
    predicates = {"p": {"name": "since", "p_type": ">=", "p_value": 2000}}
    found = {"a": CARD, "b": NONE, "c": CARD, "p": CARD}
    answers = {f"{RECORD}/credentials?{referent}": answer for referent, answer in found.items()}
    holder, agent = wallet({RECORD: requested(attributes, predicates, name), **answers})
    holder.self_attested = {"colour": "green", "number": "never said"}
    unmatched(holder)
    async with asyncio.timeout(1):
        assert (await holder.present_proof_to(VERIFIER)).thread_id == "r1"
    assert agent.posted == {
        f"{RECORD}/send-presentation": {
            name: {
                "requested_attributes": {
                    "a": {"cred_id": "k1", "revealed": True},
                    "c": {"cred_id": "k1", "revealed": True},
                },
                "requested_predicates": {"p": {"cred_id": "k1"}},
                "self_attested_attributes": {"b": "green"},
            }
        }
    }


@pytest.mark.parametrize(
    ("attributes", "predicates", "clause"),
    [
        (
            {"b": {"name": "colour"}},
            {},
            "requests: colour (a script's self_attested or stampede_self_attested may give",
        ),
        ({"b": {"name": "age", "restrictions": [{"schema_name": "s"}]}}, {}, "age, from [{'schema_name': 's'}]"),
        ({"b": {"names": ["name", "age"]}}, {}, "name, age"),
        ({}, {"b": {"name": "age", "p_type": ">=", "p_value": 18}}, "age >= 18"),
    ],
)
async def test_what_is_missing_for_a_request_is_told_to_both_sides(
    attributes: dict[str, Any], predicates: dict[str, Any], clause: str
) -> None:
    holder, agent = wallet({RECORD: requested(attributes, predicates), f"{RECORD}/credentials": NONE})
    holder.self_attested = {"age": "21", "name": "Alice"}
    unmatched(holder)
    with pytest.raises(RequestUnmatched) as raised:
        await holder.present_proof_to(VERIFIER)
    assert clause in raised.value.detail
    assert list(agent.posted) == [f"{RECORD}/problem-report"]


async def test_a_request_in_a_format_that_nobody_speaks_is_told() -> None:
    holder, _ = wallet({RECORD: {"by_format": {"pres_request": {"dif": {}}}}})
    unmatched(holder)
    with pytest.raises(UnsupportedProtocol, match=r"requests in the format dif, .* must be one of anoncreds, indy"):
        await holder.present_proof_to(VERIFIER)


async def test_a_presentation_that_the_agent_cannot_make_is_told() -> None:
    answers = {RECORD: requested({}), f"{RECORD}/send-presentation": AgentError("agent-0: answered 400 revoked")}
    holder, _ = wallet(answers)
    unmatched(holder)
    with pytest.raises(
        ProblemReport, match="could not make the presentation in the format anoncreds: agent-0: answered 400"
    ):
        await holder.present_proof_to(VERIFIER)


async def test_the_format_indy_names_the_ledger_that_it_needs() -> None:
    answers = {RECORD: requested({}, name="indy"), f"{RECORD}/send-presentation": AgentError("agent-0: answered 500")}
    holder, _ = wallet(answers)
    unmatched(holder)
    with pytest.raises(
        ProblemReport, match=r"format indy, which needs the credential's Indy ledger \(stampede_ledgers"
    ):
        await holder.present_proof_to(VERIFIER)


async def test_a_request_that_was_left_to_the_holder_may_still_be_given_up() -> None:
    holder, _ = wallet({RECORD: requested({})})
    unmatched(holder, "abandoned")
    async with asyncio.timeout(1):
        with pytest.raises(ProblemReport):
            await holder.present_proof_to(VERIFIER)


async def test_a_presentation_is_proposed_in_the_format_of_the_wallet() -> None:
    holder, agent = wallet({"/present": {}})
    await holder.propose_presentation(VERIFIER, {"requested_attributes": {"a": {"name": "n"}}}, "")
    assert agent.posted["/present-proof-2.0/send-proposal"] == {
        "connection_id": "c1",
        "comment": "",
        "presentation_proposal": {"anoncreds": {"requested_attributes": {"a": {"name": "n"}}}},
    }


async def test_a_wallet_of_type_askar_names_the_setting_at_a_request_in_the_other_format() -> None:
    agent = Agent(**{RECORD: requested({})})
    holder = AcapyWallet(agent, Inbox(TOPICS), "w", "token", up, "askar")  # type: ignore[arg-type]
    unmatched(holder)
    with pytest.raises(ProblemReport, match="stampede_wallet_type is askar"):
        await holder.present_proof_to(VERIFIER)


@pytest.mark.parametrize("order", [("offer-received", "left-out"), ("left-out", "offer-received")])
async def test_an_offer_in_a_format_that_holders_leave_out_is_told(order: tuple[str, str]) -> None:
    holder, _ = wallet({})
    event = {"cred_ex_id": "x1", "connection_id": "c1", "thread_id": "o1", "format": "vc_di"}
    for state in order:
        holder.inbox.deliver("issue_credential_v2_0", event | {"state": state})
    async with asyncio.timeout(1):
        with pytest.raises(
            UnsupportedProtocol, match=r"offers in the format vc_di, .* must offer in anoncreds or indy"
        ):
            await holder.receive_credential(Connection("issuer", "c1"))
