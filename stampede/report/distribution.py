"""How the times of a step are distributed: counted in bins that are equally wide on a logarithmic scale.

Step times range from a millisecond to a minute, and what happens to the slow ones matters, so bins are relative:
twenty to a factor of ten, each reaching 12 % further than it begins.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS_PER_DECADE = 20
SHORTEST = 1e-5  # seconds; what is shorter is counted here
MARKED = (50, 95, 99)


def of(times: NDArray[np.float64]) -> dict[str, Any] | None:
    """`counts` of the times (seconds) by bin; None for none.

    The first count is that of bin number `first`; bin n begins at 10 ** (n / 20) seconds. `p50`, `p95` and `p99`
    are exact, of the times themselves.
    """
    if not times.size:
        return None
    bins = np.floor(np.log10(np.maximum(times, SHORTEST)) * BINS_PER_DECADE).astype(np.int64)
    first = int(bins.min())
    percentiles = np.percentile(times, MARKED)
    return {"first": first, "counts": np.bincount(bins - first).tolist()} | {
        f"p{which}": float(f"{value:.4g}") for which, value in zip(MARKED, percentiles, strict=True)
    }
