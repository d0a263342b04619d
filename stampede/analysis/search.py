"""What a search found: each level judged exactly, over the raw records of all hosts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stampede import wording
from stampede.analysis import scalability, threshold_verdicts
from stampede.analysis.active_holders import active_by_second
from stampede.analysis.load_window import Window
from stampede.analysis.threshold_verdicts import Floats, Records, Truths
from stampede.fleet.enough import absent, too_little
from stampede.load_models import catalog, ladder
from stampede.load_models.ladder import Tried
from stampede.load_models.search import Pace, Search, recorded_pace
from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import FAILED, OK, JournalColumns
from stampede.schema.records import EventKind
from stampede.schema.settings import thresholds
from stampede.schema.settings.thresholds import Threshold
from stampede.schema.summary import LevelFigure, LevelSummary, SearchSummary


def build_search(results: ResultsFolder, journal: JournalColumns, window: Window | None) -> SearchSummary | None:
    """The `search` part of summary.json; None for a run that was no search."""
    if catalog.recorded_model(results.settings) is not Search or window is None:
        return None
    try:
        pace = recorded_pace(catalog.recorded_load(results.settings))
    except ValueError as error:
        results.notes.append(f"The search was not evaluated: {error}.")
        return None
    asked = []
    for text in threshold_verdicts.texts(results):
        try:
            asked.append(thresholds.parse(text))
        except (ValueError, AttributeError):
            continue  # of which threshold_verdicts tells
    records = Records(journal, window)
    changes = _changes(journal, window)
    active = active_by_second(journal, window)
    levels: list[LevelSummary] = []
    measured: list[scalability.Measured] = []
    for place, change in enumerate(changes):
        confirms = any(before.holders == change.holders for before in levels)
        since = change.after + pace.settle
        until = min(
            since + pace.judged(confirms=confirms),
            changes[place + 1].after if place + 1 < len(changes) else window.seconds,
        )
        here = records.select(None, since, until)
        there = np.zeros(0) if active is None else active[math.ceil(since) : max(0, int(until))]
        missing = absent(change.holders, float(there.mean())) if there.size else ""
        levels.append(_level(change, confirms, asked, records, here, since, until, pace, missing))
        ends = records.end[here & (records.outcome == OK)]
        if not missing:
            measured.append(scalability.Measured(change.holders, _per_second(ends, since, until)))
    return _found(levels, measured)


@dataclass(frozen=True)
class _Change:
    """To another level."""

    holders: int
    after: float
    """Seconds after the start."""
    on_all: bool
    """Whether all hosts of the run came to it."""


def _changes(journal: JournalColumns, window: Window) -> list[_Change]:
    """Those that the hosts noted, in their order."""
    by_host: dict[str, list[tuple[int, int]]] = {}
    for event in sorted(journal.events, key=lambda event: event.time):
        if event.kind == EventKind.LEVEL:
            by_host.setdefault(event.host, []).append((event.time, int(event.value)))
    longest = max(by_host.values(), key=len, default=[])
    changes = []
    for place, (_, holders) in enumerate(longest):
        there = [noted[place][0] for noted in by_host.values() if len(noted) > place and noted[place][1] == holders]
        changes.append(_Change(holders, window.after(min(there)), len(there) == len(by_host)))
    return changes


def _level(
    change: _Change,
    confirms: bool,
    asked: Sequence[Threshold],
    records: Records,
    here: Truths,
    since: float,
    until: float,
    pace: Pace,
    missing: str,
) -> LevelSummary:
    """A level; ``here`` are the records that ended in it. ``missing`` says that holders were not there, who would
    have made the load higher, so that a level that broke without them is broken, unless they made too few steps."""
    figures, unknown = [], []
    for threshold in asked:
        figure = threshold_verdicts.figure_of(threshold, records, since, until)
        lacking = too_little(threshold, figure.counted if figure else 0, max(0.0, until - since))
        kept = None if figure is None or lacking else bool(threshold.is_kept_by(figure.value))
        figures.append(LevelFigure(threshold.text, figure.value if figure else None, kept))
        if kept is None:
            unknown.append(f"{threshold.text} cannot be judged by {lacking}")
    ok, failed = (int((here & (records.outcome == which)).sum()) for which in (OK, FAILED))
    crossed = [
        figure.text
        for threshold, figure in zip(asked, figures, strict=True)
        if figure.kept is False and not (missing and threshold.metric == thresholds.THROUGHPUT)
    ]
    why, held = "", None
    if crossed:
        held, why = False, f"crossed: {wording.listed(crossed)}"
    elif failed and not any(threshold.metric == thresholds.ERRORS for threshold in asked):
        held, why = False, wording.number(failed, "step failed", "steps failed")
    elif not change.on_all:
        why = "not all hosts came to it"
    elif until - since < 0.9 * pace.judged(confirms=confirms):
        why = "it ended early"
    elif missing:
        why = missing
    elif unknown or not figures:
        why = "; ".join(unknown) or "there is no threshold"
    else:
        held = True
    return LevelSummary(
        holders=change.holders,
        confirms=confirms,
        since=since,
        until=max(since, until),
        ok=ok,
        failed=failed,
        per_second=ok / (until - since) if until > since else None,
        figures=figures,
        held=held,
        why=why,
    )


def _per_second(ends: Floats, since: float, until: float) -> Floats:
    """How many ended in each second of a level."""
    whole = max(0, int(until - since + 1e-6))  # the difference of 40 s may be a little less
    return np.bincount((ends - since).astype(np.int64), minlength=whole)[:whole].astype(np.float64)


def _found(levels: list[LevelSummary], measured: Sequence[scalability.Measured]) -> SearchSummary:
    tried = [Tried(level.holders, level.held, level.confirms) for level in levels]
    best, broken = ladder.found(tried), ladder.lowest_broken(tried)
    by_load: dict[int, list[Floats]] = {}
    for each in measured:
        by_load.setdefault(each.holders, []).append(each.per_second)
    loads = [
        scalability.Measured(holders, np.concatenate(parts))
        for holders, parts in sorted(by_load.items())
        if any(part.size for part in parts)
    ]
    return SearchSummary(
        levels=levels,
        highest=best,
        lowest_broken=broken,
        headline=_headline(tried, best, broken),
        fit=scalability.fit(loads),
    )


def _headline(tried: Sequence[Tried], best: int | None, broken: int | None) -> str:
    if best is not None:
        more = "more were not allowed"
        if (above := ladder.ceiling(tried)) is not None:
            more = f"{wording.number(above, 'holder')} {'do not' if above == broken else 'could not be judged'}"
        return f"Found: up to {wording.number(best, 'holder')} hold, {more}"
    if not tried:
        return "Nothing found: the search came to no level"
    highest = ladder.highest([each for each in tried if each.held is not None])
    if highest is not None:
        return f"Nothing found: {wording.number(highest, 'holder')} held, but that is not confirmed"
    tries = sorted({each.holders for each in tried})
    if broken is None:
        among = " to ".join(f"{holders:,}" for holders in sorted({tries[0], tries[-1]}))
        return f"Nothing found: no level could be judged ({among} {'holder' if tries == [1] else 'holders'})"
    if broken == tries[0]:
        return f"Nothing found: not even {wording.number(broken, 'holder')} held"
    return f"Nothing found: {wording.number(broken, 'holder')} did not hold, and no level below could be judged"


def confirming(search: SearchSummary) -> LevelSummary | None:
    """The level by which the run is judged: the highest that holds, when it was confirmed; else the last one."""
    of_highest = [level for level in search.levels if level.holders == search.highest and level.confirms]
    return of_highest[-1] if of_highest else search.levels[-1] if search.levels else None
