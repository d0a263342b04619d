"""What has happened in a run so far, for the state file and the terminal."""

from __future__ import annotations

from collections import Counter, deque

from stampede.schema.records import Outcome, StepRecord

WINDOW = 1000
"""Newest service times per step from which the live p95 is taken."""


class LiveFigures:
    """Counts steps; listens to a ``Recorder``."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        """Failed steps by error class."""
        self.steps: Counter[str] = Counter()
        """Steps by name, whatever their outcome."""
        self._recent: dict[str, deque[float]] = {}

    def step_ended(self, record: StepRecord, now: float) -> None:
        """Count a step."""
        self.outcomes[record.outcome] += 1
        self.steps[record.step] += 1
        if record.error:
            self.errors[record.error] += 1
        if record.outcome == Outcome.OK:
            self._recent.setdefault(record.step, deque(maxlen=WINDOW)).append(record.service_time)

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
