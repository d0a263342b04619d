"""What JSON can express: of all that YAML can, texts, finite numbers, true, false, null, lists and mappings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from stampede.schema.settings.variable_reader import shown

DEEPEST = 50
"""Lists and mappings within each other; a value that holds itself goes deeper than any limit."""
MOST_BITS = 1024
"""Of a whole number; the largest that a double can come near to."""


def not_json(value: Any, where: str, depth: int = 0) -> Iterator[str]:
    """A sentence for each value within ``value`` that JSON cannot express; ``where`` is its name."""
    if depth > DEEPEST:
        yield f"{where.split('[')[0]} is nested more than {DEEPEST} deep; it must be less"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str) and is_utf8(key):
                yield from not_json(item, f"{where}[{shown(key)}]", depth + 1)
            else:
                yield f"{where} has the key {shown(key)}; it must be a text, in quotes"
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from not_json(item, f"{where}[{place}]", depth + 1)
    elif not _is_plain(value):
        yield f"{where} is {shown(value)}; it must be something that JSON can express"


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return value.bit_length() <= MOST_BITS
    return value is None or (isinstance(value, str) and is_utf8(value))


def is_utf8(text: str) -> bool:
    """Whether a text can be encoded; halves of characters (surrogates) cannot."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def texts_in(value: Any, depth: int = 0) -> Iterator[str]:
    """All texts within a value, keys aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple) and depth <= DEEPEST:
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(item, depth + 1)
