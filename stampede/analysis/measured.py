"""From when to when each phase of a run lasted, and its measured part: the run without its warm-up and cool-down."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from stampede.analysis.load_window import SECOND, Window
from stampede.analysis.next_stages import next_stages
from stampede.load_models import catalog
from stampede.load_models.interface import Plan
from stampede.load_models.profile import recorded_seconds
from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import JournalColumns, Observations, Steps
from stampede.schema.margins import Margins
from stampede.schema.phases import Phase
from stampede.schema.settings import thresholds

type Spans = dict[str, tuple[float, float]]
"""By the phases that thresholds name, in seconds from the start."""


def find_spans(results: ResultsFolder, journal: JournalColumns, window: Window) -> Spans:
    """The spans of a run. Settings that cannot be read are ignored with a note in `results`."""
    try:
        cuts = next_stages(journal)
        plans = [(0.0, catalog.recorded_plan(results.settings))]
        plans += [
            (cut, catalog.recorded_plan(results.settings, cuts[: number + 1])) for number, cut in enumerate(cuts)
        ]
        margins = Margins(*(recorded_seconds(results.settings, name) for name in ("warm_up", "cool_down")))
    except ValueError as error:
        results.notes.append(str(error))
        plans, margins = [(0.0, Plan())], Margins()
    cool_down_begins = math.inf
    for since, plan in plans:
        cool_down_begins = margins.cool_down_begins(plan.duration, since=since, before=cool_down_begins)
    _, plan = plans[-1]
    drains = [event.time for event in journal.events if event.phase == Phase.DRAINING]
    ends = [window.after(min(drains))] if drains else []
    if plan.duration:
        ends.append(plan.duration)
    return thresholds.spans(
        plan.steady_after,
        min(ends, default=None),
        window.seconds,
        warm_up=margins.warm_up,
        cool_down_begins=cool_down_begins,
    )


@dataclass(frozen=True)
class Measured:
    """The measured part of a run: when it was, and the journal with those steps, checks and measures alone that ended
    in it.

    `window` is None when no load was generated. `spans` are those of the whole run.
    """

    window: Window | None
    journal: JournalColumns
    spans: Spans


def find_measured(results: ResultsFolder, journal: JournalColumns, whole: Window | None) -> Measured:
    """The run without its warm-up and cool-down; the whole of it when it has none."""
    if whole is None:
        return Measured(None, journal, {})
    spans = find_spans(results, journal, whole)
    since, until = spans[thresholds.RUN]
    start = whole.start + round(since * SECOND)
    end = whole.end if until >= whole.seconds else whole.start + round(until * SECOND)
    part = Window(start, end)
    if part == whole:
        return Measured(whole, journal, spans)
    within = replace(
        journal,
        steps=_within(journal.steps, part, whole),
        checks=_within(journal.checks, part, whole),
        measures=_within(journal.measures, part, whole),
    )
    return Measured(part, within, spans)


def _within[Columns: (Steps, Observations)](records: Columns, part: Window, whole: Window) -> Columns:
    """Those records that ended in a part of the run. What follows the last step belongs to the last part, unless
    that has no length."""
    end = np.asarray(records.end)
    here = (end >= part.start) & ((end < part.end) | (part.start < part.end == whole.end))
    found = type(records)()
    for name, column in vars(found).items():
        column.frombytes(np.asarray(getattr(records, name))[here].tobytes())
    return found
