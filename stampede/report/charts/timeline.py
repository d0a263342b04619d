"""The run over time, as the charts of the page show it: every figure in intervals of equal width.

Percentiles of an interval are exact over its records; nothing is interpolated between intervals.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stampede.analysis.active_holders import last_values
from stampede.analysis.load_window import SECOND, Window
from stampede.analysis.percentiles import percentiles_by_bucket
from stampede.report.charts.chart_data import Charts, Distributions, LoadCharts, Series, StepChart
from stampede.report.charts.distribution import build_distribution
from stampede.report.charts.generator_charts import build_generator_charts
from stampede.report.charts.intervals import interval_of, interval_width, to_rates, to_series
from stampede.report.charts.marks import build_marks
from stampede.results.journal_columns import FAILED, OK, JournalColumns
from stampede.schema.summary import MeasuredPart, ThresholdVerdict

PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
BINS = 60  # of a step's distribution, roughly
MAX_POINTS = 400_000  # of the charts of single hosts, about 2.5 MB; larger runs have those of all hosts alone

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]
type Truths = NDArray[np.bool_]
EVERYTHING = slice(None)


def build_charts(
    journal: JournalColumns,
    window: Window | None,
    thresholds: Sequence[ThresholdVerdict] = (),
    measured: MeasuredPart | None = None,
    *,
    width: float | None = None,
) -> Charts:
    """The charts of a run; without series when no load was generated.

    Where one of the `thresholds` was crossed, the charts have a mark, and where the `measured` part begins and ends.
    `width` is that of an interval in seconds, by
    default the one that suits this run.
    """
    width = width or interval_width(journal, window)
    seconds = window.seconds if window else 0.0
    intervals = max(1, int(np.ceil(seconds / width))) if window else 0
    start = window.start if window else 0
    edges = start + np.arange(intervals + 1, dtype=np.int64) * int(width * SECOND)
    counted = _counted(journal, window, measured)
    steps = _steps(journal, edges, width, counted)
    return Charts(
        start=start / SECOND,
        width=width,
        seconds=seconds,
        x=[round((number + 0.5) * width, 3) for number in range(intervals)],
        steps=steps,
        failures=_failures(journal, edges, width),
        holders=_holders(journal, edges),
        by_host=_by_host(journal, edges, width, counted, [step.name for step in steps]),
        hosts=build_generator_charts(journal, edges),
        marks=build_marks(journal, window, thresholds, measured),
        left_out=[(0.0, measured.since), (measured.until, seconds)] if measured else [],
    )


def _counted(journal: JournalColumns, window: Window | None, measured: MeasuredPart | None) -> Truths:
    """Which records figures are about: all, or those of the measured part."""
    end = np.asarray(journal.steps.end)
    if measured is None or window is None:
        return np.ones(end.shape, dtype=bool)
    after = (end - window.start) / SECOND
    within: Truths = (after >= measured.since) & ((after < measured.until) | (measured.until >= window.seconds))
    return within


def _by_host(
    journal: JournalColumns, edges: Integers, width: float, counted: Truths, steps: list[str]
) -> dict[str, LoadCharts]:
    """The charts of each host; empty for a single host, and where they would make the page too large."""
    owner = np.asarray(journal.steps.host)
    numbers = np.unique(owner)
    points = (2 * len(PERCENTILES) + 1) * (len(edges) - 1) + 2 * BINS
    if len(numbers) < 2 or len(numbers) * len(steps) * points > MAX_POINTS:
        return {}
    charts = {}
    for number in numbers:
        here = np.flatnonzero(owner == number)
        by_name = {step.name: step for step in _steps(journal, edges, width, counted, here)}
        charts[journal.hosts.list[number]] = LoadCharts(
            steps=[by_name.get(name) for name in steps],
            failures=_failures(journal, edges, width, here),
            holders=_holders(journal, edges, [number]),
        )
    return charts


def _steps(
    journal: JournalColumns, edges: Integers, width: float, counted: Truths, here: Integers | slice = EVERYTHING
) -> list[StepChart]:
    """The charts of the steps (of the records `here`), in the order in which the steps were first due. Their
    distributions are of what is `counted` alone."""
    records = journal.steps
    step, outcome = np.asarray(records.step)[here], np.asarray(records.outcome)[here]
    service_time, response_time = np.asarray(records.service_time)[here], np.asarray(records.response_time)[here]
    end = np.asarray(records.end)[here]
    bucket = interval_of(end, edges)
    intervals = len(edges) - 1
    first_due: list[int] = []
    charts: list[StepChart] = []
    for number, name in enumerate(journal.step_names.list):
        selected = step == number
        if not selected.any():
            continue
        ok = selected & (outcome == OK) & (bucket >= 0)
        failed = selected & (outcome == FAILED) & (bucket >= 0)
        of_figures = ok & counted[here]
        first_due.append(int((end[selected] - response_time[selected] * SECOND).min()))
        charts.append(
            StepChart(
                name=name,
                ok=to_rates(bucket[ok], intervals, width),
                failed=to_rates(bucket[failed], intervals, width) if failed.any() else None,
                service=_percentiles(bucket[ok], service_time[ok], intervals),
                response=_percentiles(bucket[ok], response_time[ok], intervals),
                distribution=Distributions(
                    service=build_distribution(service_time[of_figures]),
                    response=build_distribution(response_time[of_figures]),
                ),
            )
        )
    return [charts[number] for number in np.argsort(first_due, kind="stable")]


def _percentiles(bucket: Integers, values: Floats, intervals: int) -> dict[str, Series]:
    figures = percentiles_by_bucket(bucket, values, intervals, list(PERCENTILES.values()))
    return {name: to_series(series) for name, series in zip(PERCENTILES, figures, strict=True)}


def _failures(
    journal: JournalColumns, edges: Integers, width: float, here: Integers | slice = EVERYTHING
) -> dict[str, dict[str, Series]]:
    """Failures per second of each error class, the most frequent first, by the step that failed."""
    failed = np.asarray(journal.steps.error)[here] >= 0
    error, step, end = (
        np.asarray(column)[here][failed] for column in (journal.steps.error, journal.steps.step, journal.steps.end)
    )
    bucket = interval_of(end, edges)
    counts = np.bincount(error, minlength=len(journal.errors.list))
    return {
        journal.errors.list[number]: {
            journal.step_names.list[which]: to_rates(
                bucket[(error == number) & (step == which) & (bucket >= 0)], len(edges) - 1, width
            )
            for which in np.unique(step[error == number])
        }
        for number in np.argsort(-counts, kind="stable")
        if counts[number]
    }


def _holders(journal: JournalColumns, edges: Integers, numbers: list[int] | None = None) -> dict[str, Series]:
    """Active holders and steps in flight at the end of each interval, summed over the hosts (of these numbers)."""
    time, host = np.asarray(journal.load.time), np.asarray(journal.load.host)
    summed: dict[str, Series] = {}
    for name in ("active", "in_flight"):
        values = journal.load.column(name)
        total = np.zeros(len(edges) - 1)
        for number in np.unique(host) if numbers is None else numbers:
            here = (host == number) & np.isfinite(values)
            total += last_values(time[here], values[here], edges[1:])
        summed[name] = to_series(total)
    return summed if time.size else {}
