"""A wallet's protocols find their messages in whatever order these come."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from controller.agents.acapy_wallet import TOPICS, AcapyWallet
from controller.agents.inbox import Inbox
from controller.agents.wallet import Connection, Credential
from controller.agents.webhooks import WebhookReceiver
from stampede.schema.errors import AgentError, NoOffer, ProblemReport

ISSUER = Connection("issuer", "c1")
EXCHANGE, STORED = "issue_credential_v2_0", "issue_credential_v2_0_anoncreds"
NOTIFICATION = "revocation-notification-v2"


class Agent:
    """Answers the admin API with what it is given by path, and notes what was asked."""

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[str] = []

    async def call(self, method: str, path: str, **_: Any) -> Any:
        self.asked.append(path)
        if path.startswith("/credential/"):
            index = path.removeprefix("/credential/credential-")
            return {"rev_reg_id": "registry", "cred_rev_id": index}
        if path not in self.answers:
            raise AgentError(f"agent-0: {method} {path} answered 404 not found")
        return self.answers[path]


async def up() -> None:
    pass


def wallet(answers: dict[str, Any] | None = None) -> AcapyWallet:
    return AcapyWallet(Agent(answers), Inbox(TOPICS), "w", "token", up)  # type: ignore[arg-type]


def offered(inbox: Inbox, number: int, connection: str = "c1") -> None:
    for state in ("offer-received", "request-sent"):
        event = {"connection_id": connection, "cred_ex_id": f"x{number}", "thread_id": f"t{number}"}
        inbox.deliver(EXCHANGE, event | {"state": state})


def issued(inbox: Inbox, number: int, connection: str = "c1") -> None:
    event = {"connection_id": connection, "cred_ex_id": f"x{number}", "thread_id": f"t{number}"}
    inbox.deliver(STORED, {"cred_ex_id": f"x{number}"})
    inbox.deliver(
        STORED, {"cred_ex_id": f"x{number}", "cred_id_stored": f"credential-{number}", "rev_reg_id": "registry"}
    )
    inbox.deliver(EXCHANGE, event | {"state": "credential-received"})
    inbox.deliver(EXCHANGE, event | {"state": "done"})
    inbox.deliver(EXCHANGE, event | {"state": "deleted"})


async def receive(holder: AcapyWallet, connection: Connection = ISSUER) -> Credential:
    async with asyncio.timeout(1):
        return await holder.receive_credential(connection)


async def test_eight_offers_at_once_are_eight_credentials() -> None:
    holder = wallet()
    for number in range(8):
        offered(holder.inbox, number)
    for number in reversed(range(8)):
        issued(holder.inbox, number)
    credentials = [await receive(holder) for _ in range(8)]
    assert [(each.cred_ex_id, each.credential_id, each.cred_rev_id) for each in credentials] == [
        (f"x{number}", f"credential-{number}", str(number)) for number in range(8)
    ]
    assert [each.thread_id for each in credentials] == [f"t{number}" for number in range(8)]


async def test_eight_steps_at_once_have_a_credential_each() -> None:
    holder = wallet()
    steps = [asyncio.create_task(receive(holder)) for _ in range(8)]
    await asyncio.sleep(0)
    for number in range(8):
        offered(holder.inbox, number)
    for number in reversed(range(8)):
        issued(holder.inbox, number)
    credentials = await asyncio.gather(*steps)
    assert sorted(each.credential_id for each in credentials) == [f"credential-{number}" for number in range(8)]
    assert all(each.credential_id[-1] == each.cred_ex_id[-1] for each in credentials)


async def test_an_offer_of_another_connection_is_left_for_it() -> None:
    holder = wallet()
    for number, connection in enumerate(("c2", "c1", "c2")):
        offered(holder.inbox, number, connection)
        issued(holder.inbox, number, connection)
    assert (await receive(holder)).cred_ex_id == "x1"
    other = Connection("other", "c2")
    assert [(await receive(holder, other)).cred_ex_id for _ in range(2)] == ["x0", "x2"]


async def test_what_comes_of_a_failed_exchange_does_not_fail_the_next() -> None:
    holder = wallet()
    offered(holder.inbox, 0)
    abandoned = {"connection_id": "c1", "cred_ex_id": "x0", "state": "abandoned", "error_msg": "no"}
    holder.inbox.deliver(EXCHANGE, abandoned)
    offered(holder.inbox, 1)
    issued(holder.inbox, 1)
    with pytest.raises(ProblemReport, match="no"):
        await receive(holder)
    holder.inbox.deliver(EXCHANGE, abandoned)
    assert (await receive(holder)).credential_id == "credential-1"


@pytest.mark.parametrize(
    ("wallet_type", "other", "topic"),
    [("askar-anoncreds", "issue_credential_v2_0_indy", STORED), ("askar", STORED, "issue_credential_v2_0_indy")],
)
async def test_each_type_of_wallet_tells_by_its_own_topic_what_it_stored(
    wallet_type: str, other: str, topic: str
) -> None:
    holder = AcapyWallet(Agent(), Inbox(TOPICS), "w", "token", up, wallet_type)  # type: ignore[arg-type]
    event = {"connection_id": "c1", "cred_ex_id": "x0", "thread_id": "t0"}
    for state in ("offer-received", "done"):
        holder.inbox.deliver(EXCHANGE, event | {"state": state})
    for name, number in ((other, 8), (topic, 5)):
        holder.inbox.deliver(name, {"cred_ex_id": "x0", "cred_request_metadata": {}})
        stored = {"cred_id_stored": f"credential-{number}", "rev_reg_id": "registry"}
        holder.inbox.deliver(name, {"cred_ex_id": "x0"} | stored)
    credential = await receive(holder)
    assert (credential.credential_id, credential.rev_reg_id, credential.cred_rev_id) == (
        "credential-5",
        "registry",
        "5",
    )


@pytest.mark.parametrize(
    ("wallet_type", "formats", "advice"),
    [
        ("askar-anoncreds", ["indy"], "stampede_wallet_type: askar alone"),
        ("askar-anoncreds", ["indy", "anoncreds"], ""),
        ("askar-anoncreds", ["ld_proof"], ""),
        ("askar-anoncreds", [], ""),  # the agent has forgotten the offer
        ("askar", ["anoncreds"], "stampede_wallet_type is askar, which takes the format indy only"),
        ("askar", ["indy", "anoncreds"], ""),
        ("askar", ["indy"], ""),
    ],
)
async def test_an_offer_for_the_other_type_of_wallet_names_the_setting(
    wallet_type: str, formats: list[str], advice: str
) -> None:
    record = {"cred_ex_record": {"by_format": {"cred_offer": {name: {"nonce": "1"} for name in formats}}}}
    agent = Agent({"/issue-credential-2.0/records/x0": record} if formats else {})
    holder = AcapyWallet(agent, Inbox(TOPICS), "w", "token", up, wallet_type)  # type: ignore[arg-type]
    offered(holder.inbox, 0)
    if advice and wallet_type == "askar":  # ACA-Py tells nobody
        with pytest.raises(ProblemReport, match=advice):
            await receive(holder)
        return
    reason = "issuance-abandoned: issuance-abandoned"
    abandoned = {"connection_id": "c1", "cred_ex_id": "x0", "state": "abandoned", "error_msg": reason}
    holder.inbox.deliver(EXCHANGE, abandoned)
    with pytest.raises(ProblemReport, match=reason) as raised:
        await receive(holder)
    assert advice in raised.value.detail
    assert ("stampede_wallet_type" in raised.value.detail) == bool(advice)


@pytest.mark.parametrize(("wallet_type", "told"), [("askar", True), ("askar-anoncreds", False)])
async def test_so_does_a_proof_request(wallet_type: str, told: bool) -> None:
    holder = AcapyWallet(Agent(), Inbox(TOPICS), "w", "token", up, wallet_type)  # type: ignore[arg-type]
    event = {"connection_id": "c1", "thread_id": "t1"}
    reason = "No matching credentials found: AnonCreds interface requires AskarAnonCreds or KanonAnonCreds profile."
    holder.inbox.deliver("present_proof_v2_0", event | {"state": "request-received"})
    holder.inbox.deliver("present_proof_v2_0", event | {"state": "abandoned", "error_msg": reason})
    with pytest.raises(ProblemReport, match="No matching credentials") as raised:
        await holder.present_proof_to(ISSUER)
    assert ("it must be askar-anoncreds" in raised.value.detail) == told


async def test_no_offer_is_told_as_such_even_if_others_came() -> None:
    holder = wallet()
    offered(holder.inbox, 0, "c2")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await holder.receive_credential(ISSUER)
    assert isinstance(holder.cut_off(), NoOffer)


CREDENTIALS = [Credential(f"credential-{number}", f"x{number}", "", "registry", str(number)) for number in range(3)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("came_before", [True, False])
async def test_notifications_are_found_in_either_order(order: tuple[int, int], came_before: bool) -> None:
    holder = wallet()

    def announce() -> None:
        for number in range(2):
            holder.inbox.deliver(NOTIFICATION, {"credential_id": f"registry::{number}"})

    if came_before:
        announce()
    else:
        asyncio.get_running_loop().call_later(0.01, announce)
    for number in order:
        async with asyncio.timeout(1):
            assert await holder.receive_revocation_notification([CREDENTIALS[number]]) is CREDENTIALS[number]


async def test_a_notification_for_a_credential_not_yet_known_waits_for_it() -> None:
    holder = wallet()
    holder.inbox.deliver(NOTIFICATION, {"credential_id": "registry::2"})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await holder.receive_revocation_notification(CREDENTIALS[:2])
    async with asyncio.timeout(1):
        assert await holder.receive_revocation_notification(CREDENTIALS) is CREDENTIALS[2]


async def test_pings_have_their_own_responses() -> None:
    holder = wallet({"/connections/c1/send-ping": {"thread_id": "p2"}})
    for thread in ("p1", "p2"):
        holder.inbox.deliver("ping", {"thread_id": thread, "state": "response_received"})
    async with asyncio.timeout(1):
        await holder.ping(ISSUER)


async def test_presentation_requests_that_are_queued_are_answered_one_by_one() -> None:
    holder = wallet()
    for number in range(3):
        event = {"connection_id": "c1", "thread_id": f"t{number}", "pres_ex_id": f"p{number}"}
        holder.inbox.deliver("present_proof_v2_0", event | {"state": "request-received"})
    for number in reversed(range(3)):
        event = {"connection_id": "c1", "thread_id": f"t{number}", "pres_ex_id": f"p{number}"}
        for state in ("presentation-sent", "done"):
            holder.inbox.deliver("present_proof_v2_0", event | {"state": state})
    async with asyncio.timeout(1):
        for _ in range(3):
            await holder.present_proof_to(ISSUER)


async def test_ten_connections_first() -> None:
    holder = wallet({"/out-of-band/receive-invitation": {"connection_id": "c1", "invi_msg_id": "i", "state": "done"}})
    for number in range(10):
        offered(holder.inbox, number, f"c{number}")
        for state in ("request", "response", "active", "completed"):
            holder.inbox.deliver("connections", {"connection_id": f"c{number}", "state": state, "my_did": "did:x"})
    async with asyncio.timeout(1):
        connection = await holder.accept_invitation({"@type": "https://didcomm.org/out-of-band/1.1/invitation"}, "a")
    assert (connection.connection_id, connection.my_did) == ("c1", "did:x")


async def test_a_connection_that_is_used_again_is_there_at_once() -> None:
    """ACA-Py answers an invitation by a DID to which there is a connection with that connection; no event follows."""
    answers = {
        "/out-of-band/receive-invitation": {"connection_id": "c1", "invi_msg_id": "i2", "state": "reuse-accepted"},
        "/connections/c1": {"connection_id": "c1", "my_did": "did:mine", "their_did": "did:theirs"},
    }
    holder = wallet(answers)
    async with asyncio.timeout(1):
        connection = await holder.accept_invitation({"@type": "https://didcomm.org/out-of-band/1.1/invitation"}, "a")
    assert connection == Connection("a", "c1", "did:mine", "did:theirs", "i2")


async def test_what_a_wallet_announces_before_it_is_registered() -> None:
    inbox, other = Inbox(TOPICS), Inbox(TOPICS)
    async with WebhookReceiver(TOPICS) as receiver, aiohttp.ClientSession() as session:
        url, key = receiver.url.split("#")

        async def announce(wallet_id: str, connection: str) -> None:
            headers = {"x-api-key": key, "x-wallet-id": wallet_id}
            event = {"state": "active", "connection_id": connection}
            await session.post(f"{url}/topic/connections/", json=event, headers=headers)

        await announce("w", "1")
        receiver.register("w", inbox)
        async with asyncio.timeout(1):
            assert await inbox.expect("connections", "active", connection_id="1")
        receiver.forget("w")
        await announce("w", "2")  # of a wallet that was replaced nothing is kept
        receiver.register("w", other)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await other.expect("connections", "active", connection_id="2")


PRESENTATION = "present_proof_v2_0"
VERIFIER = Connection("verifier", "v1")


@pytest.mark.parametrize("came_before", [True, False])
async def test_a_presentation_is_sent_before_it_is_acknowledged(came_before: bool) -> None:
    holder = wallet()
    event = {"connection_id": "v1", "thread_id": "t1", "pres_ex_id": "p1"}

    def announce() -> None:
        for state in ("request-received", "presentation-sent"):
            holder.inbox.deliver(PRESENTATION, event | {"state": state})
        for number in range(20):  # nobody awaits these
            holder.inbox.deliver("connections", {"connection_id": f"c{number}", "state": "response"})

    if came_before:
        announce()
    else:
        asyncio.get_running_loop().call_later(0.01, announce)
    async with asyncio.timeout(5):
        assert (await holder.send_proof_to(VERIFIER)).pres_ex_id == "p1"
    holder.inbox.deliver(PRESENTATION, event | {"state": "done"})  # what still comes of it concerns no other step
    other = {"connection_id": "v1", "thread_id": "t2", "pres_ex_id": "p2"}
    for state in ("request-received", "presentation-sent"):
        holder.inbox.deliver(PRESENTATION, other | {"state": state})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await holder.present_proof_to(VERIFIER)
    assert holder.inbox.cut_off == "waited for present_proof_v2_0 done, last saw presentation-sent"
