"""Durations as users write them."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def seconds(value: object) -> float:
    """Read a duration: a number of seconds, or text such as ``90s``, ``5m`` or ``1h30m``.

    >>> seconds("1h30m"), seconds("90"), seconds(2.5)
    (5400.0, 90.0, 2.5)

    Raises ValueError for anything else, negative numbers included.
    """
    if isinstance(value, bool):
        raise ValueError(value)
    if isinstance(value, int | float):
        number = float(value)
    else:
        text = str(value).strip()
        match = _DURATION.fullmatch(text)
        if match and any(match.groups()):
            hours, minutes, secs = (float(part or 0) for part in match.groups())
            number = hours * 3600 + minutes * 60 + secs
        else:
            number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError(value)
    return number
