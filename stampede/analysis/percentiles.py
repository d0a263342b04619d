"""The percentiles of a report: exact, over raw records, with linear interpolation between the two nearest of them.

Percentiles of hosts or of intervals are never averaged.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stampede.schema.summary import Times

type Floats = NDArray[np.float64]


def percentile(values: Floats, rank: float) -> float:
    """One percentile; `rank` from 0 to 100. Raises IndexError when there are no values."""
    return float(np.percentile(values, rank))


def percentiles(values: Floats, ranks: Sequence[float]) -> list[float]:
    """Several percentiles of the same values. Raises IndexError when there are no values."""
    return [float(figure) for figure in np.percentile(values, ranks)]


def summarize_times(values: Floats) -> Times:
    """Mean, percentiles and maximum of times; None each when there are none."""
    if not values.size:
        return Times(None, None, None, None, None, None)
    p50, p90, p95, p99 = percentiles(values, (50, 90, 95, 99))
    return Times(float(values.mean()), p50, p90, p95, p99, float(values.max()))


def percentiles_by_bucket(
    bucket: NDArray[np.int64], values: Floats, buckets: int, ranks: Sequence[float]
) -> list[Floats]:
    """The percentiles of the values in each bucket, an array for each rank; NaN for empty buckets.

    `bucket` is the number of each value's bucket, from 0 to `buckets` - 1.
    """
    order = np.lexsort((values, bucket))
    values = values[order]
    counts = np.bincount(bucket, minlength=buckets)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    filled = counts > 0
    found = []
    for rank in ranks:
        place = (counts[filled] - 1) * (rank / 100)
        low = np.floor(place).astype(np.int64)
        high = np.ceil(place).astype(np.int64)
        below, above = values[first[filled] + low], values[first[filled] + high]
        figures = np.full(buckets, np.nan)
        figures[filled] = below + (above - below) * (place - low)
        found.append(figures)
    return found
