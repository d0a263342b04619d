"""What ``stampede compare --json`` prints: two runs and each of their steps side by side, and what differs.

Run `a` is the earlier one. Times are seconds, shares lie between 0 and 1.
"""

from dataclasses import dataclass
from typing import Any

from stampede.schema.summary import CheckSummary, MeasureSummary, RunOutcome, StepSummary


@dataclass(frozen=True)
class RunFigures:
    """One run as a whole, from its summary."""

    id: str
    scenario: str
    started: str | None
    duration: float | None
    outcome: RunOutcome
    headline: str
    path: str
    hosts: int
    steps_per_second: float | None
    peak_active_holders: int | None
    schedule_lag: float | None
    bottleneck: bool | None


@dataclass(frozen=True)
class SettingDifference:
    """A setting with its value in either run; None where a run has none."""

    name: str
    a: Any
    b: Any


@dataclass(frozen=True)
class StepFigures(StepSummary):
    """A step in one run, with the share of it that failed."""

    failed_share: float | None


@dataclass(frozen=True)
class TimeDifference:
    """The service time of a step at one percentile.

    `p` is the corrected probability of such a difference between identical runs, None where that cannot be told;
    `ratio` is that of b to a. The difference `matters` when it is large enough, and `differs` says that it is more
    than noise as well.
    """

    p: float | None
    ratio: float | None
    matters: bool
    differs: bool


@dataclass(frozen=True)
class FailureDifference:
    """The share of a step that failed: b's less a's; the rest as in `TimeDifference`."""

    p: float | None
    points: float | None
    matters: bool
    differs: bool


@dataclass(frozen=True)
class StepComparison:
    """A step in both runs; None for a run without it.

    `verdict` is that of its times, `slower`, `faster`, `mixed` (one percentile so, the other so), `no_difference`,
    `too_few` or, for a step of one run only, `only_a` or `only_b`.
    """

    a: StepFigures | None
    b: StepFigures | None
    p50: TimeDifference
    p95: TimeDifference
    failed: FailureDifference
    verdict: str

    @property
    def times(self) -> dict[str, TimeDifference]:
        """The percentiles by name."""
        return {"p50": self.p50, "p95": self.p95}

    @property
    def differs(self) -> bool:
        """Whether anything about the step differs."""
        return self.verdict not in ("no_difference", "too_few") or self.failed.differs


@dataclass(frozen=True)
class Pair[T]:
    """A figure in both runs; None for a run without it."""

    a: T | None
    b: T | None


@dataclass(frozen=True)
class RunComparison:
    """The whole of it; `outcome` is `no_difference`, `difference`, or `too_few` when no step had enough records."""

    outcome: str
    headline: str
    findings: list[str]
    warnings: list[str]
    test: str
    runs: dict[str, RunFigures]
    settings: list[SettingDifference]
    steps: dict[str, StepComparison]
    checks: dict[str, Pair[CheckSummary]]
    measures: dict[str, Pair[MeasureSummary]]
    """What scripts checked and measured: side by side, without a test of whether a difference is noise."""
