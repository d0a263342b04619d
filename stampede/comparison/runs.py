"""Compares two runs: what each step did in either, and whether the difference is more than noise.

A difference has to be both: large enough to matter, and improbable between identical runs. In a long run the
smallest difference is improbable, in a short one a large difference is chance.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stampede.analysis.collected_run import CollectedRun, read_run
from stampede.analysis.percentiles import summarize_times
from stampede.comparison import noise, sentences
from stampede.comparison.run_comparison import (
    FailureDifference,
    Pair,
    RunComparison,
    RunFigures,
    SettingDifference,
    StepComparison,
    StepFigures,
    TimeDifference,
)
from stampede.results.journal_columns import OK
from stampede.schema.json_form import to_json
from stampede.schema.summary import StepSummary

LEVEL = 0.01  # of all tests of a comparison together
MIN_TIME_SHARE = {50: 0.1, 95: 0.2}  # by percentile: by which a time must differ to matter
MIN_TIME_SECONDS = 0.005  # by which it must differ as well
MIN_FAILED_SHARE = 0.01  # by which the share of failed steps must differ
# Settings that do not change the load.
IRRELEVANT_SETTINGS = frozenset(
    f"stampede_{name}"
    for name in (
        "abort_on_thresholds",
        "compare_with",
        "discard_runs",
        "fail_on_errors",
        "remove_from_hosts",
        "results_dir",
        "run_dir",
        "run_id",
        "thresholds",
        "watch_interval",
        "work_dir",
    )
)
# What runs of a version did that did not have these settings yet.
FORMER_BEHAVIOUR = {
    "stampede_arrivals": "constant",
    "stampede_cool_down": 0,
    "stampede_data": {},
    "stampede_iterations_per": "holder",
    "stampede_load_model": "closed",
    "stampede_observed_think_times": [],
    "stampede_otlp_ca_file": "",
    "stampede_otlp_url": "",
    "stampede_rate": "1/s",
    "stampede_scripts": [],
    "stampede_search": {},
    "stampede_share": {},
    "stampede_stages": [],
    "stampede_think_time_scale": 1,
    "stampede_think_times": "uniform",
    "stampede_warm_up": 0,
}

type Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ComparedRuns:
    """Two runs, `a` the earlier one, and their comparison."""

    a: CollectedRun
    b: CollectedRun
    comparison: RunComparison

    def by_name(self) -> dict[str, CollectedRun]:
        """Both runs."""
        return {"a": self.a, "b": self.b}

    def to_json(self) -> dict[str, Any]:
        """The comparison as `stampede compare --json` prints it."""
        values: dict[str, Any] = to_json(self.comparison)
        return values


def compare_runs(a: Path, b: Path) -> ComparedRuns:
    """Read and compare two results folders. Raises ReportError as `read_run` does."""
    earlier, later = read_run(a), read_run(b)
    return ComparedRuns(earlier, later, build_comparison(earlier, later))


def build_comparison(a: CollectedRun, b: CollectedRun) -> RunComparison:
    """The comparison of two runs that have been read."""
    steps = _steps(a, b)
    outcome = _outcome(steps)
    runs = {"a": _run_figures(a), "b": _run_figures(b)}
    settings = _settings(a, b)
    return RunComparison(
        outcome=outcome,
        headline=sentences.headline(steps, outcome),
        findings=sentences.findings(steps),
        warnings=sentences.warnings(a.summary, b.summary, settings, runs),
        test=sentences.TEST,
        runs=runs,
        settings=settings,
        steps=steps,
        checks=_pairs(a.summary.checks, b.summary.checks),
        measures=_pairs(a.summary.measures, b.summary.measures),
    )


def _pairs[T](a: dict[str, T], b: dict[str, T]) -> dict[str, Pair[T]]:
    return {name: Pair(a.get(name), b.get(name)) for name in dict.fromkeys([*a, *b])}


def _steps(a: CollectedRun, b: CollectedRun) -> dict[str, StepComparison]:
    """The steps of both runs; the probabilities are corrected for the number of all tests."""
    names = list(dict.fromkeys([*a.summary.steps, *b.summary.steps]))
    figures = {name: (_step_figures(a, name), _step_figures(b, name)) for name in names}
    chances = []
    for name, (in_a, in_b) in figures.items():
        times = (_service_times(a, name), _service_times(b, name))
        chances += [_chance_of_times(in_a, in_b, times, percentile) for percentile in MIN_TIME_SHARE]
        chances.append(_chance_of_failures(in_a, in_b))
    corrected = iter(noise.holm(chances))
    steps = {}
    for name, (in_a, in_b) in figures.items():
        p50, p95 = (_time_difference(in_a, in_b, percentile, next(corrected)) for percentile in MIN_TIME_SHARE)
        failed = _failure_difference(in_a, in_b, next(corrected))
        steps[name] = StepComparison(in_a, in_b, p50, p95, failed, _verdict(in_a, in_b, p50, p95))
    return steps


def _step_figures(run: CollectedRun, name: str) -> StepFigures | None:
    """A step in a run; None when the run did not have it."""
    step = run.summary.steps.get(name)
    if step is None:
        if name not in run.summary.counts:
            return None
        no_times = summarize_times(np.zeros(0))  # it ran in the warm-up or the cool-down alone
        step = StepSummary(0, 0, 0, None, {}, no_times, no_times)
    return StepFigures(**vars(step), failed_share=step.failed / step.ended if step.ended else None)


def _service_times(run: CollectedRun, name: str) -> Floats:
    """The service times of the steps of a name that ended ok, in order of time."""
    records, names = run.measured.journal.steps, run.journal.step_names
    if name not in names.list:
        return np.zeros(0)
    selected = np.flatnonzero((np.asarray(records.step) == names.number(name)) & (np.asarray(records.outcome) == OK))
    order = np.argsort(np.asarray(records.end)[selected], kind="stable")
    return np.asarray(records.service_time)[selected[order]]


def _chance_of_times(
    a: StepFigures | None, b: StepFigures | None, times: tuple[Floats, Floats], percentile: int
) -> float | None:
    """The probability of such a difference between identical runs; None when that cannot be told."""
    return noise.chance_of_times(*times, percentile) if a and b else None


def _chance_of_failures(a: StepFigures | None, b: StepFigures | None) -> float | None:
    """The probability of such a difference between identical runs; None when that cannot be told."""
    if not a or not b or not a.ended or not b.ended:
        return None
    return noise.chance_of_shares(a.failed, a.ended, b.failed, b.ended)


def _time_difference(
    a: StepFigures | None, b: StepFigures | None, percentile: int, chance: float | None
) -> TimeDifference:
    before, after = (run.service_time.figure(f"p{percentile}") if run else None for run in (a, b))
    if before is None or after is None:
        return TimeDifference(chance, None, matters=False, differs=False)
    shorter, longer = sorted((before, after))
    matters = longer - shorter >= MIN_TIME_SECONDS and longer >= shorter * (1 + MIN_TIME_SHARE[percentile])
    ratio = after / before if before else None
    return TimeDifference(chance, ratio, matters, differs=matters and _is_significant(chance))


def _failure_difference(a: StepFigures | None, b: StepFigures | None, chance: float | None) -> FailureDifference:
    before, after = (run.failed_share if run else None for run in (a, b))
    if before is None or after is None:
        return FailureDifference(chance, None, matters=False, differs=False)
    points = after - before
    matters = abs(points) >= MIN_FAILED_SHARE
    return FailureDifference(chance, points, matters, differs=matters and _is_significant(chance))


def _is_significant(chance: float | None) -> bool:
    return chance is not None and chance < LEVEL


def _verdict(a: StepFigures | None, b: StepFigures | None, p50: TimeDifference, p95: TimeDifference) -> str:
    if a is None or b is None:
        return "only_b" if a is None else "only_a"
    times = (p50, p95)
    directions = {"slower" if (time.ratio or math.inf) > 1 else "faster" for time in times if time.differs}
    if directions:
        return directions.pop() if len(directions) == 1 else "mixed"
    return "no_difference" if any(time.p is not None for time in times) else "too_few"


def _outcome(steps: dict[str, StepComparison]) -> str:
    if any(step.differs for step in steps.values()):
        return "difference"
    if all(step.verdict == "too_few" for step in steps.values()):
        return "too_few"
    return "no_difference"


def _run_figures(run: CollectedRun) -> RunFigures:
    summary = run.summary
    return RunFigures(
        id=summary.run.id,
        scenario=summary.run.scenario,
        started=summary.run.started,
        duration=summary.run.duration,
        outcome=summary.run.outcome,
        headline=summary.run.headline,
        path=str(run.results.path),
        hosts=sum(host.took_part for host in summary.hosts.values()),
        steps_per_second=summary.load.steps_per_second,
        peak_active_holders=summary.load.peak_active_holders,
        schedule_lag=summary.generator.schedule_lag.p99,
        bottleneck=summary.generator.bottleneck,
    )


def _settings(a: CollectedRun, b: CollectedRun) -> list[SettingDifference]:
    """The settings that differ and can change the load."""
    in_a, in_b = (FORMER_BEHAVIOUR | dict(_flat(run.summary.run.settings)) for run in (a, b))
    return [
        SettingDifference(name, in_a.get(name), in_b.get(name))
        for name in sorted({*in_a, *in_b})
        if in_a.get(name) != in_b.get(name) and name not in IRRELEVANT_SETTINGS
    ]


def _flat(settings: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Settings by name, nested ones as `stampede_services.verifier.invitation.url`."""
    flat: list[tuple[str, Any]] = []
    for name, value in settings.items():
        flat += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return flat
