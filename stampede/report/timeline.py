"""The run over time, as the charts of the page show it: every figure in intervals of equal width.

An interval is wide enough for at most 300 of them in a run, so the page's size does not depend on the number of
records. Percentiles of an interval are exact over its records; nothing is interpolated between intervals.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stampede.analysis.active_holders import last_values
from stampede.analysis.load_window import SECOND, Window
from stampede.analysis.percentiles import percentiles_by_bucket
from stampede.report.chart_data import (
    Charts,
    Distributions,
    GeneratorChart,
    LoadCharts,
    Mark,
    Series,
    StepChart,
)
from stampede.report.distribution import build_distribution
from stampede.results.journal_columns import FAILED, OK, Journal
from stampede.schema.phases import Phase
from stampede.schema.records import EventKind
from stampede.schema.summary import ThresholdVerdict

MAX_INTERVALS = 300
MIN_INTERVALS = 60  # where records are few, intervals are wider, so that a percentile is one of several records
RECORDS_PER_INTERVAL = 10  # of each step, on average: the aim
WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
BINS = 60  # of a step's distribution, roughly
MAX_MARKS = 150
FAULTS: tuple[str, ...] = (
    EventKind.AGENT_DIED,
    EventKind.DISK_FULL,
    "journal_lost",  # which earlier versions recorded
    EventKind.UNREACHABLE,
    EventKind.LOST,
    EventKind.DIED,
    EventKind.BROKE_OFF,
    EventKind.NOT_COLLECTED,
)
KIND_WORDS: dict[str, str] = {EventKind.BROKE_OFF: "ended abruptly"}
WORST = "all hosts"
MAX_POINTS = 400_000  # of the charts of single hosts, about 2.5 MB; larger runs have those of all hosts alone

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]
EVERYTHING = slice(None)


def build_charts(
    journal: Journal,
    window: Window | None,
    thresholds: Sequence[ThresholdVerdict] = (),
    *,
    width: float | None = None,
) -> Charts:
    """The charts of a run; without series when no load was generated.

    Where one of the `thresholds` was crossed, the charts have a mark. `width` is that of an interval in seconds, by
    default the one that suits this run.
    """
    width = width or interval_width(journal, window)
    seconds = window.seconds if window else 0.0
    intervals = max(1, int(np.ceil(seconds / width))) if window else 0
    start = window.start if window else 0
    edges = start + np.arange(intervals + 1, dtype=np.int64) * int(width * SECOND)
    steps = _steps(journal, edges, width)
    return Charts(
        start=start / SECOND,
        width=width,
        seconds=seconds,
        x=[round((number + 0.5) * width, 3) for number in range(intervals)],
        steps=steps,
        failures=_failures(journal, edges, width),
        holders=_holders(journal, edges),
        by_host=_by_host(journal, edges, width, [step.name for step in steps]),
        hosts=_generator_charts(journal, edges),
        marks=sorted([*_crossings(thresholds), *_marks(journal, window)], key=lambda mark: mark.at),
    )


def interval_width(journal: Journal, window: Window | None) -> float:
    """The width of an interval in seconds: a round number of them."""
    if window is None:
        return 1.0
    steps = max(1, len(journal.step_names.list))
    wanted = len(journal.steps) / steps / RECORDS_PER_INTERVAL
    narrowest = window.seconds / float(np.clip(wanted, MIN_INTERVALS, MAX_INTERVALS))
    return float(next((width for width in WIDTHS if width >= narrowest), narrowest))


def kind_in_words(kind: str) -> str:
    """The kind of an event for people: "agent died"."""
    return KIND_WORDS.get(kind, kind.replace("_", " "))


def _bucket(time: Integers, edges: Integers) -> Integers:
    """The number of the interval of each time; -1 outside. The last interval includes its right edge."""
    bucket = np.searchsorted(edges, time, side="right") - 1
    bucket[(bucket == len(edges) - 1) & (time == edges[-1])] -= 1
    bucket[bucket >= len(edges) - 1] = -1
    return bucket.astype(np.int64)


def _by_host(journal: Journal, edges: Integers, width: float, steps: list[str]) -> dict[str, LoadCharts]:
    """The charts of each host; empty for a single host, and where they would make the page too large."""
    owner = np.asarray(journal.steps.host)
    numbers = np.unique(owner)
    points = (2 * len(PERCENTILES) + 1) * (len(edges) - 1) + 2 * BINS
    if len(numbers) < 2 or len(numbers) * len(steps) * points > MAX_POINTS:
        return {}
    charts = {}
    for number in numbers:
        here = np.flatnonzero(owner == number)
        by_name = {step.name: step for step in _steps(journal, edges, width, here)}
        charts[journal.hosts.list[number]] = LoadCharts(
            steps=[by_name.get(name) for name in steps],
            failures=_failures(journal, edges, width, here),
            holders=_holders(journal, edges, [number]),
        )
    return charts


def _steps(journal: Journal, edges: Integers, width: float, here: Integers | slice = EVERYTHING) -> list[StepChart]:
    """The charts of the steps (of the records `here`), in the order in which the steps were first due."""
    records = journal.steps
    step, outcome = np.asarray(records.step)[here], np.asarray(records.outcome)[here]
    service_time, response_time = np.asarray(records.service_time)[here], np.asarray(records.response_time)[here]
    end = np.asarray(records.end)[here]
    bucket = _bucket(end, edges)
    intervals = len(edges) - 1
    first_due: list[int] = []
    charts: list[StepChart] = []
    for number, name in enumerate(journal.step_names.list):
        selected = step == number
        if not selected.any():
            continue
        ok = selected & (outcome == OK) & (bucket >= 0)
        failed = selected & (outcome == FAILED) & (bucket >= 0)
        first_due.append(int((end[selected] - response_time[selected] * SECOND).min()))
        charts.append(
            StepChart(
                name=name,
                ok=_rates(bucket[ok], intervals, width),
                failed=_rates(bucket[failed], intervals, width) if failed.any() else None,
                service=_percentiles(bucket[ok], service_time[ok], intervals),
                response=_percentiles(bucket[ok], response_time[ok], intervals),
                distribution=Distributions(
                    service=build_distribution(service_time[ok]), response=build_distribution(response_time[ok])
                ),
            )
        )
    return [charts[number] for number in np.argsort(first_due, kind="stable")]


def _rates(bucket: Integers, intervals: int, width: float) -> Series:
    return _series(np.bincount(bucket, minlength=intervals) / width)


def _percentiles(bucket: Integers, values: Floats, intervals: int) -> dict[str, Series]:
    figures = percentiles_by_bucket(bucket, values, intervals, list(PERCENTILES.values()))
    return {name: _series(series) for name, series in zip(PERCENTILES, figures, strict=True)}


def _failures(
    journal: Journal, edges: Integers, width: float, here: Integers | slice = EVERYTHING
) -> dict[str, dict[str, Series]]:
    """Failures per second of each error class, the most frequent first, by the step that failed."""
    failed = np.asarray(journal.steps.error)[here] >= 0
    error, step, end = (
        np.asarray(column)[here][failed] for column in (journal.steps.error, journal.steps.step, journal.steps.end)
    )
    bucket = _bucket(end, edges)
    counts = np.bincount(error, minlength=len(journal.errors.list))
    return {
        journal.errors.list[number]: {
            journal.step_names.list[which]: _rates(
                bucket[(error == number) & (step == which) & (bucket >= 0)], len(edges) - 1, width
            )
            for which in np.unique(step[error == number])
        }
        for number in np.argsort(-counts, kind="stable")
        if counts[number]
    }


def _holders(journal: Journal, edges: Integers, numbers: list[int] | None = None) -> dict[str, Series]:
    """Active holders and steps in progress at the end of each interval, summed over the hosts (of these numbers)."""
    time, host = np.asarray(journal.load.time), np.asarray(journal.load.host)
    summed: dict[str, Series] = {}
    for name in ("active", "in_flight"):
        values = journal.load.column(name)
        total = np.zeros(len(edges) - 1)
        for number in np.unique(host) if numbers is None else numbers:
            here = (host == number) & np.isfinite(values)
            total += last_values(time[here], values[here], edges[1:])
        summed[name] = _series(total)
    return summed if time.size else {}


def _generator_charts(journal: Journal, edges: Integers) -> dict[str, GeneratorChart]:
    """CPU, memory and lag of each host.

    Where there are several hosts, the first entry is, for each figure and interval, the worst of them.
    """
    load, agent = journal.load, journal.agent
    load_host, agent_host = np.asarray(load.host), np.asarray(agent.host)
    agent_source, agent_cpu = np.asarray(agent.source), agent.column("cpu")
    load_bucket, agent_bucket = _bucket(np.asarray(load.time), edges), _bucket(np.asarray(agent.time), edges)
    intervals = len(edges) - 1
    means = {
        "host": load.column("host_cpu") / np.maximum(load.column("host_cores"), 1),
        "controller": load.column("cpu"),
        "memory": load.column("host_memory_used"),
    }
    maxima = {"lag": load.column("lag_p99"), "loop": load.column("loop_lag_max")}

    figures: dict[str, dict[str, Floats]] = {}
    agents: dict[str, dict[str, Floats]] = {}
    for number, host in enumerate(journal.hosts.list):
        here = load_host == number
        if not here.any():
            continue
        figures[host] = {
            name: _mean(load_bucket[here], values[here], intervals) for name, values in means.items()
        } | {name: _maximum(load_bucket[here], values[here], intervals) for name, values in maxima.items()}
        agents[host] = {}
        for which in np.unique(agent_source[agent_host == number]):
            samples = (agent_host == number) & (agent_source == which)
            agents[host][journal.agents.list[which]] = _mean(agent_bucket[samples], agent_cpu[samples], intervals)

    charts: dict[str, GeneratorChart] = {}
    if len(figures) > 1:
        worst = {name: _worst([series[name] for series in figures.values()]) for name in (*means, *maxima)}
        all_agents = [cpu for by_name in agents.values() for cpu in by_name.values()]
        charts[WORST] = _generator_chart(worst, {"busiest agent": _worst(all_agents)} if all_agents else {})
    return charts | {host: _generator_chart(figures[host], agents[host]) for host in figures}


def _generator_chart(figures: dict[str, Floats], agents: dict[str, Floats]) -> GeneratorChart:
    return GeneratorChart(
        host=_series(figures["host"]),
        controller=_series(figures["controller"]),
        memory=_series(figures["memory"]),
        lag=_series(figures["lag"]),
        loop=_series(figures["loop"]),
        agents={name: _series(values) for name, values in agents.items()},
    )


def _mean(bucket: Integers, values: Floats, intervals: int) -> Floats:
    """The mean of the values in each interval; NaN where there are none."""
    known = (bucket >= 0) & np.isfinite(values)
    counts = np.bincount(bucket[known], minlength=intervals)
    sums = np.bincount(bucket[known], weights=values[known], minlength=intervals)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _maximum(bucket: Integers, values: Floats, intervals: int) -> Floats:
    """The largest of the values in each interval; NaN where there are none."""
    known = (bucket >= 0) & np.isfinite(values)
    figures = np.full(intervals, -np.inf)
    np.maximum.at(figures, bucket[known], values[known])
    return np.where(np.isfinite(figures), figures, np.nan)


def _worst(figures: list[Floats]) -> Floats:
    """The largest at each moment; NaN only where all are."""
    worst: Floats = np.fmax.reduce(np.stack(figures))
    return worst


def _crossings(thresholds: Sequence[ThresholdVerdict]) -> list[Mark]:
    """Since when thresholds were crossed."""
    return [
        Mark(verdict.crossed_after, "threshold", f"crossed: {verdict.text}")
        for verdict in thresholds
        if verdict.crossed_after is not None
    ][:MAX_MARKS]


def _marks(journal: Journal, window: Window | None) -> list[Mark]:
    """Each phase once (when the first host reached it), and the faults and recoveries."""
    if window is None:
        return []
    marks: list[Mark] = []
    seen: set[str] = set()
    for event in sorted(journal.events, key=lambda event: event.time):
        if not window.start <= event.time <= window.end or len(marks) == MAX_MARKS:
            continue
        kind, text = "phase", event.text
        if not event.phase:
            kind = "fault" if event.kind in FAULTS else "note"
            text = f"{kind_in_words(event.kind)}, {event.host}"
        elif event.text in (*seen, Phase.RUNNING):
            continue
        seen.add(event.text)
        marks.append(Mark(window.after(event.time), kind, text))
    return marks


def _series(values: Floats) -> Series:
    return [_rounded(value) for value in values]


def _rounded(value: float) -> float | None:
    """A figure with four significant digits, enough for a chart; None for none."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
