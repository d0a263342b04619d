"""How many holders were active when, on all hosts together, from the samples that each host took every second."""

import numpy as np
from numpy.typing import NDArray

from stampede.analysis.load_window import SECOND, Window
from stampede.results.journal_columns import JournalColumns

MAX_SECONDS = 200_000  # of a run, over which active holders are summed
STALE = 5 * SECOND  # after which a sample no longer counts


def peak_active(journal: JournalColumns, window: Window | None) -> int | None:
    """The largest number of holders that were active at once; None when that was not sampled."""
    active = active_by_second(journal, window)
    return None if active is None else int(active.max())


def active_by_second(journal: JournalColumns, window: Window | None) -> NDArray[np.float64] | None:
    """How many holders were active in each second of the load; None when that was not sampled."""
    if window is None or not len(journal.load.time):
        return None
    seconds = min(int(window.seconds) + 1, MAX_SECONDS)
    edges = window.start + np.arange(seconds + 1, dtype=np.int64) * SECOND
    total = np.zeros(seconds)
    time, host, active = (
        np.asarray(journal.load.time),
        np.asarray(journal.load.host),
        journal.load.column("active"),
    )
    for number in np.unique(host):
        here = (host == number) & np.isfinite(active)
        total += last_values(time[here], active[here], edges[1:])
    return total


def last_values(time: NDArray[np.int64], values: NDArray[np.float64], at: NDArray[np.int64]) -> NDArray[np.float64]:
    """The value last sampled before each moment; 0 before the first sample and from 5 s after the last.

    Times are nanoseconds since 1970.
    """
    if not time.size:
        return np.zeros(at.shape)
    order = np.argsort(time, kind="stable")
    time, values = time[order], values[order]
    which = np.searchsorted(time, at, side="right") - 1
    known = (which >= 0) & (at - time[np.maximum(which, 0)] <= STALE)
    return np.where(known, values[np.maximum(which, 0)], 0.0)
