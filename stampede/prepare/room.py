"""How many holders a load needs, so that no arrival and no round is dropped: what is due is simulated over how long a
sample of visits, or of rounds, took.

The mean is not enough: by Little's law (Little 1961) it gives how many are there on average, and a load that may have
so many drops what comes whenever there are more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from stampede.load_models.interface import INSTANT

MOST = 100_000
"""Arrivals, or rounds, that are simulated: those of the busiest part of a larger load."""
DRAWS = 20
"""Times that it is simulated: the most that are needed in any of them are needed."""


class Room(NamedTuple):
    """What a load needs."""

    holders: int
    stay: float
    """Seconds of a visit, or a round, on average."""


type Due = Callable[[float, int], tuple[float, Iterator[float]]]
"""See ``LoadModel.due``."""


def holders_needed(due: Due, stays: Sequence[float], hosts: int, seed: int) -> int:
    """Holders of the whole run, which ``hosts`` of equal weight share, where what is ``due`` stays as long as one of
    ``stays``, in seconds."""
    return room_of_kinds(due, [stays], lambda place, moment: 0, hosts, seed).holders


def room_of_kinds(
    due: Due, stays: Sequence[Sequence[float]], kind_at: Callable[[int, float], int], hosts: int, seed: int
) -> Room:
    """The same where what is due is of several kinds, each with its own ``stays``: ``kind_at`` has the kind of the
    first, second ... that is due at such a moment."""
    means = [sum(of_kind) / len(of_kind) for of_kind in stays]
    mean = sum(means) / len(means)
    if len(stays) > 1:
        kinds = _kinds(due(mean, MOST)[1], kind_at)[1]
        mean = float(np.mean(np.asarray(means)[kinds]))
    expected, coming = due(mean, MOST)
    if expected > MOST / 4:  # so many that chance adds next to nothing
        return Room(math.ceil(expected + 4 * math.sqrt(expected)) + hosts, mean)
    come, kinds = _kinds(coming, kind_at)
    chance = np.random.default_rng(seed)
    peaks = [0] * hosts
    for _ in range(DRAWS):
        go = come.copy()
        for kind, of_kind in enumerate(stays):
            here = kinds == kind
            go[here] += chance.choice(np.asarray(of_kind), int(here.sum()))
        peaks = [max(peak, _peak(come[at::hosts], go[at::hosts])) for at, peak in enumerate(peaks)]
    return Room(max(hosts * (peak - 1) + at + 1 for at, peak in enumerate(peaks)), mean)


def _kinds(coming: Iterator[float], kind_at: Callable[[int, float], int]) -> tuple[np.ndarray, np.ndarray]:
    """The moments of what is coming, and its kinds."""
    come = list(coming)
    return np.asarray(come), np.asarray([kind_at(place, moment) for place, moment in enumerate(come)])


def _peak(come: np.ndarray, go: np.ndarray) -> int:
    """The most that are there at a time. Who goes at the moment at which another comes is still there."""
    gone = np.searchsorted(np.sort(go), come - INSTANT)
    return int(np.max(np.arange(1, len(come) + 1) - gone, initial=0))
