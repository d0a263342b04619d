"""Which load host takes which holders: shares by weight, whose sum is exact and which do not overlap."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stampede.load_models.interface import SettingReader
from stampede.schema.errors import BadInput


@dataclass(frozen=True, slots=True)
class Share:
    """Those of a run's holders, or iterations, from ``first`` to ``first + number - 1``."""

    first: int
    number: int


def turns(weights: Sequence[float]) -> Iterator[int]:
    """Whose turn it is, again and again, so that each has its share by weight of the first so many, within one.

    Of those who have had too little, who would have to wait too long first comes first (Tijdeman, "The chairman
    assignment problem", Discrete Mathematics 32, 1980).

    >>> [place for place, _ in zip(turns([2, 1]), range(6))]
    [0, 1, 0, 0, 1, 0]
    """
    whole, had = sum(weights), [0] * len(weights)
    parts = [weight / whole for weight in weights]
    least = 1 / (2 * len(parts) - 2) if len(parts) > 1 else 0.0
    for number in itertools.count(1):
        place, soonest = 0, math.inf
        for each, part in enumerate(parts):
            lacking = number * part - had[each]
            if part and lacking > least - 1e-9 and (wait := (1 - least - lacking) / part) < soonest:
                place, soonest = each, wait
        had[place] += 1
        yield place


@dataclass(frozen=True, slots=True)
class Deal:
    """Items are dealt out to hosts in turns; this is the host at ``place``."""

    place: int = 0
    weights: tuple[float, ...] = (1.0,)

    @property
    def part(self) -> float:
        """This host's part of all items, 0 to 1."""
        return self.weights[self.place] / sum(self.weights)

    def mine[Item](self, items: Iterable[Item]) -> Iterator[Item]:
        """This host's of all items, which all hosts see in the same order."""
        return (item for item, turn in zip(items, turns(self.weights), strict=False) if turn == self.place)

    def settings(self) -> dict[str, Any]:
        """As ``read_deal`` reads it."""
        return {"place": self.place, "weights": list(self.weights)}


def deals(weights: Mapping[str, float]) -> dict[str, Deal]:
    """Each host's. Raises BadInput when a weight is not above 0."""
    _check(weights)
    return {host: Deal(place, tuple(weights.values())) for place, host in enumerate(weights)}


def dealt_out(
    weights: Mapping[str, float], first_holder: int, holders: Callable[[Deal], int]
) -> dict[str, dict[str, Any]]:
    """The variables of each host where holders are dealt out: its deal, and the number of its first holder, which
    follows on those of the host before; ``holders`` is how many a deal comes to. Raises BadInput as ``deals``."""
    first, found = first_holder, {}
    for host, deal in deals(weights).items():
        found[host] = {"stampede_share": deal.settings(), "stampede_first_holder": first}
        first += holders(deal)
    return found


def read_deal(reader: SettingReader) -> Deal:
    """The deal of ``stampede_share``, which run-test.yml sets; without it, everything is this host's. What is wrong
    is left with the reader."""
    found = reader.read("share")
    if not found:
        return Deal()
    try:
        deal = Deal(int(found["place"]), tuple(float(weight) for weight in found["weights"]))
        if 0 <= deal.place < len(deal.weights) and all(0 < weight < math.inf for weight in deal.weights):
            return deal
    except (LookupError, TypeError, ValueError, OverflowError):
        pass
    reader.complain("stampede_share is wrong; run-test.yml sets it on each load host, so it must be left out")
    return Deal()


def _check(weights: Mapping[str, float]) -> None:
    for host, weight in weights.items():
        if not 0 < weight < float("inf"):
            raise BadInput(f"stampede_weight of {host} is {weight:g}; it must be more than 0, or 0 for its cores")


def share_out(number: int, weights: Mapping[str, float], variable: str = "stampede_holders") -> dict[str, Share]:
    """Share ``number`` out over hosts by their weights, by the largest remainder method.

    >>> share_out(10, {"a": 4, "b": 2, "c": 1})
    {'a': Share(first=0, number=6), 'b': Share(first=6, number=3), 'c': Share(first=9, number=1)}

    Raises BadInput when a weight is not above 0, or a host would get nothing of what is the value of ``variable``.
    """
    _check(weights)
    whole = sum(weights.values())
    exact = {host: number * weight / whole for host, weight in weights.items()}
    counts = {host: int(count) for host, count in exact.items()}
    by_remainder = sorted(weights, key=lambda host: counts[host] - exact[host])
    for host in by_remainder[: number - sum(counts.values())]:
        counts[host] += 1
    result, first = {}, 0
    for host, count in counts.items():
        if not count:
            raise BadInput(
                f"{variable} is {number}, of which {host} would get none; let there be more of them, "
                "fewer load hosts (--limit), or give it a larger stampede_weight"
            )
        result[host] = Share(first, count)
        first += count
    return result
