"""Is the difference between two runs in a step's times, or in how many of them failed, more than noise?

The records of one run are not independent of each other: a service that is slow now is slow for the next holder too.
A test that takes them for independent (Mann-Whitney, say) finds any two runs to differ, if only they have many
records. So times are compared in blocks, which is the method of batch means of simulation output (Law, "Simulation
Modeling and Analysis"):

- The records of a step, in order of time, are cut into blocks of equal number, as many in the one run as in the
  other; the first block is set against the first, and so on, which also takes out what both runs have in common,
  such as a ramp-up.
- Of each block it is counted which share of its records is above the median (or the 95th percentile), half-way
  between those of the two runs. If the runs are alike, the differences of these shares scatter about 0.
- A paired t-test says how probable a mean difference as large as the one found is then. Its standard error is
  widened by how much one difference resembles the next (their autocorrelation), because blocks of a run that drifts
  slowly are not independent either.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_BLOCKS, FEWEST_BLOCKS = 20, 8
RECORDS = {50: 5, 95: 20}  # in a block, at least, for each percentile that is tested

type Floats = NDArray[np.float64]


def of_times(one: Floats, other: Floats, percentile: int) -> float | None:
    """The probability that two runs that are alike differ as much as these at a percentile (50 or 95).

    Times in the order in which the steps ended. None where there are too few of them to tell.
    """
    blocks = min(one.size, other.size, MOST_BLOCKS * RECORDS[percentile]) // RECORDS[percentile]
    if blocks < FEWEST_BLOCKS:
        return None
    limit = float(np.mean([np.percentile(times, percentile) for times in (one, other)]))
    return _paired(_shares_above(other, limit, blocks) - _shares_above(one, limit, blocks))


def _shares_above(times: Floats, limit: float, blocks: int) -> Floats:
    return np.array([(block > limit).mean() for block in np.array_split(times, blocks)])


def _paired(differences: Floats) -> float:
    """The two-sided probability of their mean, were they about 0 in truth; corrected for their autocorrelation."""
    number, mean = differences.size, float(differences.mean())
    residuals = differences - mean
    squares = float((residuals**2).sum())
    if not squares:
        return 0.0 if mean else 1.0
    resemblance = float((residuals[1:] * residuals[:-1]).sum()) / squares
    resemblance += (1 + 4 * resemblance) / number  # which so few blocks underestimate by about this (Kendall)
    resemblance = min(max(resemblance, 0.0), 0.9)
    independent = max(number * (1 - resemblance) / (1 + resemblance), 5.0)  # so many blocks they are worth
    variance = squares / number / (1 - 1 / independent)
    return student(mean / math.sqrt(variance / independent), independent - 1)


def student(t: float, freedom: float) -> float:
    """The probability that |t| or more comes from Student's distribution with these degrees of freedom.

    >>> round(student(2.0, 10), 4)
    0.0734
    """
    angles = np.linspace(math.atan(abs(t) / math.sqrt(freedom)), math.pi / 2, 2001)
    tail = float(np.trapezoid(np.cos(angles) ** (freedom - 1), angles))
    whole = math.sqrt(math.pi) / 2 * math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2))
    return min(1.0, tail / whole)


def of_shares(count: int, of: int, other_count: int, other_of: int) -> float:
    """The probability that two shares (of failed steps) differ as much as these by chance: Fisher's exact test.

    >>> round(of_shares(1, 10, 9, 10), 5)
    0.00109
    """
    together, everything = count + other_count, of + other_of
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, everything + 1)))])  # of the factorials
    counts = np.arange(max(0, together - other_of), min(of, together) + 1)
    ways = logs[of] - logs[counts] - logs[of - counts]
    other_ways = logs[other_of] - logs[together - counts] - logs[other_of - together + counts]
    chances = np.exp(ways + other_ways - (logs[everything] - logs[together] - logs[everything - together]))
    found = chances[count - int(counts[0])]
    return min(1.0, float(chances[chances <= found * (1 + 1e-7)].sum()))


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """The probabilities, each corrected for how many there are (Holm), so that all share one level.

    >>> holm([0.01, None, 0.04])
    [0.02, None, 0.04]
    """
    known = sorted((its, number) for number, its in enumerate(probabilities) if its is not None)
    corrected: list[float | None] = [None] * len(probabilities)
    least = 0.0
    for rank, (its, number) in enumerate(known):
        least = corrected[number] = max(least, min(1.0, its * (len(known) - rank)))
    return corrected
