"""What has happened in a run so far, for the state file and the terminal."""

from __future__ import annotations

from collections import Counter, deque

from stampede.schema import step_times
from stampede.schema.records import Outcome, StepRecord
from stampede.schema.state import StepCounts

WINDOW = 1000
"""Newest service times per step from which the live p95 is taken."""
MOST_STEPS = 100
"""Steps that are counted by name: those that come first."""


class _Counted:
    """What was counted of one step; response times by bucket."""

    __slots__ = ("buckets", "failed", "ok")

    def __init__(self) -> None:
        self.ok = self.failed = 0
        self.buckets: dict[int, int] = {}


class LiveFigures:
    """Counts steps; listens to a ``Recorder``."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        """Failed steps by error class."""
        self.steps: Counter[str] = Counter()
        """Steps by name, whatever their outcome."""
        self._recent: dict[str, deque[float]] = {}
        self._counted: dict[str, _Counted] = {}

    def step_ended(self, record: StepRecord, now: float) -> None:
        """Count a step."""
        self.outcomes[record.outcome] += 1
        self.steps[record.step] += 1
        if record.error:
            self.errors[record.error] += 1
        if record.outcome == Outcome.OK:
            self._recent.setdefault(record.step, deque(maxlen=WINDOW)).append(record.service_time)
        counted = self._counted.get(record.step)
        if counted is None:
            if len(self._counted) == MOST_STEPS:
                return
            counted = self._counted[record.step] = _Counted()
        if record.outcome == Outcome.OK:
            counted.ok += 1
            bucket = step_times.bucket_of(record.response_time)
            counted.buckets[bucket] = counted.buckets.get(bucket, 0) + 1
        elif record.outcome == Outcome.FAILED:
            counted.failed += 1

    def by_step(self) -> dict[str, StepCounts]:
        """What was counted of each step."""
        return {
            name: StepCounts(counted.ok, counted.failed, step_times.to_text(counted.buckets))
            for name, counted in self._counted.items()
        }

    def p95(self) -> dict[str, float]:
        """The 95th percentile of each step's newest service times."""
        return {name: quantile(times, 0.95) for name, times in self._recent.items()}


def quantile(values: deque[float] | list[float], share: float) -> float:
    """The value below which ``share`` of the values lie (nearest rank); 0 when there are none.

    >>> quantile([3.0, 1.0, 2.0], 0.5)
    2.0
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
