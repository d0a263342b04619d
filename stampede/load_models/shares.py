"""Which load host takes which holders: shares by weight, whose sum is exact and which do not overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stampede.schema.errors import BadInput


@dataclass(frozen=True, slots=True)
class Share:
    """The holders ``first`` to ``first + holders - 1`` of a run."""

    first: int
    holders: int


def share_out(holders: int, weights: Mapping[str, float]) -> dict[str, Share]:
    """Share ``holders`` out over hosts by their weights, by the largest remainder method.

    >>> share_out(10, {"a": 4, "b": 2, "c": 1})
    {'a': Share(first=0, holders=6), 'b': Share(first=6, holders=3), 'c': Share(first=9, holders=1)}

    Raises BadInput when a weight is not above 0, or a host would get no holder.
    """
    for host, weight in weights.items():
        if not 0 < weight < float("inf"):
            raise BadInput(f"stampede_weight of {host} is {weight:g}; it must be more than 0, or 0 for its cores")
    whole = sum(weights.values())
    exact = {host: holders * weight / whole for host, weight in weights.items()}
    counts = {host: int(count) for host, count in exact.items()}
    by_remainder = sorted(weights, key=lambda host: counts[host] - exact[host])
    for host in by_remainder[: holders - sum(counts.values())]:
        counts[host] += 1
    result, first = {}, 0
    for host, count in counts.items():
        if not count:
            raise BadInput(
                f"stampede_holders is {holders}, of which {host} would get none; let there be more holders, "
                "fewer load hosts (--limit), or give it a larger stampede_weight"
            )
        result[host] = Share(first, count)
        first += count
    return result
