"""How the times of a step are distributed: counted in bins that are equally wide on a logarithmic scale.

Step times range from a millisecond to a minute, and what happens to the slow ones matters, so bins are relative:
twenty to a factor of ten, each reaching 12 % further than it begins.
"""

import numpy as np
from numpy.typing import NDArray

from stampede.analysis.percentiles import percentiles
from stampede.report.charts.chart_data import Distribution

BINS_PER_DECADE = 20
SHORTEST = 1e-5  # seconds; shorter times are counted as this


def build_distribution(times: NDArray[np.float64]) -> Distribution | None:
    """The distribution of times in seconds; None when there are none.

    Bin n begins at 10 ** (n / BINS_PER_DECADE) seconds. The percentiles are exact, of the times themselves.
    """
    if not times.size:
        return None
    bins = np.floor(np.log10(np.maximum(times, SHORTEST)) * BINS_PER_DECADE).astype(np.int64)
    first = int(bins.min())
    p50, p95, p99 = (float(f"{figure:.4g}") for figure in percentiles(times, (50, 95, 99)))
    return Distribution(first, np.bincount(bins - first).tolist(), p50, p95, p99)
