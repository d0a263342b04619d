"""The messages of question and answer 1.0 (Aries RFC 0113), for ACA-Py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acapy_agent.messaging.agent_message import AgentMessage, AgentMessageSchema
from marshmallow import EXCLUDE, Schema, fields

QUESTION, ANSWER = "questionanswer/1.0/question", "questionanswer/1.0/answer"


class Question(AgentMessage):
    """What the questioner asks. Each of ``valid_responses`` is a dict with a ``text``."""

    class Meta:
        """For ACA-Py."""

        message_type = QUESTION
        schema_class = "QuestionSchema"
        handler_class: Any = None

    def __init__(
        self,
        *,
        question_text: str = "",
        question_detail: str | None = None,
        nonce: str | None = None,
        signature_required: bool | None = None,
        valid_responses: Sequence[dict[str, str]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.question_text = question_text
        self.question_detail = question_detail
        self.nonce = nonce
        self.signature_required = signature_required
        self.valid_responses = list(valid_responses)


class ResponseSchema(Schema):
    """One of the answers that a question allows."""

    class Meta:
        """For marshmallow."""

        unknown = EXCLUDE

    text = fields.Str(required=True)


class QuestionSchema(AgentMessageSchema):
    """The shape of a question."""

    class Meta:
        """For ACA-Py."""

        model_class = Question
        unknown = EXCLUDE

    question_text = fields.Str(required=True)
    question_detail = fields.Str(required=False)
    nonce = fields.Str(required=False)
    signature_required = fields.Bool(required=False)
    valid_responses = fields.List(fields.Nested(ResponseSchema), required=True)


class Answer(AgentMessage):
    """What the responder answers, in the question's thread."""

    class Meta:
        """For ACA-Py."""

        message_type = ANSWER
        schema_class = "AnswerSchema"
        handler_class: Any = None

    def __init__(self, *, response: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.response = response


class AnswerSchema(AgentMessageSchema):
    """The shape of an answer."""

    class Meta:
        """For ACA-Py."""

        model_class = Answer
        unknown = EXCLUDE

    response = fields.Str(required=True)
