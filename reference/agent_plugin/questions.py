"""Question and answer (Aries RFC 0113) on the side that asks; ACA-Py does not have it."""

from __future__ import annotations

from typing import Any

from acapy_agent.admin.decorators.auth import admin_authentication
from acapy_agent.core.protocol_registry import ProtocolRegistry
from acapy_agent.messaging.base_handler import BaseHandler, HandlerException
from acapy_agent.messaging.request_context import RequestContext
from acapy_agent.protocols.didcomm_prefix import DIDCommPrefix
from aiohttp import web

from controller.dialogue.messages import ANSWER, Answer, AnswerSchema, Question

ANSWERED = "acapy::questionanswer::answered"


class AnswerHandler(BaseHandler):
    """Announces answers."""

    async def handle(self, context: RequestContext, responder: Any) -> None:
        """Called by ACA-Py."""
        if not context.connection_ready:
            raise HandlerException("No connection established")
        payload = {
            "connection_id": context.connection_record.connection_id,
            "thread_id": context.message_receipt.thread_id,
            "response": context.message.response,
        }
        await context.profile.notify(ANSWERED, payload)


class ReceivedAnswer(Answer):
    """An answer, as ACA-Py hands it to the handler."""

    class Meta(Answer.Meta):
        """For ACA-Py."""

        handler_class = AnswerHandler
        schema_class = "ReceivedAnswerSchema"


class ReceivedAnswerSchema(AnswerSchema):
    """The shape of an answer."""

    class Meta(AnswerSchema.Meta):
        """For ACA-Py."""

        model_class = ReceivedAnswer


def install(registry: ProtocolRegistry) -> None:
    """Have the agent take answers."""
    registry.register_message_types(DIDCommPrefix.qualify_all({ANSWER: ReceivedAnswer}))


@admin_authentication  # type: ignore[untyped-decorator]  # ACA-Py has no types
async def ask(request: web.Request) -> web.Response:
    """Ask a question with the given answers over a connection; returns its thread."""
    body = await request.json()
    question = Question(
        question_text=body["text"],
        signature_required=False,
        valid_responses=[{"text": text} for text in body["answers"]],
    )
    await request["outbound_message_router"](question, connection_id=request.match_info["connection_id"])
    return web.json_response({"thread_id": question._id})
