"""What the page of a run in progress says in words and tables: text for each place, which its script only puts there.

A cell of a table is a text, or a text and the class of its looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stampede import wording
from stampede.fleet.host_view import HostView
from stampede.fleet.live_table import WELL, fleet_figures, host_figures, time_left
from stampede.fleet.standings import Standing
from stampede.live.events import Events
from stampede.live.history import History
from stampede.live.stages import stage_of
from stampede.schema import step_times
from stampede.schema.phases import BEFORE_START, Phase
from stampede.schema.settings.thresholds import ERRORS

MOST_ROWS = 200
MOST_NOTES = 10
SHARES = (0.5, 0.95, 0.99, 1.0)
"""Percentiles of a step's times in the table."""
NOW = 10.0
"""Seconds over which the current rate of a step is taken."""

type Cell = str | tuple[str, str]
type Rows = list[list[Cell]]


@dataclass(frozen=True)
class Figures:
    """All texts of the page at a moment."""

    headline: str
    tone: str
    """The looks of the verdict, as in the report: passed, stopped, failed, thresholds, incomplete; or live."""
    over: bool
    findings: list[tuple[str, list[tuple[str, bool]]]]
    """By title: sentences, and whether each is a warning."""
    tiles: list[tuple[str, str, str, str]]
    """Title, figure, its unit or rest, and looks."""
    thresholds: Rows
    steps: Rows
    errors: Rows
    hosts: Rows
    events: Rows


def page_figures(
    hosts: Sequence[HostView], found: Sequence[Standing], history: History, events: Events, now: float
) -> Figures:
    """``now`` is in seconds since 1970."""
    fleet = fleet_figures(hosts, now)
    tone, headline = _headline(hosts, found, fleet)
    return Figures(
        headline=headline,
        tone=tone,
        over=all(host.over for host in hosts),
        findings=_findings(hosts, found, history, fleet, now),
        tiles=_tiles(hosts, fleet),
        thresholds=[_threshold(standing) for standing in found],
        steps=_steps(history),
        errors=_errors(hosts),
        hosts=[_host(host, now) for host in hosts[:MOST_ROWS]],
        events=_events(events, history),
    )


def _headline(hosts: Sequence[HostView], found: Sequence[Standing], fleet: Mapping[str, Any]) -> tuple[str, str]:
    """The looks and the words of how the run stands, or how it ended."""
    phases = {host.phase for host in hosts if not host.failure}
    gone = [host for host in hosts if host.failure]
    if not all(host.over for host in hosts):
        return "live", _progress(hosts, phases, fleet)
    if gone:
        return "failed", f"Ended: {wording.number(len(gone), 'load host')} of {len(hosts)} did not end well"
    crossed = sum(standing.crossed for standing in found)
    not_judged = sum(standing.value is None for standing in found)
    ended = "Stopped" if Phase.STOPPED in phases else "Ended"
    if crossed:
        return "thresholds", f"{ended}: {_so_many(crossed, found)} crossed"
    if not_judged:
        return "incomplete", f"{ended}: {_so_many(not_judged, found)} not judged"
    if ended == "Stopped":
        return "stopped", "Stopped before its time"
    if (failed := fleet["steps"].get("failed")) and all(each.threshold.metric != ERRORS for each in found):
        return "live", f"Ended: {wording.number(failed, 'step')} failed"
    if found:
        return "passed", f"Ended: {_so_many(len(found), found)} met"
    return "live", "Ended; the run had no thresholds"


def _so_many(count: int, found: Sequence[Standing]) -> str:
    if len(found) == 1:
        return "the threshold is"
    return f"all {count} thresholds are" if count == len(found) else f"{count} of {len(found)} thresholds"


def _progress(hosts: Sequence[HostView], phases: set[Phase], fleet: Mapping[str, Any]) -> str:
    holders = fleet["holders"]
    if Phase.RUNNING in phases:
        stage = stage_of(hosts)
        parts = [
            "Running",
            f"stage {stage.number} of {stage.count}" if stage else "",
            time_left(fleet["seconds_left"]),
        ]
        return ", ".join(filter(None, parts))
    if phases & {Phase.DRAINING, Phase.PUSHING}:
        return "Ending: steps in flight get their time" if Phase.DRAINING in phases else "Ended, still pushing"
    if phases <= BEFORE_START:
        return f"Not started: {_of(holders.get('ready'), holders.get('total'))} holders ready"
    return "Ending"


def _of(part: float | None, whole: float | None) -> str:
    return f"{wording.count(part)} of {wording.count(whole)}"


def _findings(
    hosts: Sequence[HostView], found: Sequence[Standing], history: History, fleet: Mapping[str, Any], now: float
) -> list[tuple[str, list[tuple[str, bool]]]]:
    crossed = [(f"{standing.sentence}.", True) for standing in found if standing.crossed]
    so_far = "" if all(host.over for host in hosts) else " so far"
    if found and not crossed:
        judged = sum(standing.value is not None for standing in found)
        crossed = [(f"{judged} of {len(found)} judged{so_far}, none is crossed.", False)]
    told = [wording.without_passwords(note) for host in hosts if (note := host.note(now))]
    notes = [(note if note.endswith(".") else f"{note}.", True) for note in told]
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [(f"And {len(notes) - MOST_NOTES} more load hosts.", True)]
    steps = fleet["steps"]
    load = f"{wording.count(steps.get('ok', 0))} steps ok, {wording.count(steps.get('failed', 0))} failed"
    sections = [("Thresholds", crossed), ("Load", [(f"{load}{so_far}.", False)]), ("Load hosts", notes)]
    sections.append(("This page", [(_since(history), False)]))
    if so_far == "":
        sections.append(("Verdict", [("The report of the run has it, from the records of all load hosts.", False)]))
    return [(title, texts) for title, texts in sections if texts]


def _since(history: History) -> str:
    if history.start is None or history.begin is None:
        return "Charts begin with the load."
    when = f"{wording.time_of_day(history.start + history.begin)} UTC"
    if history.begin < 1:
        return f"Charts have data since {when}, the start of the load."
    return f"Charts have data since {when}, {wording.duration(history.begin)} after the start of the load."


def _tiles(hosts: Sequence[HostView], fleet: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    holders, steps = fleet["holders"], fleet["steps"]
    dropped = sum(host.state.holders.dropped for host in hosts if host.state and host.state.holders)
    ended = steps.get("ok", 0) + steps.get("failed", 0)
    share = f"{wording.percent(steps['failed'] / ended)}" if ended and steps["failed"] else ""
    tiles = [
        ("Steps ok", wording.count(steps.get("ok", 0)), "", ""),
        ("Steps failed", wording.count(steps.get("failed", 0)), share, "bad" if share else ""),
        ("Throughput", wording.rate(steps.get("per_s", 0)).removesuffix("/s"), "steps/s", ""),
        (
            "Active holders",
            wording.count(holders.get("active", 0)),
            f"of {wording.count(holders.get('total', 0))}",
            "",
        ),
        ("Schedule lag, p99", wording.seconds(fleet["lag_p99"]), "", ""),
        ("CPU, busiest host", wording.percent(fleet["cpu"]), "", ""),
    ]
    if dropped:
        tiles.append(("Dropped arrivals", wording.count(dropped), "", "warn"))
    return tiles


def _threshold(standing: Standing) -> list[Cell]:
    threshold = standing.threshold
    verdict: Cell = "not judged" if standing.value is None else ("crossed", "bad") if standing.crossed else "met"
    value = wording.NONE if standing.value is None else threshold.shown(standing.value)
    looks = "number bad" if standing.crossed else "number"
    return [threshold.text, verdict, (value, looks), (threshold.asked, "number"), threshold.phase]


def _steps(history: History) -> Rows:
    """Counts and response times since the start of the load."""
    times: dict[str, dict[int, float]] = {}
    failures: dict[str, float] = {}
    for key, count in history.totals().items():
        if key.kind == "ok":
            times.setdefault(key.name, {})[key.bucket] = count
        elif key.kind == "failed":
            failures[key.name] = count
    rates = _current_rates(history)
    rows: Rows = []
    for name in history.steps:
        its, failed, rate = times.get(name, {}), failures.get(name), rates.get(name)
        figures: Sequence[float | None] = step_times.quantiles(its, SHARES) or [None] * len(SHARES)
        row: list[Cell] = [name, wording.count(sum(its.values())), (wording.count(failed), "bad" if failed else "")]
        row += [wording.rate(rate).removesuffix("/s"), *map(wording.seconds, figures)]
        rows.append(row)
    return rows


def _current_rates(history: History) -> dict[str, float]:
    """Steps that ended ok per second, in the last seconds of which something is known."""
    ended = dict.fromkeys(history.steps, 0.0)
    seconds = 0.0
    for interval in reversed(history.intervals):
        for key, count in interval.counts.items():
            if key.kind == "ok":
                ended[key.name] += count
        seconds += interval.seconds
        if seconds >= NOW:
            break
    return {name: count / seconds for name, count in ended.items()} if seconds else {}


def _errors(hosts: Sequence[HostView]) -> Rows:
    counts: Counter[str] = Counter()
    for host in hosts:
        counts.update(host.state.errors if host.state else {})
    return [[name, (wording.count(count), "number bad")] for name, count in counts.most_common(MOST_NOTES)]


def _host(host: HostView, now: float) -> list[Cell]:
    figures = host_figures(host, now)
    holders, steps = figures["holders"], figures["steps"]
    condition = "silent" if host.silent(now) else host.condition
    well = condition in WELL
    return [
        host.name,
        (str(condition).replace("_", " "), "text" if well else "text bad"),
        _of(holders["active"], holders["total"]),
        wording.count(steps["ok"]),
        (wording.count(steps["failed"]), "bad" if steps["failed"] else ""),
        wording.rate(steps["per_s"]).removesuffix("/s"),
        wording.seconds(figures["lag_p99"]),
        wording.percent(figures["cpu"]),
        wording.percent(figures["memory"]),
    ]


def _events(events: Events, history: History) -> Rows:
    """The newest first."""
    return [
        [
            (wording.clock(None if history.start is None else event.time - history.start), "number"),
            wording.time_of_day(event.time),
            (event.host or wording.NONE, "nowrap"),
            (event.title, "bad" if event.kind in ("fault", "threshold") else ""),
            (wording.without_passwords(event.text), "wide"),
        ]
        for event in events.newest_first()
    ]
