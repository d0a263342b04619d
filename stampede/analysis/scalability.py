"""The Universal Scalability Law, fitted to the throughput at several loads (Gunther 2008, arXiv:0808.1431).

    throughput of n = a n / (1 + s (n - 1) + k n (n - 1))

with a for one alone, s for contention (what is done one after the other) and k for coherency (what grows with each
pair). With x = throughput, n / x is linear in n - 1 and n (n - 1), so that least squares find the three without
iterations. None of them is negative. How sure they are is seen by the bootstrap (Efron 1979): throughputs are drawn
anew from the seconds of each load, and the law is fitted to each draw. Loads of few seconds, or of few steps, do not
tell that: then there are no intervals.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stampede.schema.summary import Interval, ScalabilityFit

LEAST_LOADS = 4
"""Loads below which three parameters are not fitted."""
DRAWS = 500
BLOCK = 5
"""Seconds that are drawn together, for neighbouring ones are alike."""
LEAST_BLOCKS = 8
"""Blocks of each load below which draws are too much alike."""
USABLE = 0.9
"""Share of the draws, at least, in which something was done at each load."""
NOTHING = 1e-9
"""Contention or coherency below this are rounding."""
CONFIDENCE = (2.5, 97.5)

type Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """The throughput at one load, in each second."""

    holders: int
    per_second: Floats


def fit(measured: Sequence[Measured]) -> ScalabilityFit | None:
    """The law, or None where there are too few loads for it, or nothing was done at one of them."""
    holders = np.array([each.holders for each in measured], dtype=np.float64)
    means = np.array([each.per_second.mean() if each.per_second.size else 0.0 for each in measured])
    if len(set(holders.tolist())) < LEAST_LOADS or not (means > 0).all():
        return None
    alone, contention, coherency = _solve(holders, means)
    _, _, _, peak, most, knee = _figures((alone, contention, coherency))
    intervals, why_none = _intervals(holders, measured)
    return ScalabilityFit(
        alone=alone,
        contention=contention,
        coherency=coherency,
        peak_holders=peak,
        peak_per_second=most,
        knee=knee,
        no_intervals=why_none,
        **dict(zip(INTERVALS, intervals, strict=True)),
    )


INTERVALS = (
    "alone_between",
    "contention_between",
    "coherency_between",
    "peak_holders_between",
    "peak_per_second_between",
    "knee_between",
)


def throughput(found: ScalabilityFit, holders: float) -> float:
    """What the law says of so many holders."""
    crowd = holders - 1
    return found.alone * holders / (1 + found.contention * crowd + found.coherency * holders * crowd)


def _solve(holders: Floats, throughputs: Floats) -> tuple[float, float, float]:
    """The three parameters that fit best, none of which is negative; relative errors count alike."""
    target = holders / throughputs
    columns = np.stack([np.ones_like(holders), holders - 1, holders * (holders - 1)], axis=1)
    weights = 1 / target
    best: tuple[float, tuple[float, float, float]] | None = None
    for used in itertools.chain.from_iterable(itertools.combinations((1, 2), size) for size in range(3)):
        chosen = [0, *used]
        found, *_ = np.linalg.lstsq(columns[:, chosen] * weights[:, None], target * weights)
        if (found < 0).any() or found[0] <= 0:
            continue
        error = float((((columns[:, chosen] @ found - target) * weights) ** 2).sum())
        if best is None or error < best[0]:
            whole = np.zeros(3)
            whole[chosen] = found
            base = float(whole[0])
            contention, coherency = (share if share > NOTHING else 0.0 for share in (whole[1:] / base).tolist())
            best = error, (1 / base, contention, coherency)
    assert best is not None  # with the first column alone the solution is positive
    return best[1]


def _figures(found: tuple[float, float, float]) -> tuple[float | None, ...]:
    """The parameters, then: at how many holders throughput is highest, how high it is, and where the knee is: at as
    many holders as would make that much if none was in the way of another. None where throughput has no end."""
    alone, contention, coherency = found
    if coherency > 0:
        peak = max(1.0, ((1 - contention) / coherency) ** 0.5) if contention < 1 else 1.0
        most: float | None = alone * peak / (1 + contention * (peak - 1) + coherency * peak * (peak - 1))
    else:
        peak, most = float("inf"), alone / contention if contention > 0 else None
    knee = most / alone if most is not None else None
    return alone, contention, coherency, peak if np.isfinite(peak) else None, most, knee


def _intervals(holders: Floats, measured: Sequence[Measured]) -> tuple[list[Interval | None], str]:
    """Of each of INTERVALS; None where they cannot be told, and why."""
    none: list[Interval | None] = [None] * len(INTERVALS)
    shortest, least = min(each.per_second.size for each in measured), LEAST_BLOCKS * BLOCK
    if shortest < least:
        return none, f"a level was judged for {shortest} s; at least {least} s are needed"
    chance = np.random.default_rng(0)
    drawn = np.stack([_drawn(each.per_second, chance) for each in measured], axis=1)
    draws = [_figures(_solve(holders, means)) for means in drawn if (means > 0).all()]
    if len(draws) < USABLE * DRAWS:
        return none, "a level had too few steps"
    return [_interval(column) for column in zip(*draws, strict=True)], ""


def _drawn(per_second: Floats, chance: np.random.Generator) -> Floats:
    """The means of DRAWS draws."""
    blocks = np.array_split(per_second, per_second.size // BLOCK)
    means = np.array([block.mean() for block in blocks])
    drawn: Floats = chance.choice(means, size=(DRAWS, means.size)).mean(axis=1)
    return drawn


def _interval(values: Sequence[float | None]) -> Interval:
    """Where 95 % of the draws lie; None for an end that is beyond all bounds."""
    known = np.array([np.inf if value is None else value for value in values])
    low, high = np.percentile(known, CONFIDENCE, method="nearest")
    return Interval(float(low) if np.isfinite(low) else None, float(high) if np.isfinite(high) else None)
