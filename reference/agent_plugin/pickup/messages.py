"""The messages of pickup 2.0 (RFC 0685): those that a mediator receives as ACA-Py's, those that it sends as JSON."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from acapy_agent.messaging.agent_message import AgentMessage, AgentMessageSchema
from marshmallow import EXCLUDE, fields, validate

from .mailbox import Letter

PROTOCOL = "https://didcomm.org/messagepickup/2.0/"
PACKAGE = __name__.rpartition(".")[0]
HANDLER = f"{PACKAGE}.handler.PickupHandler"


class StatusRequest(AgentMessage):
    """Asks how many messages wait."""

    class Meta:
        """ACA-Py's description of the message."""

        message_type = f"{PROTOCOL}status-request"
        schema_class = "StatusRequestSchema"
        handler_class = HANDLER

    def __init__(self, recipient_key: str | None = None, **kwargs: Any) -> None:
        """`recipient_key` restricts the question to messages for this key."""
        super().__init__(**kwargs)
        self.recipient_key = recipient_key


class StatusRequestSchema(AgentMessageSchema):
    """See StatusRequest."""

    class Meta:
        """ACA-Py's."""

        model_class = StatusRequest
        unknown = EXCLUDE

    recipient_key = fields.Str(required=False, allow_none=True)


class DeliveryRequest(AgentMessage):
    """Asks for messages that wait."""

    class Meta:
        """ACA-Py's description of the message."""

        message_type = f"{PROTOCOL}delivery-request"
        schema_class = "DeliveryRequestSchema"
        handler_class = HANDLER

    def __init__(self, limit: int, recipient_key: str | None = None, **kwargs: Any) -> None:
        """At most `limit` messages; `recipient_key` restricts them to those for this key."""
        super().__init__(**kwargs)
        self.limit = limit
        self.recipient_key = recipient_key


class DeliveryRequestSchema(AgentMessageSchema):
    """See DeliveryRequest."""

    class Meta:
        """ACA-Py's."""

        model_class = DeliveryRequest
        unknown = EXCLUDE

    limit = fields.Int(required=True, strict=True, validate=validate.Range(min=1))
    recipient_key = fields.Str(required=False, allow_none=True)


class MessagesReceived(AgentMessage):
    """Acknowledges messages, which need not be kept any longer."""

    class Meta:
        """ACA-Py's description of the message."""

        message_type = f"{PROTOCOL}messages-received"
        schema_class = "MessagesReceivedSchema"
        handler_class = HANDLER

    def __init__(self, message_id_list: list[str], **kwargs: Any) -> None:
        """`message_id_list` has the ids of the attachments in which they came."""
        super().__init__(**kwargs)
        self.message_id_list = message_id_list


class MessagesReceivedSchema(AgentMessageSchema):
    """See MessagesReceived."""

    class Meta:
        """ACA-Py's."""

        model_class = MessagesReceived
        unknown = EXCLUDE

    message_id_list = fields.List(fields.Str(), required=True)


class LiveDeliveryChange(AgentMessage):
    """Asks for messages as they come, for as long as the transport is connected."""

    class Meta:
        """ACA-Py's description of the message."""

        message_type = f"{PROTOCOL}live-delivery-change"
        schema_class = "LiveDeliveryChangeSchema"
        handler_class = HANDLER

    def __init__(self, live_delivery: bool, **kwargs: Any) -> None:
        """On or off."""
        super().__init__(**kwargs)
        self.live_delivery = live_delivery


class LiveDeliveryChangeSchema(AgentMessageSchema):
    """See LiveDeliveryChange."""

    class Meta:
        """ACA-Py's."""

        model_class = LiveDeliveryChange
        unknown = EXCLUDE

    live_delivery = fields.Bool(required=True)


RECEIVED = {
    message.Meta.message_type: message
    for message in (StatusRequest, DeliveryRequest, MessagesReceived, LiveDeliveryChange)
}


def status(letters: Sequence[Letter], live: bool, asked: Any) -> str:
    """A `status` about the letters that wait, as the answer to `asked`."""
    counts: dict[str, Any] = {"message_count": len(letters), "live_delivery": live}
    if letters:
        first, last = letters[0].received, letters[-1].received
        counts |= {
            "longest_waited_seconds": max(0, int(datetime.now(UTC).timestamp() - first)),
            "oldest_received_time": _iso(first),
            "newest_received_time": _iso(last),
            "total_bytes": sum(letter.size for letter in letters),
        }
    return _message(f"{PROTOCOL}status", asked, counts)


def delivery(contents: Sequence[tuple[str, bytes]], asked: Any = None) -> str:
    """A `delivery` of packed messages, each with the id by which it is acknowledged; `asked` unless it is live."""
    attached = [{"@id": one, "data": {"base64": base64.b64encode(content).decode()}} for one, content in contents]
    return _message(f"{PROTOCOL}delivery", asked, {"~attach": attached})


def problem(code: str, text: str, asked: Any) -> str:
    """A problem report (RFC 0035)."""
    told = {"description": {"code": code, "en": text}}
    return _message("https://didcomm.org/report-problem/1.0/problem-report", asked, told)


def _message(kind: str, asked: Any, fields: dict[str, Any]) -> str:
    thread = {"~thread": {"thid": asked._thread_id}} if asked else {}
    key = getattr(asked, "recipient_key", None)
    return json.dumps(
        {"@type": kind, "@id": str(uuid4()), **thread, **({"recipient_key": key} if key else {}), **fields}
    )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
