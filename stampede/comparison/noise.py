"""Is the difference between two runs in a step's times, or in how many of them failed, more than noise?

The records of one run are not independent of each other: a service that is slow now is slow for the next holder too.
A test that takes them for independent (Mann-Whitney, say) finds any two runs to differ, given enough records. So
times are compared in blocks: the method of batch means of simulation output (Law, "Simulation Modeling and
Analysis").

- The records of a step, in order of time, are cut into blocks of equal number, as many in one run as in the other;
  the first block is paired with the first, and so on, which also removes what both runs have in common, such as a
  ramp-up.
- For each block, the share of its records above a limit is counted: the median (or the 95th percentile), half-way
  between those of the two runs. If the runs are identical, the differences of these shares scatter about 0.
- A paired t-test gives the probability of a mean difference as large as the one found. Its standard error is widened
  by how much one difference resembles the next (their autocorrelation), because blocks of a run that drifts slowly
  are not independent either.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stampede.analysis.percentiles import percentile

MAX_BLOCKS, MIN_BLOCKS = 20, 8
RECORDS = {50: 5, 95: 20}  # in a block, at least, for each percentile that is tested

type Floats = NDArray[np.float64]


def chance_of_times(a: Floats, b: Floats, percent: int) -> float | None:
    """The probability that two identical runs differ as much as these at a percentile (50 or 95).

    Times in the order in which the steps ended. None where there are too few of them to tell.
    """
    blocks = min(a.size, b.size, MAX_BLOCKS * RECORDS[percent]) // RECORDS[percent]
    if blocks < MIN_BLOCKS:
        return None
    limit = float(np.mean([percentile(times, percent) for times in (a, b)]))
    return _paired_t_test(_shares_above(b, limit, blocks) - _shares_above(a, limit, blocks))


def _shares_above(times: Floats, limit: float, blocks: int) -> Floats:
    return np.array([(block > limit).mean() for block in np.array_split(times, blocks)])


def _paired_t_test(differences: Floats) -> float:
    """The two-sided probability of their mean if they scatter about 0; corrected for their autocorrelation."""
    number, mean = differences.size, float(differences.mean())
    residuals = differences - mean
    squares = float((residuals**2).sum())
    if not squares:
        return 0.0 if mean else 1.0
    autocorrelation = float((residuals[1:] * residuals[:-1]).sum()) / squares
    autocorrelation += (1 + 4 * autocorrelation) / number  # which so few blocks underestimate by about this (Kendall)
    autocorrelation = min(max(autocorrelation, 0.0), 0.9)
    effective = max(number * (1 - autocorrelation) / (1 + autocorrelation), 5.0)  # number of independent blocks
    variance = squares / number / (1 - 1 / effective)
    return student(mean / math.sqrt(variance / effective), effective - 1)


def student(t: float, freedom: float) -> float:
    """The probability that |t| or more comes from Student's distribution with these degrees of freedom.

    >>> round(student(2.0, 10), 4)
    0.0734
    """
    angles = np.linspace(math.atan(abs(t) / math.sqrt(freedom)), math.pi / 2, 2001)
    tail = float(np.trapezoid(np.cos(angles) ** (freedom - 1), angles))
    whole = math.sqrt(math.pi) / 2 * math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2))
    return min(1.0, tail / whole)


def chance_of_shares(count_a: int, total_a: int, count_b: int, total_b: int) -> float:
    """The probability that two shares (of failed steps) differ as much as these by chance: Fisher's exact test.

    >>> round(chance_of_shares(1, 10, 9, 10), 5)
    0.00109
    """
    count, total = count_a + count_b, total_a + total_b
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])  # of the factorials
    counts = np.arange(max(0, count - total_b), min(total_a, count) + 1)  # that run a may have
    ways_in_a = logs[total_a] - logs[counts] - logs[total_a - counts]
    ways_in_b = logs[total_b] - logs[count - counts] - logs[total_b - count + counts]
    chances = np.exp(ways_in_a + ways_in_b - (logs[total] - logs[count] - logs[total - count]))
    found = chances[count_a - int(counts[0])]
    return min(1.0, float(chances[chances <= found * (1 + 1e-7)].sum()))


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """The probabilities, each corrected for how many there are (Holm), so that all share one level.

    >>> holm([0.01, None, 0.04])
    [0.02, None, 0.04]
    """
    known = sorted((chance, number) for number, chance in enumerate(probabilities) if chance is not None)
    corrected: list[float | None] = [None] * len(probabilities)
    least = 0.0
    for rank, (chance, number) in enumerate(known):
        least = corrected[number] = max(least, min(1.0, chance * (len(known) - rank)))
    return corrected
