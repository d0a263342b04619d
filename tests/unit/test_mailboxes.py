"""The reference mediator's mailboxes and sessions: what waits, what is dropped, what is never sent twice."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from acapy_agent.connections.models.connection_target import ConnectionTarget
from acapy_agent.transport.error import WireFormatError
from acapy_agent.transport.inbound.message import InboundMessage
from acapy_agent.transport.inbound.receipt import MessageReceipt
from acapy_agent.transport.outbound.message import OutboundMessage
from hypothesis import given
from hypothesis import strategies as st

from reference.agent_plugin.pickup import mailbox as mailbox_module
from reference.agent_plugin.pickup import sessions
from reference.agent_plugin.pickup.mailbox import Mailbox, recipient_key
from reference.agent_plugin.pickup.messages import PROTOCOL
from reference.agent_plugin.pickup.sessions import PostOffice, Session

PHONE = "key of the phone"
JSON = st.recursive(st.none() | st.text(), lambda within: st.dictionaries(st.text(), within))
PING = "https://didcomm.org/trust_ping/1.0/ping"


def envelope(key: Any) -> bytes:
    protected = json.dumps({"recipients": [{"header": {"kid": key}}]}).encode()
    return json.dumps({"protected": base64.urlsafe_b64encode(protected).rstrip(b"=").decode()}).encode()


def forwarded(text: str, key: str = "k") -> OutboundMessage:
    """A message for the phone, as ACA-Py forwards it."""
    packed = json.dumps(json.loads(envelope(key)) | {"ciphertext": text}).encode()
    return OutboundMessage(payload=None, enc_payload=packed, reply_to_verkey=PHONE)


class TestMailbox:
    def test_letters_wait_until_they_are_removed(self) -> None:
        box = Mailbox()
        first, second = box.add(forwarded("1", "a")), box.add(forwarded("2", "b"))
        assert box.waiting("session") == [first, second]
        assert box.waiting("session", "b") == [second]
        first.handed_to = "session"
        assert box.waiting("session") == [second]
        assert box.waiting("another session") == [first, second]
        box.remove([first.id, "unknown"])
        assert list(box) == [second]

    def test_too_many_letters(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mailbox_module, "MAX_LETTERS", 3)
        box = Mailbox()
        letters = [box.add(forwarded(str(number))) for number in range(5)]
        assert list(box) == letters[2:]
        assert box.dropped == 2

    def test_too_large_letters(self, monkeypatch: pytest.MonkeyPatch) -> None:
        one = len(forwarded("1").enc_payload)
        monkeypatch.setattr(mailbox_module, "MAX_BYTES", 2 * one)
        box = Mailbox()
        letters = [box.add(forwarded(str(number))) for number in range(3)]
        assert list(box) == letters[1:]
        large = box.add(forwarded("x" * 10 * one))
        assert list(box) == [large], "one alone is kept, however large it is"
        box.remove([large.id])
        assert list(box) == []
        assert [box.add(forwarded(text)) for text in "ab"] == list(box), "what is gone counts no longer"


class TestRecipientKey:
    def test_is_that_of_the_first_recipient(self) -> None:
        assert recipient_key(envelope("4vzZ")) == "4vzZ"

    @pytest.mark.parametrize("key", [None, 1, [], {}])
    def test_a_key_is_text(self, key: Any) -> None:
        assert recipient_key(envelope(key)) == ""

    @pytest.mark.fuzz
    @given(
        st.binary() | st.recursive(st.none() | st.text(), lambda it: st.dictionaries(st.text(), it)).map(json.dumps)
    )
    def test_of_anything(self, content: bytes | str) -> None:
        assert recipient_key(content) == ""

    @pytest.mark.fuzz
    @given(st.binary())
    def test_of_any_header(self, header: bytes) -> None:
        protected = base64.urlsafe_b64encode(header).decode()
        assert isinstance(recipient_key(json.dumps({"protected": protected})), str)


class Office(PostOffice):
    """Without ACA-Py around it."""

    def __init__(self) -> None:
        self.returned: list[OutboundMessage] = []
        self.sessions: dict[str, Session] = {}
        self.mailboxes = {}
        self.sockets = {}
        self.return_inbound = lambda profile, message: self.returned.append(message)

    def connect(self, session_id: str, transport: str = "ws", kind: str = PING) -> OpenSession:
        """The phone opens a connection and says something, asking for answers by it."""
        session = OpenSession(self, session_id, transport)
        self.sessions[session_id] = session
        session.hear(kind, mode="all")
        return session


class Profile:
    """With settings that name nothing."""

    def __init__(self) -> None:
        self.settings: dict[str, str] = {}
        self.context = self


class OpenSession(Session):
    """A session that packs nothing."""

    def __init__(self, office: Office, session_id: str, transport: str) -> None:
        super().__init__(
            office,
            profile=Profile(),
            inbound_handler=lambda *_, **__: None,
            session_id=session_id,
            wire_format=None,
            accept_undelivered=True,
            can_respond=True,
            close_handler=office.closed_session,
            transport_type=transport,
        )

    def hear(self, kind: str, mode: str | None) -> None:
        receipt = MessageReceipt(sender_verkey=PHONE, recipient_verkey="mediator", direct_response_mode=mode)
        self.receive_inbound(InboundMessage({"@type": kind}, receipt, session_id=self.session_id))

    async def encode_outbound(self, outbound: OutboundMessage) -> bytes:
        if outbound.payload == "unpackable":
            raise WireFormatError("no key")
        return str(outbound.payload).encode()

    async def sent(self) -> list[str]:
        """Let everything be sent, as ACA-Py's transport does."""
        texts = []
        while self.response_buffer:
            message = json.loads(await self.wait_response())
            for one in message.get("~attach", ()):
                message = json.loads(base64.b64decode(one["data"]["base64"]))
            texts.append(message["ciphertext"])
            self.clear_response()
        return texts


@pytest.fixture
def office() -> Office:
    return Office()


def send(office: Office, *texts: str) -> None:
    """Forward these to the phone, as ACA-Py does: by a session, else by a transport, which fails."""
    for text in texts:
        if not office.return_to_session(message := forwarded(text)):
            office.return_undelivered(message)


class TestSession:
    async def test_a_burst_is_sent_in_order(self, office: Office) -> None:
        session = office.connect("1")
        send(office, *"abc")
        assert await session.sent() == ["a", "b", "c"]
        assert len(office.mailbox(PHONE)) == 0

    async def test_a_message_without_a_return_route_leaves_that_of_the_socket(self, office: Office) -> None:
        session = office.connect("1")
        session.hear(PING, mode=None)
        send(office, "a")
        assert await session.sent() == ["a"]
        session.hear(PING, mode="none")
        send(office, "b")
        assert await session.sent() == []
        assert len(office.mailbox(PHONE)) == 1

    async def test_more_than_a_session_takes_waits_and_follows(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions, "MAX_UNSENT", 2)
        session = office.connect("1")
        send(office, *"abcdefgh")
        assert len(office.mailbox(PHONE)) == 5
        assert sorted(await session.sent()) == list("abcdefgh")
        assert len(office.mailbox(PHONE)) == 0

    async def test_a_message_that_cannot_be_packed_holds_up_no_other(self, office: Office) -> None:
        session = office.connect("1")
        office.return_to_session(OutboundMessage(payload="unpackable", reply_to_verkey=PHONE))
        send(office, "a")
        assert json.loads(await asyncio.wait_for(session.wait_response(), 5))["ciphertext"] == "a"

    async def test_what_was_not_sent_at_the_end_finds_another_way(self, office: Office) -> None:
        session = office.connect("1")
        send(office, *"ab")
        session.close()
        assert [json.loads(message.enc_payload)["ciphertext"] for message in office.returned] == ["a", "b"]
        assert office.sockets == {} and office.sessions == {}
        assert await session.wait_response() is None

    async def test_the_latest_socket_gets_messages(self, office: Office) -> None:
        earlier, later = office.connect("1"), office.connect("2")
        send(office, "a")
        earlier.close()
        send(office, "b")
        assert await later.sent() == ["a", "b"]
        assert office.returned == []

    async def test_a_post_gets_one_message(self, office: Office) -> None:
        session = office.connect("1", transport="http")
        send(office, *"ab")
        assert session.response_buffer is None, "its own answer was not there yet"
        office.process_undelivered(session)
        assert len(office.mailbox(PHONE)) == 1
        session.can_respond = False
        session.clear_response()
        assert len(office.mailbox(PHONE)) == 1

    async def test_a_message_that_comes_while_the_phone_reconnects_is_not_left_behind(self, office: Office) -> None:
        message = forwarded("a")
        assert not office.return_to_session(message)
        session = office.connect("1")  # while ACA-Py looks for a transport
        assert office.return_undelivered(message)
        assert await session.sent() == ["a"]

    def test_a_message_of_the_mediators_own_waits_for_the_key_of_its_target(self, office: Office) -> None:
        target = ConnectionTarget(endpoint="didcomm:transport/queue", recipient_keys=[PHONE], sender_key="mediator")
        assert office.return_undelivered(OutboundMessage(payload="{}", target_list=[target]))
        (letter,) = office.mailbox(PHONE)
        assert (letter.message.reply_to_verkey, letter.message.reply_from_verkey) == (PHONE, "mediator")
        assert not office.return_undelivered(OutboundMessage(payload="{}"))

    async def test_pickup_is_explicit_from_the_first_word_on_every_session(self, office: Office) -> None:
        first = office.connect("1", kind=f"{PROTOCOL}status-request")
        send(office, "a")
        assert await first.sent() == []
        second = office.connect("2")
        send(office, "b")
        assert await second.sent() == []
        assert len(office.mailbox(PHONE)) == 2

    async def test_live_delivery_keeps_what_it_sent(self, office: Office) -> None:
        session = office.connect("1", kind=f"{PROTOCOL}live-delivery-change")
        session.live = True
        send(office, *"ab")
        assert await session.sent() == ["a", "b"]
        assert len(office.mailbox(PHONE)) == 2
        assert office.mailbox(PHONE).waiting("1") == []
        session.close()
        assert office.returned == [], "what is in the mailbox needs no other way"
        assert len(office.mailbox(PHONE).waiting("2")) == 2
