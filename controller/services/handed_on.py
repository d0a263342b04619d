"""What a service's answers hand on to further requests: ``${answer:/POINTER}``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controller.services.answer import Answer, found_at, json_or_text, scalar_text
from stampede.schema.errors import ServiceRefused
from stampede.schema.settings.placeholders import pointer_of

MOST_KEYS = 12
"""Keys of a mapping that its shape names."""
DEEPEST_SHAPE = 3
"""Levels of a document that its shape names."""


class Answers:
    """What a service has answered within one step, by the requests of a list."""

    def __init__(self) -> None:
        self._documents: list[list[Any]] = []
        self.newest: Answer | None = None

    def begin(self) -> None:
        """The next request of the list is sent: what is added from now on are answers to it."""
        self._documents.append([])

    def add(self, answer: Answer) -> None:
        """Note an answer."""
        self.newest = answer
        try:
            self._documents[-1].append(json_or_text(answer.text()))
        except ServiceRefused:
            self._documents[-1].append(None)  # in no known encoding; who needs it says so

    def __getitem__(self, name: str) -> Any:
        """What a placeholder stands for: a text, or a list or mapping. Raises KeyError when no answer has it."""
        number, pointer = pointer_of(name) or (0, "")
        of_it = self._documents[number - 1 : number] if number else self._documents
        for document in reversed([each for documents in of_it for each in documents]):
            value = found_at(document, pointer) if pointer else None
            text = value if isinstance(value, dict | list) else scalar_text(value)
            if text is not None:
                return text
        raise KeyError(name)

    def shape(self) -> str:
        """The newest answer as a sentence may tell it: its keys, and of what kind their values are."""
        documents = [each for documents in self._documents for each in documents]
        return shape_of(documents[-1]) if documents else "nothing"


def shape_of(document: Any, depth: int = 0) -> str:
    """A JSON value without its texts and numbers.

    >>> shape_of({"id": 7, "data": [{"url": "https://e.org"}]})
    '{id: number, data: [{url: text}]}'
    """
    if isinstance(document, dict) and document:
        inner = ", ".join(_entries(document, depth))
        return f"{{{inner}}}"
    if isinstance(document, list) and document:
        return "[...]" if depth >= DEEPEST_SHAPE else f"[{shape_of(document[0], depth + 1)}]"
    if isinstance(document, str):
        return "text" if document else "empty text"
    if document is None or isinstance(document, bool):
        return "null" if document is None else "true or false"
    return "number" if isinstance(document, int | float) else "[]" if isinstance(document, list) else "{}"


def _entries(document: dict[str, Any], depth: int) -> Iterator[str]:
    if depth >= DEEPEST_SHAPE:
        yield "..."
        return
    for place, (key, value) in enumerate(document.items()):
        if place == MOST_KEYS:
            yield "..."
            return
        yield f"{key}: {shape_of(value, depth + 1)}"
