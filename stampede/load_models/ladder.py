"""Which load a search tries next: doubling until a level breaks, halving the gap between what holds and what breaks,
and trying the highest level that holds once more, for longer. So is one that cannot be judged above one that holds.
When the longer try cannot be judged either, the search goes on below it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_LEVELS = 40
"""After so many a search ends, whatever it knows."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A level that was tried."""

    holders: int
    held: bool | None
    """Whether it met all thresholds; None when there was too little to judge."""
    confirms: bool = False
    """Whether it was tried once more, to confirm that it holds."""


@dataclass(frozen=True, slots=True)
class Level:
    """A level to try."""

    holders: int
    confirms: bool = False


@dataclass(frozen=True, slots=True)
class Ladder:
    """Levels from ``begin`` holders to ``most``. The search narrows down until the lowest level that breaks is at
    most ``within`` above the highest that holds, as a share of it."""

    begin: int
    most: int
    within: float

    def next(self, tried: Sequence[Tried]) -> Level | None:
        """What to try next; None when the search is over."""
        if len(tried) >= MOST_LEVELS:
            return None
        best, above = highest(tried), ceiling(tried)
        if above is None:
            if best is None:
                return Level(self.begin)
            if best >= self.most or _fell_silent(tried):
                return self._confirmed(tried, best)
            return Level(min(2 * best, self.most))
        if best is None:
            return Level(max(1, above // 2)) if above > 1 and not _given_up(tried) else None
        if above - best > 1 and above > best * (1 + self.within):
            middle = round(math.sqrt(best * above))
            return Level(min(max(middle, best + 1), above - 1))
        return self._confirmed(tried, best)

    @staticmethod
    def _confirmed(tried: Sequence[Tried], best: int) -> Level | None:
        if any(each.confirms and each.holders == best for each in tried):
            return None
        return Level(best, confirms=True)


def _fell_silent(tried: Sequence[Tried]) -> bool:
    """Whether the last level could not be judged though a lower one could. More holders make more steps: when there
    are too few now, that may be because the services are stuck, and the load is not doubled on the strength of it."""
    return tried[-1].held is None and any(each.held for each in tried)


def lowest_broken(tried: Sequence[Tried]) -> int | None:
    """The lowest level that broke, be it only once."""
    return min((each.holders for each in tried if each.held is False), default=None)


def ceiling(tried: Sequence[Tried]) -> int | None:
    """The lowest level that the result is below: one that broke or, once a longer try could not be judged, one of
    which nothing is known above one that held."""
    least_held = min((each.holders for each in tried if each.held), default=math.inf)
    is_given_up = _given_up(tried)
    return min(
        (
            each.holders
            for each in tried
            if each.held is False
            or (each.held is None and (each.confirms or (is_given_up and each.holders > least_held)))
        ),
        default=None,
    )


def _given_up(tried: Sequence[Tried]) -> bool:
    """Whether a longer try could not be judged either. From then on only levels that held are built upon."""
    return any(each.confirms and each.held is None for each in tried)


def highest(tried: Sequence[Tried]) -> int | None:
    """The highest level below the ceiling that did not break."""
    above, may_be_unknown = ceiling(tried) or math.inf, not _given_up(tried)
    return max(
        (each.holders for each in tried if each.holders < above and (each.held or may_be_unknown)),
        default=None,
    )


def found(tried: Sequence[Tried]) -> int | None:
    """The highest level that holds, when that is confirmed."""
    best = highest(tried)
    return best if any(each.confirms and each.held and each.holders == best for each in tried) else None
