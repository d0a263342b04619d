"""The thresholds of a run, judged exactly: over the raw records of all hosts together.

The figures are those of summary.json: times of the steps that were ok, failed steps as a share of those that were ok
or failed, steps that were ok per second. What was cut off at the end counts as neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stampede import wording
from stampede.analysis.load_window import SECOND, Window
from stampede.load_models import catalog
from stampede.load_models.interface import Plan
from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import FAILED, OK, Journal
from stampede.schema import thresholds
from stampede.schema.phases import Phase
from stampede.schema.thresholds import Threshold

type Floats = NDArray[np.float64]
type Truths = NDArray[np.bool_]


def judge(results: ResultsFolder, journal: Journal, window: Window | None) -> list[dict[str, Any]]:
    """The `thresholds` part of summary.json: each threshold with its figure, and since when it is crossed.

    Settings that are no thresholds are passed over with a note in `results`.
    """
    settings = _settings(results)
    if not settings["thresholds"]:
        return []
    spans = _spans(settings, journal, window) if window else {}
    records = _Records(journal, window) if window else None
    judged = []
    for text in settings["thresholds"]:
        try:
            threshold = thresholds.parse(text)
            found = _figure(threshold, records, *spans[threshold.phase]) if records else None
            judged.append(_judged(threshold, found, window))
        except (ValueError, AttributeError) as error:
            results.notes.append(f"The threshold {text!r} was passed over: {error}.")
    return judged


def unjudged_failures(summary: dict[str, Any]) -> int:
    """How many steps failed that no threshold on errors is about.

    A threshold on errors, of whatever phase, decides on all failures of its step, or of all steps.
    """
    about = {its["step"] for its in summary["thresholds"] if its["metric"] == thresholds.ERRORS}
    return 0 if None in about else sum(its["failed"] for name, its in summary["steps"].items() if name not in about)


def _settings(results: ResultsFolder) -> dict[str, Any]:
    """`thresholds` and the load's `plan`, as run.json or else a host has them."""
    noted: dict[str, Any] = results.run.get("settings") or next(
        (host.run["settings"] for host in results.hosts if isinstance(host.run.get("settings"), dict)), {}
    )
    try:
        plan = catalog.recorded_plan(noted)
    except ValueError as error:
        plan = Plan()
        results.notes.append(str(error))
    texts = noted.get("stampede_thresholds", noted.get("thresholds")) or []
    return {"plan": plan, "thresholds": texts if isinstance(texts, list) else [texts]}


def _spans(settings: dict[str, Any], journal: Journal, window: Window) -> dict[str, tuple[float, float]]:
    """From when to when each phase lasted, in seconds from the start."""
    drains = [event.time for event in journal.events if event.phase == Phase.DRAINING]
    ends = [window.after(min(drains))] if drains else []
    plan: Plan = settings["plan"]
    if plan.duration:
        ends.append(plan.duration)
    return thresholds.spans(plan.steady_after, min(ends, default=None), window.seconds)


def _judged(threshold: Threshold, found: _Figure | None, window: Window | None) -> dict[str, Any]:
    passed = None if found is None else threshold.is_kept_by(found.value)
    crossed_after = found.crossed_after if found and not passed else None
    crossed_at = window.start / SECOND + crossed_after if window and crossed_after is not None else None
    return {
        "text": threshold.text,
        "step": threshold.step,
        "metric": threshold.metric,
        "time": threshold.time,
        "operator": threshold.operator,
        "limit": threshold.limit,
        "unit": threshold.unit,
        "phase": threshold.phase,
        "value": found.value if found else None,
        "passed": passed,
        "crossed_at": wording.moment(crossed_at),
        "crossed_after": crossed_after,
        "sentence": _sentence(threshold, found, passed, crossed_at),
    }


def _sentence(threshold: Threshold, found: _Figure | None, passed: bool | None, crossed_at: float | None) -> str:
    if found is None:
        return f"{threshold.what} could not be judged, no step was there for it; the threshold is {threshold.asked}."
    verb = "were" if threshold.metric == thresholds.ERRORS else "was"
    text = f"{threshold.what} {verb} {threshold.shown(found.value)}, the threshold is {threshold.asked}"
    if passed or crossed_at is None:
        return f"{text}."
    after = wording.duration(found.crossed_after)
    return f"{text}; crossed since {wording.time_of_day(crossed_at)} UTC, {after} after the start."


@dataclass(frozen=True)
class _Figure:
    """A figure at the end of its phase, and since when, if at all, it was beyond the limit without a break.

    At each moment the figure is that of the phase until then. `crossed_after` is in seconds from the run's start.
    """

    value: float
    crossed_after: float


class _Records:
    """The steps of all hosts in the order in which they ended; `end` in seconds from the start of the run."""

    def __init__(self, journal: Journal, window: Window) -> None:
        steps = journal.steps
        end = np.asarray(steps.end)
        order = np.argsort(end, kind="stable")
        self.last = window.seconds
        self.end: Floats = (end[order] - window.start) / SECOND
        self.outcome = np.asarray(steps.outcome)[order]
        self.times = {
            thresholds.SERVICE_TIME: np.asarray(steps.service_time)[order],
            thresholds.RESPONSE_TIME: np.asarray(steps.response_time)[order],
        }
        self._step = np.asarray(steps.step)[order]
        self._numbers = {name: number for number, name in enumerate(journal.step_names.list)}

    def of(self, step: str | None, since: float, until: float) -> Truths:
        """Which records are of a step, or of any, and ended in a span. The last one belongs to the run."""
        its: Truths = (self.end >= since) & ((self.end < until) | (until == self.last))
        return its if step is None else its & (self._step == self._numbers.get(step, -1))


def _figure(threshold: Threshold, records: _Records, since: float, until: float) -> _Figure | None:
    """None when there was nothing to judge."""
    its = records.of(threshold.step, since, until)
    ok, failed = its & (records.outcome == OK), its & (records.outcome == FAILED)
    if threshold.metric == thresholds.THROUGHPUT:
        return _throughput(threshold, records.end[ok], since, until)
    judged = ok | failed if threshold.time is None else ok
    if not judged.any():
        return None
    if threshold.time is None:
        value, beyond = _errors(threshold, failed[judged])
    else:
        value, beyond = _times(threshold, records.times[threshold.time][judged])
    return _Figure(value, float(records.end[judged][_since(beyond)]))


def _since(beyond: Truths) -> int:
    """The first record from which on the figure is beyond the limit; the last record if it only just comes to be."""
    within = np.flatnonzero(~beyond)
    return min(int(within[-1]) + 1 if within.size else 0, len(beyond) - 1)


def _errors(threshold: Threshold, failed: Truths) -> tuple[float, Truths]:
    """The share or number of failures, and after which records it was beyond the limit."""
    figures = np.cumsum(failed, dtype=np.float64)
    if threshold.unit:
        figures *= 100 / np.arange(1, len(failed) + 1)
    return float(figures[-1]), ~threshold.is_kept_by(figures)


def _times(threshold: Threshold, times: Floats) -> tuple[float, Truths]:
    """A mean, maximum or percentile, and after which records it was beyond the limit."""
    if threshold.metric == thresholds.MAX:
        figures = np.maximum.accumulate(times)
        return float(figures[-1]), ~threshold.is_kept_by(figures)
    counts = np.arange(1, len(times) + 1)
    if threshold.quantile is None:
        return float(times.mean()), ~threshold.is_kept_by(np.cumsum(times) / counts)
    beyond = _percentile_beyond(threshold, threshold.quantile, times)
    return float(np.percentile(times, 100 * threshold.quantile)), beyond


def _percentile_beyond(threshold: Threshold, quantile: float, times: Floats) -> Truths:
    """After which records a percentile was beyond the limit, without sorting at each of them.

    It lies between the records of two ranks. When both are on one side of the limit, so is the percentile; else they
    are the longest time within the limit and the shortest beyond it, and it is interpolated between these.
    """
    kept = threshold.is_kept_by(times)
    within = np.cumsum(kept)
    rank, share = np.divmod(np.arange(len(times)) * quantile, 1)
    longest = np.maximum.accumulate(np.where(kept, times, 0.0))
    shortest = np.minimum.accumulate(np.where(kept, np.inf, times))
    between = (rank == within - 1) & (share > 0) & np.isfinite(shortest)
    shortest = np.where(between, shortest, 0.0)
    interpolated = longest + share * (shortest - longest)
    beyond: Truths = (rank >= within) | (between & ~threshold.is_kept_by(interpolated))
    return beyond


def _throughput(threshold: Threshold, ends: Floats, since: float, until: float) -> _Figure | None:
    """Between two steps the throughput sinks, so it may come to be too low at any moment."""
    if until <= since:
        return None
    at_ends = np.arange(1, len(ends) + 1) / np.maximum(ends - since, 1e-9)
    reached = np.flatnonzero(threshold.is_kept_by(at_ends))
    enough_for = (int(reached[-1]) + 1) / threshold.limit if reached.size else 0.0
    return _Figure(len(ends) / (until - since), min(since + enough_for, until))
