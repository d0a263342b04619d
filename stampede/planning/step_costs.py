"""What a step costs in CPU, told apart by regression from what processes used in each few seconds.

Non-negative least squares: the CPU seconds of each interval, less what the processes use anyway, are those of the
steps that were under way, each evenly over its service time. Steps whose numbers rise and fall together cannot be
told apart by that; the more the data leave open, the more each is taken to cost the mean of all (ridge regression
toward it). The sum over the run is kept in any case. How far the costs can be trusted is seen by fitting again to
intervals that are drawn from the run's own (bootstrap).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 200
TOLD_APART = 0.7
"""Of the resolution."""
WHOLE = 10.0
"""How much more than an interval the sum over the run weighs."""

type Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Observed:
    """What was measured in intervals of time: ``steps`` done (a row for each interval, a column for each name),
    ``cpu`` seconds used, and ``there``, the seconds for which processes were there, added up."""

    names: tuple[str, ...]
    steps: Floats
    cpu: Floats
    there: Floats


@dataclass(frozen=True)
class Costs:
    """CPU seconds of each step by name, and ``idle``, the cores that one process uses without any.

    ``resolution`` is how far the data alone decide a step's cost: 1 wholly, 0 not at all, so that it is the mean of
    all. ``draws`` are the costs of each bootstrap sample, a row each.
    """

    steps: Mapping[str, float]
    idle: float
    resolution: Mapping[str, float]
    draws: Floats

    def of(self, per_second: Mapping[str, float], processes: float) -> float:
        """Cores for so many steps per second and so many processes."""
        return sum(self.steps[name] * rate for name, rate in per_second.items()) + self.idle * processes

    def span(self, per_second: Mapping[str, float], processes: float) -> tuple[float, float]:
        """Between which figures the middle 90 % of the draws put the same."""
        weights = np.array([per_second.get(name, 0.0) for name in self.steps])
        low, high = np.percentile(self.draws @ weights + self.idle * processes, (5, 95))
        return float(low), float(high)

    def is_told_apart(self, name: str) -> bool:
        """Whether a step's cost is known by itself."""
        return self.resolution[name] >= TOLD_APART


def fit_costs(observed: Observed, idle: float | None, seed: int = 1) -> Costs:
    """The costs. ``idle``: the cores that a process was seen to use while there was no load, if it was; what it used
    in the quietest tenth of the load is the most that it can be."""
    quietest = float(np.percentile(observed.cpu / np.maximum(observed.there, 1e-9), 10))
    idle = min(idle or 0.0, quietest)
    fitted, resolution = _fit(observed, idle, np.arange(len(observed.cpu)))
    random = np.random.default_rng(seed)
    drawn = (random.integers(0, len(observed.cpu), len(observed.cpu)) for _ in range(DRAWS))
    return Costs(
        dict(zip(observed.names, map(float, fitted), strict=True)),
        idle,
        dict(zip(observed.names, map(float, resolution), strict=True)),
        np.array([_fit(observed, idle, rows)[0] for rows in drawn]),
    )


def _fit(observed: Observed, idle: float, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The cost of each step, and the resolution of each."""
    steps = observed.steps[rows]
    used = (observed.cpu - idle * observed.there)[rows]
    mean = max(0.0, used.sum()) / max(steps.sum(), 1.0)
    expected = np.full(steps.shape[1], mean)
    left = used - steps @ np.linalg.lstsq(steps, used)[0]
    noise = float(left @ left) / max(len(rows) - steps.shape[1], 1) + 1e-12
    doubt = np.full(steps.shape[1], noise / max(mean, 1e-6) ** 2)  # each may cost twice the mean, or nothing
    whole = WHOLE * steps.sum(axis=0) / np.sqrt(len(rows))
    seen = steps.T @ steps + np.outer(whole, whole)
    target = steps.T @ used + whole * (WHOLE * used.sum() / np.sqrt(len(rows))) + doubt * expected
    resolution = np.diag(np.linalg.solve(seen + np.diag(doubt), seen))
    return _non_negative(seen + np.diag(doubt), target), resolution


def _non_negative(gram: Floats, target: Floats) -> Floats:
    """The least squares without negative values: what would be negative is left out, the worst first."""
    kept = np.arange(len(target))
    while True:
        found = np.zeros(len(target))
        found[kept] = np.linalg.solve(gram[np.ix_(kept, kept)], target[kept])
        if not kept.size or found.min() >= 0:
            return found
        kept = kept[kept != int(found.argmin())]
