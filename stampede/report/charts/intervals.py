"""The intervals of equal width that the charts divide a run into.

An interval is wide enough for at most 300 of them in a run, so the page's size does not depend on the number of
records.
"""

import math

import numpy as np
from numpy.typing import NDArray

from stampede.analysis.load_window import Window
from stampede.report.charts.chart_data import Series
from stampede.results.journal_columns import JournalColumns

MAX_INTERVALS = 300
MIN_INTERVALS = 60  # where records are few, intervals are wider, so that a percentile is one of several records
RECORDS_PER_INTERVAL = 10  # of each step, on average: the aim
WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]


def interval_width(journal: JournalColumns, window: Window | None) -> float:
    """The width of an interval in seconds: a round number of them."""
    if window is None:
        return 1.0
    steps = max(1, len(journal.step_names.list))
    wanted = len(journal.steps) / steps / RECORDS_PER_INTERVAL
    narrowest = window.seconds / float(np.clip(wanted, MIN_INTERVALS, MAX_INTERVALS))
    return float(next((width for width in WIDTHS if width >= narrowest), narrowest))


def interval_of(time: Integers, edges: Integers) -> Integers:
    """The number of the interval of each time; -1 outside. The last interval includes its right edge."""
    interval = np.searchsorted(edges, time, side="right") - 1
    interval[(interval == len(edges) - 1) & (time == edges[-1])] -= 1
    interval[interval >= len(edges) - 1] = -1
    return interval.astype(np.int64)


def to_rates(interval: Integers, intervals: int, width: float) -> Series:
    """How many records each interval has, per second; `interval` has the number of each record's interval."""
    return to_series(np.bincount(interval, minlength=intervals) / width)


def interval_means(interval: Integers, values: Floats, intervals: int) -> Floats:
    """The mean of the values in each interval; NaN where there are none."""
    known = (interval >= 0) & np.isfinite(values)
    counts = np.bincount(interval[known], minlength=intervals)
    sums = np.bincount(interval[known], weights=values[known], minlength=intervals)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def interval_maxima(interval: Integers, values: Floats, intervals: int) -> Floats:
    """The largest of the values in each interval; NaN where there are none."""
    known = (interval >= 0) & np.isfinite(values)
    figures = np.full(intervals, -np.inf)
    np.maximum.at(figures, interval[known], values[known])
    return np.where(np.isfinite(figures), figures, np.nan)


def to_series(values: Floats) -> Series:
    """The values as a chart has them."""
    return [rounded(value) for value in values]


def rounded(value: float) -> float | None:
    """A figure with four significant digits, enough for a chart; None for none."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
