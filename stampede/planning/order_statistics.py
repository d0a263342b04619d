"""How many samples a percentile needs: its distribution-free confidence interval by order statistics.

Of n independent samples, the number below the true p-quantile is binomial (n, p), whatever their distribution. So the
l-th and the u-th smallest enclose it with the probability that this number is at least l and less than u (David and
Nagaraja, "Order Statistics", 3rd ed., section 7.1).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
WIDEST = 5.0
"""Percentage points to either side within which a percentile must be known, at most."""


class Ranks(NamedTuple):
    """The samples that enclose a quantile, counted from 1, the smallest being the first."""

    lower: int
    upper: int


def interval(samples: int, percentile: float, confidence: float = CONFIDENCE) -> Ranks | None:
    """The ranks that enclose a percentile with at least so much confidence, as much of the doubt on either side.

    None when there are too few samples for that.
    """
    doubt = (1 - confidence) / 2
    below = np.cumsum(_binomial(samples, percentile / 100))  # that at most so many are below the true percentile
    lower = int(np.searchsorted(below, doubt, side="right"))
    upper = int(np.searchsorted(below, 1 - doubt, side="left")) + 1
    return Ranks(lower, upper) if lower >= 1 and upper <= samples else None


def half_width(percentile: float) -> float:
    """Percentage points within which a percentile is worth something: half of those to the nearer end, so that p99 is
    neither p98.5 nor p99.5, and 5 at most."""
    return min(WIDEST, percentile / 2, (100 - percentile) / 2)


def samples_needed(percentile: float, confidence: float = CONFIDENCE) -> int:
    """The fewest samples whose interval lies within the percentile plus and minus its ``half_width``."""
    low, high = 1, 2
    while not _is_narrow(high, percentile, confidence):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_narrow(middle, percentile, confidence) else (middle, high)
    return high


def _is_narrow(samples: int, percentile: float, confidence: float) -> bool:
    ranks = interval(samples, percentile, confidence)
    if ranks is None:
        return False
    away = half_width(percentile) / 100 * samples
    middle = percentile / 100 * samples
    return middle - away <= ranks.lower and ranks.upper <= middle + away + 1


def _binomial(number: int, chance: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The probability of each count from 0 to ``number``."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, number + 1)))])
    counts = np.arange(number + 1)
    ways = logs[-1] - logs - logs[::-1]
    found: np.ndarray[tuple[int], np.dtype[np.float64]] = np.exp(
        ways + counts * math.log(chance) + (number - counts) * math.log1p(-chance)
    )
    return found
