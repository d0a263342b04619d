"""What the mediator does when a recipient speaks pickup 2.0 (RFC 0685)."""

from typing import Any

from acapy_agent.messaging.base_handler import BaseHandler
from acapy_agent.messaging.request_context import RequestContext
from acapy_agent.messaging.responder import BaseResponder
from acapy_agent.protocols.coordinate_mediation.v1_0.normalization import normalize_from_did_key
from acapy_agent.transport.outbound.message import OutboundMessage

from .mailbox import Letter, Mailbox
from .messages import DeliveryRequest, LiveDeliveryChange, MessagesReceived, delivery, problem, status
from .sessions import PostOffice, Session

MAX_LETTERS = 100  # in one delivery, whatever limit the recipient names
MAX_BYTES = 1024**2  # of the messages in one delivery, unless one alone has more


class PickupHandler(BaseHandler):
    """Answers each message of pickup 2.0 on the session on which it came."""

    async def handle(self, context: RequestContext, responder: BaseResponder) -> None:
        """Called by ACA-Py."""
        receipt = context.message_receipt
        if not context.connection_ready or not receipt.sender_verkey:
            self._logger.warning("pickup 2.0 needs a connection: %s", context.message._message_type)
            return
        office = context.inject(PostOffice)
        mailbox = office.mailbox(receipt.sender_verkey)
        if isinstance(context.message, MessagesReceived):  # which counts after a disconnect, too
            mailbox.remove(context.message.message_id_list)
        session = office.sessions.get(responder.reply_session_id)
        if session is None:
            return
        await responder.send_outbound(
            OutboundMessage(
                payload=await _answer(context.message, mailbox, session),
                reply_session_id=session.session_id,
                reply_to_verkey=receipt.sender_verkey,
                reply_from_verkey=receipt.recipient_verkey,
                to_session_only=True,
            )
        )


async def _answer(asked: Any, mailbox: Mailbox, session: Session) -> str:
    """The message that answers; what was sent on this session already is not told or sent again."""
    key = _base58(getattr(asked, "recipient_key", None) or "")
    if isinstance(asked, LiveDeliveryChange):
        if asked.live_delivery and not session.is_socket:
            text = "Live delivery needs a connection that stays open, such as a WebSocket."
            return problem("e.m.live-mode-not-supported", text, asked)
        session.live = asked.live_delivery
    waiting = mailbox.waiting(session.session_id, key)
    if not isinstance(asked, DeliveryRequest) or not waiting:
        return status(waiting, session.live, asked)
    chosen = _not_too_much(waiting[: min(asked.limit, MAX_LETTERS)])
    for letter in chosen:
        letter.handed_to = session.session_id
    return delivery([(letter.id, await session.pack(letter.message)) for letter in chosen], asked)


def _not_too_much(letters: list[Letter]) -> list[Letter]:
    """As many of these as fit into one delivery, at least one."""
    chosen, size = letters[:1], letters[0].size
    for letter in letters[1:]:
        size += letter.size
        if size > MAX_BYTES:
            break
        chosen.append(letter)
    return chosen


def _base58(key: str) -> str:
    """A key that is in base58 or a did:key; one that is neither is that of no message."""
    try:
        return str(normalize_from_did_key(key))
    except Exception:  # ACA-Py's parser of did:key raises what it happens to
        return key
