"""What ``setup`` returns for all holders of a run: a JSON object, whose texts may be secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stampede.schema.errors import BadInput
from stampede.schema.known_values import HiddenText, Known
from stampede.schema.settings.json_values import not_json, texts_in
from stampede.schema.settings.variable_reader import kind_of

LARGEST = 262_144
"""Bytes of it as JSON."""
SHORTEST_HIDDEN = 8
"""Characters; shorter texts, and longer ones than a secret can be, are told like any other."""
LONGEST_HIDDEN = 8192


class Shared(Known[Any]):
    """``holder.shared``, or as it is ``called``."""

    __slots__ = ()

    def __init__(self, values: Mapping[str, Any], called: str = "holder.shared") -> None:
        super().__init__(
            {name: _hidden(value) for name, value in values.items()},
            called,
            "setup returned nothing of that name",
        )

    def hidden(self) -> Iterator[str]:
        """The texts in it that must not be told."""
        return (text for text in texts_in(dict(self)) if isinstance(text, HiddenText))


def check_shared(value: Any) -> dict[str, Any]:
    """What setup returned as a JSON object. Raises BadInput when it is none, or too large."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadInput(f"setup returned {kind_of(value)}; it must return a dict that JSON can express, or nothing")
    for sentence in not_json(value, "what setup returned"):
        raise BadInput(sentence)
    text = json.dumps(value)
    if (size := len(text.encode())) > LARGEST:
        raise BadInput(f"what setup returned has {size:,} bytes as JSON; it must have at most {LARGEST:,}")
    found: dict[str, Any] = json.loads(text)
    return found


def with_more(shared: dict[str, Any], returned: Any) -> dict[str, Any]:
    """What all holders have when another script's setup has returned this. Raises BadInput as ``check_shared``, and
    when both have a value of the same name."""
    more = check_shared(returned)
    if twice := sorted(shared.keys() & more.keys()):
        raise BadInput(f"setup returned {twice[0]!r}, as that of another script did; each must have names of its own")
    return check_shared({**shared, **more})


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _hidden(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    if isinstance(value, str) and SHORTEST_HIDDEN <= len(value) <= LONGEST_HIDDEN:
        return HiddenText(value)
    return value
