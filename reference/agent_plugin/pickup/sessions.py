"""How the mediator's agent keeps sessions with recipients: many messages at once, none held back, none lost.

ACA-Py 1.7.0 has room for one message in a session, gives a message to the first session that would take it, even if
that is long dead, and looks at what it could not deliver only when the recipient has said something.
"""

import logging
from collections import deque
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from acapy_agent.core import conductor
from acapy_agent.transport.error import WireFormatError
from acapy_agent.transport.inbound.manager import InboundTransportManager
from acapy_agent.transport.inbound.message import InboundMessage
from acapy_agent.transport.inbound.session import AcceptResult, InboundSession
from acapy_agent.transport.outbound.message import OutboundMessage
from acapy_agent.transport.wire_format import BaseWireFormat

from controller.acapy_patches.patch import Patch

from .mailbox import Letter, Mailbox
from .messages import PROTOCOL, delivery

LOGGER = logging.getLogger(__name__)
MAX_UNSENT = 1000  # messages that a session takes before the first is sent; more wait in the mailbox


class Session(InboundSession):
    """One connection of a transport, by which a recipient can get any number of messages."""

    def __init__(self, office: "PostOffice", **options: Any) -> None:
        """`options` are ACA-Py's."""
        super().__init__(**options)
        self.live = False
        """Whether the recipient has turned live delivery on (RFC 0685)."""
        self.keys: dict[str, str] = {}
        """The key of the recipient and the mediator's for it; one pair, unless agents share a connection."""
        self._office = office
        self._unsent: deque[OutboundMessage] = deque()

    @property
    def is_socket(self) -> bool:
        """Whether it stays open; by the answer to a POST goes one message."""
        return bool(self.transport_type == "ws")

    def process_inbound(self, message: InboundMessage) -> None:
        """Notice who speaks, and whether by pickup 2.0. On a socket the return route holds until it is changed."""
        receipt = message.receipt
        if self.is_socket and receipt.direct_response_mode is None:
            receipt.direct_response_mode = self.reply_mode
        super().process_inbound(message)
        if receipt.sender_verkey and self.reply_mode:
            self.keys[receipt.sender_verkey] = receipt.recipient_verkey
            mailbox = self._office.mailbox(receipt.sender_verkey)
            mailbox.explicit |= str(message.payload.get("@type")).startswith(PROTOCOL)
            self.accept_undelivered = not mailbox.explicit
            if self.is_socket:
                self._office.sockets[receipt.sender_verkey] = self

    def accept_response(self, message: OutboundMessage) -> AcceptResult:
        """Take a message to send, unless the recipient asks for its messages."""
        if not self.select_outbound(message):
            return AcceptResult(False)
        if self.response_buffer and (not self.is_socket or len(self._unsent) >= MAX_UNSENT):
            return AcceptResult(False, True)
        mailbox = self._office.mailbox(message.reply_to_verkey)
        if message.enc_payload and mailbox.explicit:
            if not self.live:
                return AcceptResult(False)
            message = self._hand_over(mailbox.add(message))
        if self.response_buffer:
            self._unsent.append(message)
        else:
            self.set_response(message)
        return AcceptResult(True)

    def clear_response(self) -> None:
        """A message has been sent: go on with the next one."""
        super().clear_response()
        if self._unsent:
            self.set_response(self._unsent.popleft())
        elif self.is_socket and self.accept_undelivered:
            self._office.process_undelivered(self)

    async def wait_response(self) -> bytes | None:
        """The next message to send, as it is transported; None when the session has been closed."""
        while not self.closed:
            if message := self.response_buffer:
                try:
                    return await self.pack(message)
                except WireFormatError as err:
                    LOGGER.warning("a message cannot be sent: %s", err)
                    self.clear_response()
                    continue
            self.response_event.clear()
            await self.response_event.wait()
        return None

    def unsent(self) -> Iterator[OutboundMessage]:
        """What was taken and not sent, except messages that matter on this connection only."""
        for message in (self.response_buffer, *self._unsent):
            if message and not message.to_session_only:
                yield message

    async def pack(self, message: OutboundMessage) -> bytes:
        """The message as it is transported. Raises WireFormatError."""
        packed = message.enc_payload or await self.encode_outbound(message)
        return packed if isinstance(packed, bytes) else str(packed).encode()

    def _hand_over(self, letter: Letter) -> OutboundMessage:
        """A delivery of this letter, which stays in the mailbox until it is acknowledged."""
        letter.handed_to = self.session_id
        content = letter.message.enc_payload
        return OutboundMessage(
            payload=delivery([(letter.id, content if isinstance(content, bytes) else content.encode())]),
            reply_to_verkey=letter.message.reply_to_verkey,
            reply_from_verkey=self.keys[letter.message.reply_to_verkey],
            to_session_only=True,
        )


class PostOffice(InboundTransportManager):
    """ACA-Py's manager of sessions, with a mailbox for each recipient."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """The arguments are ACA-Py's."""
        super().__init__(*args, **options)
        self.mailboxes: dict[str, Mailbox] = {}
        self.sockets: dict[str, Session] = {}
        """The latest of each recipient: an earlier one may be dead without anybody having noticed."""

    def mailbox(self, key: str) -> Mailbox:
        """The mailbox of a recipient, known by the key of its connection with the mediator."""
        if key not in self.mailboxes:
            self.mailboxes[key] = Mailbox()
        return self.mailboxes[key]

    async def create_session(
        self, transport_type: str, *, wire_format: BaseWireFormat | None = None, **options: Any
    ) -> Session:
        """A session for a new connection of a transport."""
        session = Session(
            self,
            profile=self.profile,
            inbound_handler=self.receive_inbound,
            session_id=str(uuid4()),
            wire_format=wire_format or self.profile.context.inject(BaseWireFormat),
            close_handler=self.closed_session,
            transport_type=transport_type,
            **options,
        )
        self.sessions[session.session_id] = session
        return session

    def closed_session(self, session: Session) -> None:
        """What was taken and not sent finds another way, or waits."""
        self.sessions.pop(session.session_id, None)
        for key in session.keys:
            if self.sockets.get(key) is session:
                del self.sockets[key]
        for message in session.unsent():
            self.return_inbound(session.profile, message)

    def return_to_session(self, outbound: OutboundMessage) -> bool:
        """Send by the session on which this is an answer, else by the recipient's latest socket."""
        asked_on = self.sessions.get(outbound.reply_session_id)
        if asked_on and asked_on.accept_response(outbound):
            return True
        socket = self.sockets.get(outbound.reply_to_verkey)
        return bool(socket and socket is not asked_on and socket.accept_response(outbound))

    def return_undelivered(self, outbound: OutboundMessage) -> bool:
        """Keep a message that no transport could deliver, unless its recipient is there by now."""
        _name_keys(outbound)
        if not outbound.reply_to_verkey or outbound.to_session_only:
            return False
        if not self.return_to_session(outbound):
            self.mailbox(outbound.reply_to_verkey).add(outbound)
        return True

    def process_undelivered(self, session: Session) -> None:
        """Give what waits to a session that takes messages without asking for them."""
        for key in session.keys:
            mailbox = self.mailbox(key)
            for letter in mailbox:
                if not session.accept_response(letter.message):
                    return
                mailbox.remove([letter.id])


def _name_keys(outbound: OutboundMessage) -> None:
    """Of a message that is no reply, the keys are known by its target only."""
    targets = [outbound.target] if outbound.target else outbound.target_list
    if not outbound.reply_to_verkey and targets and targets[0].recipient_keys:
        outbound.reply_to_verkey = targets[0].recipient_keys[0]
        outbound.reply_from_verkey = targets[0].sender_key


def employ_post_office() -> None:
    """Let ACA-Py's conductor manage sessions by a PostOffice."""
    conductor.InboundTransportManager = PostOffice


POST_OFFICE = Patch(
    name="post_office",
    reason="A session has room for one message; others are held back until the recipient speaks, or lost.",
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        "acapy_agent.transport.inbound.manager:InboundTransportManager": "cbbba30d7cb44c25",
        "acapy_agent.transport.inbound.session:InboundSession": "4a3485756806f56f",
        "acapy_agent.transport.inbound.ws:WsTransport.inbound_message_handler": "7c724e5989786d94",
    },
    apply=employ_post_office,
)
