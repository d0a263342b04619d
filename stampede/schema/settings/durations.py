"""Numbers and durations as users write them."""

from __future__ import annotations

import math
import re

_PART = r"([0-9]+(?:\.[0-9]+)?)"
DURATION = re.compile(f"(?:{_PART}h)?(?:{_PART}m)?(?:{_PART}s)?")
"""The text of a duration with units, or the empty text."""
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""The text of a number. JSON Schemas use both, so they keep to what ECMAScript has, too."""


def seconds(value: object) -> float:
    """Read a duration: a number of seconds, or text such as ``90s``, ``5m`` or ``1h30m``.

    >>> seconds("1h30m"), seconds("90"), seconds(2.5)
    (5400.0, 90.0, 2.5)

    Raises ValueError for anything else, negative numbers included.
    """
    if isinstance(value, str):
        text = value.strip()
        match = DURATION.fullmatch(text)
        if match and any(match.groups()):
            hours, minutes, secs = (float(part or 0) for part in match.groups())
            result = hours * 3600 + minutes * 60 + secs
        else:
            result = number(text)
    else:
        result = number(value)
    if result < 0:
        raise ValueError(value)
    return result


def number(value: object) -> float:
    """A finite number, or the text of one in ASCII. Raises ValueError for anything else."""
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        raise ValueError(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(value)
    try:
        result = float(value)
    except OverflowError:
        raise ValueError(value) from None
    if not math.isfinite(result):
        raise ValueError(value)
    return result + 0.0  # there is no negative zero
