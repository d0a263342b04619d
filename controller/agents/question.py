"""Questions (Aries RFC 0113) as scripts see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.agents.wallet import Connection
from controller.services.invitation import Json
from stampede.schema.errors import BadMessage, ChoiceUnmatched, UnsupportedProtocol
from stampede.schema.settings.variable_reader import shown


@dataclass(frozen=True, slots=True)
class Question:
    """A question that a holder has received."""

    connection: Connection
    thread_id: str
    text: str
    responses: tuple[str, ...]
    """The answers that are valid."""
    detail: str = ""
    signature_required: bool = False

    def check(self, answer: str) -> None:
        """Raise ChoiceUnmatched when ``answer`` is none of the valid ones, UnsupportedProtocol when it must be
        signed."""
        if self.signature_required:
            raise UnsupportedProtocol(
                f"the question {shown(self.text)} requires a signed answer, which holders do not give; it must have "
                "signature_required: false"
            )
        if answer not in self.responses:
            has = ", ".join(map(repr, self.responses))
            raise ChoiceUnmatched(
                f"the question {shown(self.text)} does not allow the answer {answer!r}; it allows {has}"
            )


def read_question(message: Json, connection: Connection, thread_id: str) -> Question:
    """What another agent has sent as a question. Raises BadMessage when it cannot be used."""
    text, responses = message.get("question_text"), message.get("valid_responses")
    if not isinstance(text, str):
        raise BadMessage("the question has no question_text")
    if not isinstance(responses, list) or not responses:
        raise BadMessage("the question has no valid_responses; it must have at least one")
    texts = [each.get("text") if isinstance(each, Mapping) else None for each in responses]
    answers = tuple(each for each in texts if isinstance(each, str))
    if len(answers) < len(responses):
        raise BadMessage("the question has a valid response without a text")
    detail = message.get("question_detail")
    return Question(
        connection,
        thread_id,
        text,
        answers,
        detail if isinstance(detail, str) else "",
        message.get("signature_required") is True,
    )
