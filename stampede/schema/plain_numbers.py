"""Numbers without a unit, and counts of things, as people read them."""

from __future__ import annotations

import math
from decimal import Decimal


def plain(value: float, digits: int = 4) -> str:
    """A finite number with so many significant digits, and never fewer than stand before the point.

    >>> plain(1_500_000.25), plain(0.0123456), plain(-3.0)
    ('1,500,000', '0.01235', '-3')
    """
    if not value:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    if decimals > 12:
        return f"{value:.{digits}g}"
    text = f"{value:,.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def number(value: int, one: str, many: str = "") -> str:
    """A count with its noun.

    >>> number(1, "host"), number(2_000, "host"), number(0, "reply", "replies")
    ('1 host', '2,000 hosts', '0 replies')
    """
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def exact(value: float) -> str:
    """A finite number with all its digits.

    >>> exact(1_500_000.25)
    '1,500,000.25'
    """
    return f"{Decimal(repr(value)):,f}".removesuffix(".0")
