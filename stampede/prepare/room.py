"""How many holders a load needs, so that no arrival and no round is dropped: what is due is simulated over how long a
sample of visits, or of rounds, took.

The mean is not enough: by Little's law (Little 1961) it gives how many are there on average, and a load that may have
so many drops what comes whenever there are more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from stampede.load_models.interface import INSTANT

MOST = 100_000
"""Arrivals, or rounds, that are simulated: those of the busiest part of a larger load."""
DRAWS = 20
"""Times that it is simulated: the most that are needed in any of them are needed."""

type Due = Callable[[float, int], tuple[float, Iterator[float]]]
"""See ``LoadModel.due``."""


def holders_needed(due: Due, stays: Sequence[float], hosts: int, seed: int) -> int:
    """Holders of the whole run, which ``hosts`` of equal weight share, where what is ``due`` stays as long as one of
    ``stays``, in seconds."""
    expected, coming = due(sum(stays) / len(stays), MOST)
    if expected > MOST / 4:  # so many that chance adds next to nothing
        return math.ceil(expected + 4 * math.sqrt(expected)) + hosts
    come, chance = np.fromiter(coming, float), np.random.default_rng(seed)
    peaks = [0] * hosts
    for _ in range(DRAWS):
        go = come + chance.choice(np.asarray(stays), len(come))
        peaks = [max(peak, _peak(come[at::hosts], go[at::hosts])) for at, peak in enumerate(peaks)]
    return max(hosts * (peak - 1) + at + 1 for at, peak in enumerate(peaks))


def _peak(come: np.ndarray, go: np.ndarray) -> int:
    """The most that are there at a time. Who goes at the moment at which another comes is still there."""
    gone = np.searchsorted(np.sort(go), come - INSTANT)
    return int(np.max(np.arange(1, len(come) + 1) - gone, initial=0))
