"""Messages as they come, and the handler that reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from acapy_agent.messaging.agent_message import AgentMessage, AgentMessageSchema
from acapy_agent.messaging.base_handler import BaseHandler, HandlerException
from acapy_agent.messaging.models.base import BaseModelError
from acapy_agent.messaging.request_context import RequestContext
from acapy_agent.messaging.responder import BaseResponder
from acapy_agent.protocols.actionmenu.v1_0.message_types import MENU
from acapy_agent.protocols.actionmenu.v1_0.messages.menu import Menu
from acapy_agent.protocols.basicmessage.v1_0.message_types import BASIC_MESSAGE
from acapy_agent.protocols.basicmessage.v1_0.messages.basicmessage import BasicMessage
from acapy_agent.protocols.problem_report.v1_0.message import ProblemReport

from controller.dialogue.messages import QUESTION, Question

LONGEST = 16_384
"""Characters of a message, as JSON, that are read. Inboxes keep many of them."""
LONGEST_REASON = 500
"""Characters of the reason why a message cannot be read."""


class Unreadable(Exception):
    """A message is too long, or has not the shape that its protocol gives it."""


class Heard(AgentMessage):
    """A message as it came: nothing in it has been looked at."""

    class Meta:
        """For ACA-Py."""

        message_type = "heard/1.0/message"
        schema_class = AgentMessageSchema
        handler_class = "controller.dialogue.heard.HeardHandler"

    message_class: type[AgentMessage]
    """The class that reads it."""
    topic: str
    """Of the webhook that tells of it."""
    field: str
    """Where the webhook has the message; empty: ACA-Py's own handler makes the webhook of one that can be read."""
    raw: Mapping[str, Any]

    @classmethod
    def deserialize(cls, obj: Any, **_: Any) -> Heard:
        """Keep it."""
        heard = cls()
        heard.raw = obj
        return heard

    def read(self) -> AgentMessage:
        """The message that it is. Raises Unreadable."""
        if (length := len(json.dumps(self.raw))) > LONGEST:
            raise Unreadable(f"it has {length} characters; it must have at most {LONGEST}")
        try:
            return self.message_class.deserialize(dict(self.raw))
        except BaseModelError as error:
            raise Unreadable(str(error.__cause__ or error)[:LONGEST_REASON]) from error
        except Exception as error:  # whatever others send
            raise Unreadable(f"{type(error).__name__}: {error}"[:LONGEST_REASON]) from error


class HeardMenu(Heard):
    """A menu (Aries RFC 0509)."""

    message_class, topic, field = Menu, "actionmenu", "menu"


class HeardQuestion(Heard):
    """A question (Aries RFC 0113)."""

    message_class, topic, field = Question, "question", "question"


class HeardText(Heard):
    """A basic message (Aries RFC 0095)."""

    message_class, topic, field = BasicMessage, "basicmessages", ""


HEARD: Mapping[str, type[Heard]] = {MENU: HeardMenu, QUESTION: HeardQuestion, BASIC_MESSAGE: HeardText}
"""The types of message that this plugin takes."""


class HeardHandler(BaseHandler):
    """Tells the controller of a message, or why it cannot be read."""

    async def handle(self, context: RequestContext, responder: BaseResponder) -> None:
        """Called by ACA-Py."""
        if not context.connection_ready:
            raise HandlerException("No connection established")
        heard: Heard = context.message
        event = {
            "connection_id": context.connection_record.connection_id,
            "thread_id": context.message_receipt.thread_id,
        }
        topic = f"acapy::webhook::{heard.topic}"
        try:
            message = heard.read()
        except Unreadable as error:
            await context.profile.notify(topic, event | {"unreadable": str(error)})
            report = ProblemReport(description={"en": str(error), "code": "message-parse-failure"})
            report.assign_thread_id(event["thread_id"])
            await responder.send_reply(report)
            return
        if heard.field:
            # What ACA-Py's class leaves out, such as a menu's errormsg, stays as it came.
            await context.profile.notify(topic, event | {heard.field: {**heard.raw, **message.serialize()}})
        else:
            context.message = message
            await message.Handler().handle(context, responder)
