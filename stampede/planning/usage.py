"""What the processes of a run used, and which steps were under way, in intervals of its load."""

from __future__ import annotations

import numpy as np

from stampede.analysis.load_window import SECOND, Window
from stampede.planning.step_costs import Floats, Observed
from stampede.results.journal_columns import JournalColumns, Samples
from stampede.schema.phases import Phase

INTERVAL = 5.0
"""Seconds; agents are sampled as often."""
MOST_PROCESSES = 1_000_000
SHORTEST = 1e-3
"""Seconds that a step takes at least, to be spread over."""


def edges_between(begin: float, end: float) -> Floats:
    """The edges of equal intervals from ``begin`` to ``end``, in seconds, of about INTERVAL each."""
    return np.linspace(begin, end, max(1, round((end - begin) / INTERVAL)) + 1)


def observe(
    journal: JournalColumns, window: Window, samples: Samples, edges: Floats, host: str | None = None
) -> Observed:
    """Steps and CPU between ``edges``, which are seconds from the beginning of ``window``. ``samples``: those of the
    agents or of the controllers. ``host``: of one host only."""
    number = None if host is None else journal.hosts.number(host)
    cpu, there = _cpu_seconds(window, samples, edges, number)
    return Observed(tuple(journal.step_names.list), steps_done(journal, window, edges, number), cpu, there)


def steps_done(journal: JournalColumns, window: Window, edges: Floats, host: int | None = None) -> Floats:
    """How many steps of each name fall between ``edges``: one that lasted across an edge counts for either side by
    how long it was there."""
    records = journal.steps
    name, of_host = np.asarray(records.step), np.asarray(records.host)
    end = (np.asarray(records.end) - window.start) / SECOND
    lasted = np.maximum(np.asarray(records.service_time), SHORTEST)
    columns = []
    for step in range(len(journal.step_names.list)):
        here = (name == step) & (host is None or of_host == host)
        columns.append(np.diff(_done_until(end[here] - lasted[here], end[here], edges)))
    return np.column_stack(columns) if columns else np.zeros((len(edges) - 1, 0))


def _done_until(begin: Floats, end: Floats, moments: Floats) -> Floats:
    """How many of what lasted from ``begin`` to ``end`` had been done until each moment, evenly over that time."""
    times = np.concatenate([begin, end])
    slope = np.concatenate([1 / (end - begin), -1 / (end - begin)])
    order = np.argsort(times, kind="stable")
    times, slope = times[order], np.cumsum(slope[order])
    if not times.size:
        return np.zeros(len(moments))
    done = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(times))])
    found: Floats = np.interp(moments, times, done)
    return found


def _cpu_seconds(window: Window, samples: Samples, edges: Floats, host: int | None) -> tuple[Floats, Floats]:
    """CPU seconds of all processes between ``edges``, and the seconds for which they were seen, added up."""
    time = (np.asarray(samples.time) - window.start) / SECOND
    cpu, of_host, source = samples.column("cpu"), np.asarray(samples.host), np.asarray(samples.source)
    used, seen = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    for process in {*zip(of_host.tolist(), source.tolist(), strict=True)}:
        here = (of_host == process[0]) & (source == process[1]) & np.isfinite(cpu)
        if (host is not None and process[0] != host) or here.sum() < 2:
            continue
        order = np.argsort(time[here], kind="stable")
        moments, cores = time[here][order], cpu[here][order]
        until = np.concatenate([[0.0], np.cumsum(cores[1:] * np.diff(moments))])  # a sample is of the time before it
        used += np.diff(np.interp(edges, moments, until))
        seen += np.diff(np.clip(edges, moments[0], moments[-1]))
    return used, seen


def idle_cores(journal: JournalColumns, window: Window, samples: Samples) -> float | None:
    """Cores that a process used on average while all was ready and the load had not begun, by the samples that are
    about that time alone; None when there are none."""
    ready = [event.time for event in journal.events if event.phase == Phase.ARMED and event.time < window.start]
    if not ready:
        return None
    time, cpu = np.asarray(samples.time), samples.column("cpu")
    of_process = np.asarray(samples.host) * MOST_PROCESSES + np.asarray(samples.source)
    found: list[float] = []
    for process in np.unique(of_process):
        here = np.flatnonzero(of_process == process)
        here = here[np.argsort(time[here], kind="stable")]
        whole = (time[here][:-1] >= max(ready)) & (time[here][1:] <= window.start)
        found += cpu[here][1:][whole & np.isfinite(cpu[here][1:])].tolist()
    return float(np.mean(found)) if found else None


def peak_sum(samples: Samples, column: str) -> float | None:
    """The highest sum of a column over all processes, each at its own highest; None when there are no samples."""
    values, of_host, source = samples.column(column), np.asarray(samples.host), np.asarray(samples.source)
    peaks: dict[tuple[int, int], float] = {}
    for process, value in zip(zip(of_host.tolist(), source.tolist(), strict=True), values.tolist(), strict=True):
        if np.isfinite(value):
            peaks[process] = max(value, peaks.get(process, 0.0))
    return sum(peaks.values()) if peaks else None


def processes(samples: Samples) -> int:
    """How many processes there are samples of."""
    return len({*zip(samples.host, samples.source, strict=True)})
