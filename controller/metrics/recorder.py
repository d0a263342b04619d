"""Counts and journals what happens in a run; the state file and the terminal read their figures here."""

from __future__ import annotations

from collections import Counter, deque
from typing import Protocol

from controller.metrics.journal import Journal
from stampede.schema.line_protocol import FieldValue
from stampede.schema.tally import Tallies

WINDOW = 1000
"""Newest service times per step from which the live p95 is taken."""


class Clock(Protocol):
    """The run's time (see ``controller.load.clock``)."""

    def now(self) -> float:
        """Seconds on the run's clock."""

    def epoch_ns(self, moment: float) -> int:
        """A moment of that clock as nanoseconds since 1970."""


class Recorder:
    """One per run. Times in seconds, of the run's clock."""

    def __init__(self, clock: Clock, journal: Journal | None, tallies: Tallies | None = None) -> None:
        self.outcomes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self.arrivals = 0
        self.in_flight = 0
        self._clock = clock
        self._journal = journal
        self._tallies = tallies
        self._series: dict[tuple[str, str], str] = {}
        self._recent: dict[str, deque[float]] = {}

    def step(
        self,
        name: str,
        outcome: str,
        *,
        start: float,
        due: float,
        holder: int,
        iteration: int,
        attempt: int,
        service: str = "",
        error: str = "",
        detail: str = "",
    ) -> None:
        """Record a step that ends now; ``outcome`` is ok, failed or interrupted."""
        now = self._clock.now()
        if self._journal is not None:
            fields: dict[str, FieldValue] = {
                "holder": holder,
                "iteration": iteration,
                "attempt": attempt,
                "service": service,
                "service_time": now - start,
                "response_time": now - due,
            }
            if error:
                fields |= {"error": error, "detail": detail[:500]}
            series = self._series.get((name, outcome))
            if series is None:
                series = self._journal.series("step", step=name, outcome=outcome)
                self._series[name, outcome] = series
            self._journal.append(series, fields, self._clock.epoch_ns(now))
        if self._tallies is not None:
            self._tallies.count(name, outcome, now, now - start, now - due)
        self.outcomes[outcome] += 1
        self.steps[name] += 1
        if error:
            self.errors[error] += 1
        if outcome == "ok":
            self._recent.setdefault(name, deque(maxlen=WINDOW)).append(now - start)

    def event(self, kind: str, text: str, value: float = 0.0) -> None:
        """Record a phase of the run or a fault."""
        self.sample("event", {"text": text, "value": value}, kind=kind)

    def sample(self, measurement: str, fields: dict[str, FieldValue], **tags: str) -> None:
        """Record what was measured now."""
        if self._journal is not None:
            self._journal.append(
                self._journal.series(measurement, **tags), fields, self._clock.epoch_ns(self._clock.now())
            )

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
