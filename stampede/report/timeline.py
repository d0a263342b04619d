"""The run over time, as the charts of the page show it: every figure in buckets of equal width.

A bucket is wide enough for at most 300 of them in a run, so the page's size does not depend on the number of
records. Percentiles of a bucket are exact over its records; nothing is interpolated between buckets.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stampede.analysis.host_outcomes import held
from stampede.analysis.load_window import SECOND, Window
from stampede.report import distribution
from stampede.results.journal_columns import FAILED, OK, Journal

MOST_BUCKETS = 300
FEWEST_BUCKETS = 60  # where records are few, buckets are wider, so that a percentile is one of several records
RECORDS_PER_BUCKET = 10  # of each step, on average, that is aimed at
WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
PERCENTILES = (50, 95, 99, 100)
PERCENTILE_NAMES = ("p50", "p95", "p99", "max")
BINS = 60  # of a step's distribution, roughly
MOST_MARKS = 150
FAULTS = ("agent_died", "disk_full", "journal_lost", "unreachable", "lost", "died", "broke_off", "not_collected")
WORST = "all hosts"
MOST_POINTS = (
    400_000  # of the charts of single hosts, about 2.5 MB; a run with more has the charts of all hosts alone
)

type Floats = NDArray[np.float64]
type Whole = NDArray[np.int64]
EVERYTHING = slice(None)

type Series = list[float | None]


def chart(
    journal: Journal,
    window: Window | None,
    thresholds: Sequence[dict[str, Any]] = (),
    *,
    width: float | None = None,
) -> dict[str, Any]:
    """What the page's charts draw; empty series when no load was made.

    `x` are the middles of the buckets in seconds from the start; rates are per second, times in seconds,
    CPU in cores for processes and as a share of all cores for hosts; null where nothing was recorded.
    `thresholds` are those of summary.json; where one was crossed, the charts have a mark. `width` is that of a
    bucket in seconds, when it is not to be the one that suits this run.
    """
    width = width or bucket_width(journal, window)
    seconds = window.seconds if window else 0.0
    buckets = max(1, int(np.ceil(seconds / width))) if window else 0
    start = window.start if window else 0
    edges = start + np.arange(buckets + 1, dtype=np.int64) * int(width * SECOND)
    steps = _steps(journal, edges, width)
    return {
        "start": start / SECOND,
        "width": width,
        "seconds": seconds,
        "x": [round((number + 0.5) * width, 3) for number in range(buckets)],
        "steps": steps,
        "failures": _failures(journal, edges, width),
        "holders": _holders(journal, edges),
        "by_host": _by_host(journal, edges, width, [step["name"] for step in steps]),
        "hosts": _hosts(journal, edges),
        "marks": sorted([*_crossed(thresholds), *_marks(journal, window)], key=lambda mark: mark["at"]),
    }


def bucket_width(journal: Journal, window: Window | None) -> float:
    """The width of a bucket in seconds: a round number of them."""
    if window is None:
        return 1.0
    kinds = max(1, len(journal.step_names.list))
    wished = len(journal.steps) / kinds / RECORDS_PER_BUCKET
    least = window.seconds / float(np.clip(wished, FEWEST_BUCKETS, MOST_BUCKETS))
    return float(next((width for width in WIDTHS if width >= least), least))


def _bucket(time: Whole, edges: Whole) -> Whole:
    """The number of the bucket of each time; -1 outside. The last bucket holds its right edge."""
    bucket = np.searchsorted(edges, time, side="right") - 1
    bucket[(bucket == len(edges) - 1) & (time == edges[-1])] -= 1
    bucket[bucket >= len(edges) - 1] = -1
    return bucket.astype(np.int64)


def _by_host(journal: Journal, edges: Whole, width: float, steps: list[str]) -> dict[str, dict[str, Any]]:
    """Steps (in the order of `steps`, null for one that it did not do), failures and holders of each host.

    Empty for a single host, and where they would make the page too large.
    """
    owner = np.asarray(journal.steps.host)
    numbers = np.unique(owner)
    points = (2 * len(PERCENTILES) + 1) * (len(edges) - 1) + 2 * BINS
    if len(numbers) < 2 or len(numbers) * len(steps) * points > MOST_POINTS:
        return {}
    shown = {}
    for number in numbers:
        here = np.flatnonzero(owner == number)
        its = {step["name"]: step for step in _steps(journal, edges, width, here)}
        shown[journal.hosts.list[number]] = {
            "steps": [its.get(name) for name in steps],
            "failures": _failures(journal, edges, width, here),
            "holders": _holders(journal, edges, [number]),
        }
    return shown


def _steps(journal: Journal, edges: Whole, width: float, here: Whole | slice = EVERYTHING) -> list[dict[str, Any]]:
    records = journal.steps
    step, outcome = np.asarray(records.step)[here], np.asarray(records.outcome)[here]
    service_time, response_time = np.asarray(records.service_time)[here], np.asarray(records.response_time)[here]
    end = np.asarray(records.end)[here]
    bucket = _bucket(end, edges)
    buckets = len(edges) - 1
    firsts: list[int] = []
    series: list[dict[str, Any]] = []
    for number, name in enumerate(journal.step_names.list):
        its = step == number
        if not its.any():
            continue
        ok = its & (outcome == OK) & (bucket >= 0)
        failed = its & (outcome == FAILED) & (bucket >= 0)
        firsts.append(int((end[its] - response_time[its] * SECOND).min()))
        series.append(
            {
                "name": name,
                "ok": _rates(bucket[ok], buckets, width),
                "failed": _rates(bucket[failed], buckets, width) if failed.any() else None,
                "service": percentiles(bucket[ok], service_time[ok], buckets),
                "response": percentiles(bucket[ok], response_time[ok], buckets),
                "distribution": {
                    "service": distribution.of(service_time[ok]),
                    "response": distribution.of(response_time[ok]),
                },
            }
        )
    return [series[number] for number in np.argsort(firsts, kind="stable")]


def _rates(bucket: Whole, buckets: int, width: float) -> Series:
    return _series(np.bincount(bucket, minlength=buckets) / width)


def percentiles(bucket: Whole, values: Floats, buckets: int) -> dict[str, Series]:
    """p50, p95, p99 and max of the values in each bucket, with linear interpolation; None for empty buckets."""
    order = np.lexsort((values, bucket))
    values = values[order]
    counts = np.bincount(bucket, minlength=buckets)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    filled = counts > 0
    result: dict[str, Series] = {}
    for name, percentile in zip(PERCENTILE_NAMES, PERCENTILES, strict=True):
        place = (counts[filled] - 1) * (percentile / 100)
        low = np.floor(place).astype(np.int64)
        high = np.ceil(place).astype(np.int64)
        below, above = values[first[filled] + low], values[first[filled] + high]
        figures = np.full(buckets, np.nan)
        figures[filled] = below + (above - below) * (place - low)
        result[name] = _series(figures)
    return result


def _failures(
    journal: Journal, edges: Whole, width: float, here: Whole | slice = EVERYTHING
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


def _holders(journal: Journal, edges: Whole, numbers: list[int] | None = None) -> dict[str, Series]:
    """Active holders and steps under way at the end of each bucket, summed over the hosts (of these numbers)."""
    time, host = np.asarray(journal.load.time), np.asarray(journal.load.host)
    summed: dict[str, Series] = {}
    for name in ("active", "in_flight"):
        values = journal.load.column(name)
        total = np.zeros(len(edges) - 1)
        for number in np.unique(host) if numbers is None else numbers:
            here = (host == number) & np.isfinite(values)
            total += held(time[here], values[here], edges[1:])
        summed[name] = _series(total)
    return summed if time.size else {}


def _hosts(journal: Journal, edges: Whole) -> dict[str, dict[str, Any]]:
    """Processors, memory (means over a bucket) and lag (maxima) of each host.

    Where there are several hosts, the first entry is, for each figure and bucket, the worst of them.
    """
    load, agent = journal.load, journal.agent
    load_host, agent_host = np.asarray(load.host), np.asarray(agent.host)
    agent_source, agent_cpu = np.asarray(agent.source), agent.column("cpu")
    load_bucket, agent_bucket = _bucket(np.asarray(load.time), edges), _bucket(np.asarray(agent.time), edges)
    buckets = len(edges) - 1
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
        figures[host] = {name: _mean(load_bucket[here], values[here], buckets) for name, values in means.items()} | {
            name: _maximum(load_bucket[here], values[here], buckets) for name, values in maxima.items()
        }
        agents[host] = {}
        for which in np.unique(agent_source[agent_host == number]):
            its = (agent_host == number) & (agent_source == which)
            agents[host][journal.agents.list[which]] = _mean(agent_bucket[its], agent_cpu[its], buckets)

    shown: dict[str, dict[str, Any]] = {}
    if len(figures) > 1:
        worst = {name: _worst([its[name] for its in figures.values()]) for name in (*means, *maxima)}
        every_agent = [cpu for its in agents.values() for cpu in its.values()]
        shown[WORST] = _listed(worst, {"busiest agent": _worst(every_agent)} if every_agent else {})
    return shown | {host: _listed(figures[host], agents[host]) for host in figures}


def _listed(figures: dict[str, Floats], agents: dict[str, Floats]) -> dict[str, Any]:
    return {name: _series(values) for name, values in figures.items()} | {
        "agents": {name: _series(values) for name, values in agents.items()}
    }


def _mean(bucket: Whole, values: Floats, buckets: int) -> Floats:
    """The mean of the values in each bucket; NaN where there are none."""
    known = (bucket >= 0) & np.isfinite(values)
    counts = np.bincount(bucket[known], minlength=buckets)
    sums = np.bincount(bucket[known], weights=values[known], minlength=buckets)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _maximum(bucket: Whole, values: Floats, buckets: int) -> Floats:
    """The largest of the values in each bucket; NaN where there are none."""
    known = (bucket >= 0) & np.isfinite(values)
    figures = np.full(buckets, -np.inf)
    np.maximum.at(figures, bucket[known], values[known])
    return np.where(np.isfinite(figures), figures, np.nan)


def _worst(figures: list[Floats]) -> Floats:
    """The largest at each moment; NaN only where all are."""
    worst: Floats = np.fmax.reduce(np.stack(figures))
    return worst


def _crossed(thresholds: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where thresholds were crossed first."""
    return [
        {"at": its["crossed_after"], "kind": "threshold", "text": f"crossed: {its['text']}"}
        for its in thresholds
        if its["crossed_after"] is not None
    ][:MOST_MARKS]


def _marks(journal: Journal, window: Window | None) -> list[dict[str, Any]]:
    """What the charts mark: each phase once (when the first host came to it), and the faults and recoveries."""
    if window is None:
        return []
    marks: list[dict[str, Any]] = []
    seen: set[str] = set()
    for event in sorted(journal.events, key=lambda event: event.time):
        if not window.start <= event.time <= window.end or len(marks) == MOST_MARKS:
            continue
        kind, text = "phase", event.text
        if event.kind != "phase":
            kind = "fault" if event.kind in FAULTS else "note"
            text = f"{event.kind.replace('_', ' ')}, {event.host}"
        elif event.text in (*seen, "running"):
            continue
        seen.add(event.text)
        marks.append({"at": window.after(event.time), "kind": kind, "text": text})
    return marks


def _series(values: Floats) -> Series:
    return [_short(value) for value in values]


def _short(value: float) -> float | None:
    """A figure with four significant digits, enough for a chart; None for none."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
