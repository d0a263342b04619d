"""The thresholds of a run, judged exactly: over the raw records of all hosts together.

The figures are those of summary.json: times of the steps that ended ok, failed steps as a share of those that ended
ok or failed, steps that ended ok per second. Interrupted steps count as neither. Checks and measures are those of all
holders.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stampede import wording
from stampede.analysis.load_window import SECOND, Window
from stampede.analysis.measured import Spans
from stampede.analysis.percentiles import percentile
from stampede.fleet.enough import too_little
from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import FAILED, OK, JournalColumns, Names, Observations, Steps
from stampede.schema.settings import thresholds
from stampede.schema.settings.thresholds import Said, Threshold
from stampede.schema.summary import FailedPart, Summary, ThresholdVerdict

type Floats = NDArray[np.float64]
type Truths = NDArray[np.bool_]


def judge_thresholds(
    results: ResultsFolder,
    journal: JournalColumns,
    window: Window | None,
    spans: Spans,
    *,
    of_a_level: bool = False,
) -> list[ThresholdVerdict]:
    """The `thresholds` part of summary.json: each threshold with its figure, and since when it is crossed.

    With ``of_a_level`` they are judged as a search judges its levels: not by a few steps.

    Settings that are not thresholds are ignored with a note in `results`.
    """
    asked = texts(results)
    records = Records(journal, window) if window and asked else None
    is_part = window is not None and spans[thresholds.RUN] != (0.0, window.seconds)
    verdicts = []
    for text in asked:
        try:
            threshold = thresholds.parse(text)
            figure, lacking = None, ""
            if records:
                since, until = spans[threshold.phase]
                figure = figure_of(threshold, records, since, until)
                lacking = too_little(threshold, figure.counted, until - since) if figure and of_a_level else ""
            verdicts.append(_verdict(threshold, figure, window, lacking, is_part=is_part))
        except (ValueError, AttributeError) as error:
            results.notes.append(f"The threshold {text!r} was ignored: {error}.")
    return verdicts


def uncovered_failures(summary: Summary) -> dict[str, int]:
    """How many of each step failed, without the steps whose failures a threshold on errors covers.

    A threshold on errors, in whatever phase, covers all failures of its step, or those of all steps, in its script
    and its group. A search has found which load holds, and its failures are those of loads that do not. Failures in
    the warm-up or the cool-down count like any other.
    """
    if summary.search:
        return {}
    covering = [
        thresholds.parse(verdict.text) for verdict in summary.thresholds if verdict.metric == thresholds.ERRORS
    ]
    counted = summary.failed_parts or [
        FailedPart(name, "", "", counts.failed) for name, counts in summary.counts.items() if counts.failed
    ]
    uncovered: Counter[str] = Counter()
    for part in counted:
        said = Said(thresholds.STEP, part.step, part.script, part.group)
        if not any(threshold.is_about(said) for threshold in covering):
            uncovered[part.step] += part.failed
    return dict(uncovered)


def texts(results: ResultsFolder) -> list[Any]:
    """The setting `thresholds`."""
    texts = results.settings.get("stampede_thresholds", results.settings.get("thresholds")) or []
    return texts if isinstance(texts, list) else [texts]


def _verdict(
    threshold: Threshold, figure: Figure | None, window: Window | None, lacking: str, *, is_part: bool
) -> ThresholdVerdict:
    """``lacking``: by how little it cannot be judged. ``is_part``: whether a part of the run alone is measured."""
    passed = None if figure is None or lacking else threshold.is_kept_by(figure.value)
    crossed_after = figure.crossed_after if figure and passed is False else None
    crossed_at = window.start / SECOND + crossed_after if window and crossed_after is not None else None
    return ThresholdVerdict(
        text=threshold.text,
        step=threshold.step,
        metric=threshold.metric,
        time=threshold.time,
        operator=threshold.operator,
        limit=threshold.limit,
        unit=threshold.unit,
        phase=threshold.phase,
        value=figure.value if figure else None,
        passed=passed,
        crossed_at=wording.moment(crossed_at),
        crossed_after=crossed_after,
        sentence=_sentence(threshold, figure, passed, crossed_at, lacking, is_part=is_part),
        check=threshold.check,
        measure=threshold.measure,
        script=threshold.script,
        group=threshold.group,
    )


def _sentence(
    threshold: Threshold,
    figure: Figure | None,
    passed: bool | None,
    crossed_at: float | None,
    lacking: str,
    *,
    is_part: bool,
) -> str:
    kind, _ = threshold.subject or (thresholds.STEP, "")
    if figure is None:
        when = " in the measured part of the run" if is_part and threshold.phase == thresholds.RUN else ""
        return (
            f"{threshold.what} could not be judged because no such {kind} was recorded{when}; "
            f"the threshold is {threshold.asked}."
        )
    if lacking:
        return f"{threshold.what} cannot be judged by {lacking}; the threshold is {threshold.asked}."
    verb = {thresholds.ERRORS: "were", thresholds.PASSED: "in"}.get(threshold.metric, "was")
    text = f"{threshold.what} {verb} {threshold.shown(figure.value)}, the threshold is {threshold.asked}"
    if passed or crossed_at is None:
        return f"{text}."
    after = wording.duration(figure.crossed_after)
    return f"{text}; crossed since {wording.time_of_day(crossed_at)} UTC, {after} after the start."


@dataclass(frozen=True)
class Figure:
    """A figure at the end of its phase, and since when, if at all, it was beyond the limit without interruption.

    At each moment the figure is that of the phase until then. `crossed_after` is in seconds from the start.
    """

    value: float
    crossed_after: float
    counted: int
    """Steps, checks or values that it is of."""


class _Place:
    """The script and the group of records, in some order."""

    def __init__(self, records: Steps | Observations, order: NDArray[np.int64], journal: JournalColumns) -> None:
        self._script, self._group = np.asarray(records.script)[order], np.asarray(records.group)[order]
        self._scripts, self._groups = journal.scripts.list, journal.groups.list

    def of(self, threshold: Threshold, selected: Truths) -> Truths:
        """Those of the selected records that are of the threshold's script and group."""
        for name, names, numbers in (
            (threshold.script, self._scripts, self._script),
            (threshold.group, self._groups, self._group),
        ):
            if name:
                selected = selected & (numbers == (names.index(name) if name in names else -1))
        return selected


class Observed:
    """The checks or the measures of all hosts in the order in which they were recorded; `end` as in Records."""

    def __init__(self, records: Observations, names: Names, journal: JournalColumns, window: Window) -> None:
        end = np.asarray(records.end)
        order = np.argsort(end, kind="stable")
        self.end: Floats = (end[order] - window.start) / SECOND
        self.value: Floats = np.asarray(records.value)[order]
        self._name = np.asarray(records.name)[order]
        self._place = _Place(records, order, journal)
        self._numbers = {name: number for number, name in enumerate(names.list)}
        self._last = window.seconds

    def select(self, threshold: Threshold, since: float, until: float) -> Truths:
        """Which records of a span a threshold is about. What follows the last step is part of the last span, unless
        that has no length."""
        within: Truths = (self.end >= since) & ((self.end < until) | (since < until == self._last))
        name = self._numbers.get(threshold.check or threshold.measure, -1)
        return self._place.of(threshold, within & np.asarray(self._name == name))


class Records:
    """The steps of all hosts in the order in which they ended; `end` in seconds from the start of the run."""

    def __init__(self, journal: JournalColumns, window: Window) -> None:
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
        self.checks = Observed(journal.checks, journal.check_names, journal, window)
        self.measures = Observed(journal.measures, journal.measure_names, journal, window)
        self._step = np.asarray(steps.step)[order]
        self._place = _Place(steps, order, journal)
        self._numbers = {name: number for number, name in enumerate(journal.step_names.list)}

    def select(self, threshold: Threshold | None, since: float, until: float) -> Truths:
        """Which records that ended in a span a threshold is about, or all of the span. The last record of the run is
        part of a span that ends with it, unless that has no length."""
        selected: Truths = (self.end >= since) & ((self.end < until) | (since < until == self.last))
        if threshold is None:
            return selected
        if threshold.step is not None:
            selected &= self._step == self._numbers.get(threshold.step, -1)
        return self._place.of(threshold, selected)


def figure_of(threshold: Threshold, records: Records, since: float, until: float) -> Figure | None:
    """A threshold's figure over a span; None when there was nothing to judge."""
    if threshold.check or threshold.measure:
        observed = records.checks if threshold.check else records.measures
        here = observed.select(threshold, since, until)
        if not here.any():
            return None
        value, beyond = (_passed if threshold.check else _measured)(threshold, observed.value[here])
        return Figure(value, float(observed.end[here][_crossing(beyond)]), int(here.sum()))
    selected = records.select(threshold, since, until)
    ok, failed = selected & (records.outcome == OK), selected & (records.outcome == FAILED)
    if threshold.metric == thresholds.THROUGHPUT:
        return _throughput(threshold, records.end[ok], since, until)
    judged = ok | failed if threshold.time is None else ok
    if not judged.any():
        return None
    if threshold.time is None:
        value, beyond = _errors(threshold, failed[judged])
    else:
        value, beyond = _times(threshold, records.times[threshold.time][judged])
    return Figure(value, float(records.end[judged][_crossing(beyond)]), int(judged.sum()))


def _crossing(beyond: Truths) -> int:
    """The first record from which on the figure stays beyond the limit; the last one if it only then exceeds it."""
    within = np.flatnonzero(~beyond)
    return min(int(within[-1]) + 1 if within.size else 0, len(beyond) - 1)


def _errors(threshold: Threshold, failed: Truths) -> tuple[float, Truths]:
    """The share or number of failures, and after which records it was beyond the limit."""
    figures = np.cumsum(failed, dtype=np.float64)
    if threshold.unit:
        figures *= 100 / np.arange(1, len(failed) + 1)
    return float(figures[-1]), ~threshold.is_kept_by(figures)


def _passed(threshold: Threshold, passed: Floats) -> tuple[float, Truths]:
    """The share of checks that passed, and after which it was beyond the limit."""
    figures = 100 * np.cumsum(passed) / np.arange(1, len(passed) + 1)
    return float(figures[-1]), ~threshold.is_kept_by(figures)


def _measured(threshold: Threshold, values: Floats) -> tuple[float, Truths]:
    """A figure of a measure, and after which values it was beyond the limit."""
    if threshold.metric == thresholds.MIN:
        figures = np.minimum.accumulate(values)
        return float(figures[-1]), ~threshold.is_kept_by(figures)
    if threshold.quantile is None or threshold.operator.startswith("<"):
        return _times(threshold, values)
    # A percentile above its limit is one of the negative values below the negative limit.
    turned = replace(threshold, operator=threshold.operator.replace(">", "<"), limit=-threshold.limit)
    beyond = _percentile_beyond(turned, 1 - threshold.quantile, -values)
    return percentile(values, 100 * threshold.quantile), beyond


def _times(threshold: Threshold, times: Floats) -> tuple[float, Truths]:
    """A mean, maximum or percentile, and after which records it was beyond the limit."""
    if threshold.metric == thresholds.MAX:
        figures = np.maximum.accumulate(times)
        return float(figures[-1]), ~threshold.is_kept_by(figures)
    counts = np.arange(1, len(times) + 1)
    if threshold.quantile is None:
        return float(times.mean()), ~threshold.is_kept_by(np.cumsum(times) / counts)
    beyond = _percentile_beyond(threshold, threshold.quantile, times)
    return percentile(times, 100 * threshold.quantile), beyond


def _percentile_beyond(threshold: Threshold, quantile: float, times: Floats) -> Truths:
    """After which records a percentile was beyond the limit, without sorting at each of them.

    A percentile lies between the records of two ranks. When both are on one side of the limit, so is the percentile;
    else they are the longest time within the limit and the shortest beyond it, and it is interpolated between these.
    """
    kept = threshold.is_kept_by(times)
    within = np.cumsum(kept)
    rank, share = np.divmod(np.arange(len(times)) * quantile, 1)
    longest = np.maximum.accumulate(np.where(kept, times, -np.inf))
    shortest = np.minimum.accumulate(np.where(kept, np.inf, times))
    between = (rank == within - 1) & (share > 0) & np.isfinite(shortest)
    longest, shortest = np.where(between, longest, 0.0), np.where(between, shortest, 0.0)
    interpolated = longest + share * (shortest - longest)
    beyond: Truths = (rank >= within) | (between & ~threshold.is_kept_by(interpolated))
    return beyond


def _throughput(threshold: Threshold, ends: Floats, since: float, until: float) -> Figure | None:
    """Between two steps the throughput falls, so it may become too low at any moment."""
    if until <= since:
        return None
    at_ends = np.arange(1, len(ends) + 1) / np.maximum(ends - since, 1e-9)
    reached = np.flatnonzero(threshold.is_kept_by(at_ends))
    enough_for = (int(reached[-1]) + 1) / threshold.limit if reached.size else 0.0
    return Figure(len(ends) / (until - since), min(since + enough_for, until), len(ends))
