"""How much must have been counted before a threshold is judged, of a run in progress as of the levels of a search in
its report."""

from __future__ import annotations

from stampede import wording
from stampede.schema.settings import thresholds
from stampede.schema.settings.thresholds import Threshold

LEAST_STEPS = 20
"""Steps below which a percentile, a mean or a share is not judged."""
LEAST_THERE = 0.95
"""Share of a level's holders, on the mean, below which its number says nothing of the load."""
ROUNDING = 1e-6


def absent(holders: int, there: float) -> str:
    """That some of a level's holders were not there, who would have made the load higher; ``there`` of them were, on
    the mean. Empty when they were."""
    if there >= LEAST_THERE * holders:
        return ""
    return f"only {wording.figure(round(there, 1))} of {wording.number(holders, 'holder')} were there"


def too_little(threshold: Threshold, counted: int, seconds: float) -> str:
    """Why a threshold cannot be judged by so many steps, checks or values in so many seconds; empty when it can."""
    if threshold.metric == thresholds.THROUGHPUT:
        if seconds + ROUNDING >= thresholds.LEAST_SECONDS:
            return ""
        return f"{seconds:.3g} s; at least {thresholds.LEAST_SECONDS:g} s are needed"
    is_count = threshold.metric == thresholds.ERRORS and not threshold.unit
    least = 1 if is_count or threshold.metric in (thresholds.MAX, thresholds.MIN) else LEAST_STEPS
    if counted >= least:
        return ""
    one = "check" if threshold.check else "value" if threshold.measure else "step"
    return f"{wording.number(counted, one)}; at least {least} {'is' if least == 1 else 'are'} needed"
