"""How a step's times are distributed so far, counted in buckets that add up over hosts, as ``state.json`` has them.

The bounds of the buckets grow by 5 %, so a percentile is known to within 2.5 % (as in DDSketch, Masson et al. 2019).
The difference between two moments is the distribution of the time between them. Shorter times than 0.1 ms and longer
ones than 10,000 s count as these.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

GROWTH = 1.05
SHORTEST, LONGEST = 1e-4, 1e4
"""Seconds."""
_SCALE = 1 / math.log(GROWTH)
BUCKETS = math.ceil(math.log(LONGEST / SHORTEST) * _SCALE) + 1
MOST = 10**15
"""A count beyond this is none."""
_TEXT = re.compile(r"[0-9]{1,3}:[0-9]{1,16}(?:,[0-9]{1,16})*")
_LONGEST_TEXT = 4 + 17 * BUCKETS


def bucket_of(seconds: float) -> int:
    """The number of the bucket, from 0, of a time."""
    if seconds <= SHORTEST:
        return 0
    return min(BUCKETS - 1, math.ceil(math.log(seconds / SHORTEST) * _SCALE))


def middle_of(bucket: int) -> float:
    """The time that stands for those of a bucket, in seconds."""
    return SHORTEST * GROWTH**bucket * 2 / (1 + GROWTH)


def quantiles(counts: Mapping[int, float], shares: Sequence[float]) -> list[float] | None:
    """The times below which such shares of all lie (nearest rank); None when there are none."""
    buckets = sorted(bucket for bucket, count in counts.items() if count > 0)
    reached = list(accumulate(counts[bucket] for bucket in buckets))
    if not reached:
        return None
    places = (min(bisect_left(reached, share * reached[-1]), len(buckets) - 1) for share in shares)
    return [middle_of(buckets[place]) for place in places]


def to_text(counts: Mapping[int, int]) -> str:
    """Counts by bucket: the number of the first one, and the counts from there on.

    >>> to_text({7: 2, 9: 1})
    '7:2,0,1'
    """
    if not counts:
        return ""
    first, last = min(counts), max(counts)
    return f"{first}:" + ",".join(str(counts.get(bucket, 0)) for bucket in range(first, last + 1))


def from_text(text: str) -> dict[int, int]:
    """The reverse. Raises ValueError for anything that cannot be."""
    if not text:
        return {}
    if len(text) > _LONGEST_TEXT or not _TEXT.fullmatch(text):
        raise ValueError(f"{text[:20]!r} is no list of counts")
    first, _, rest = text.partition(":")
    begin, counts = int(first), [int(part) for part in rest.split(",")]
    if begin + len(counts) > BUCKETS or max(counts) > MOST:
        raise ValueError("there are times, or counts, beyond the largest")
    return {bucket: count for bucket, count in enumerate(counts, begin) if count}
