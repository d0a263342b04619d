"""How the fleet stands, for people and for programs.

Counts are summed over the hosts; a percentile, a lag and a share of CPU or memory are the worst host's. The table is
laid out by rich: it measures, cuts and aligns cells, whether they are redrawn in a terminal or printed as plain text.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from stampede import wording
from stampede.fleet.host_view import HostView, clock
from stampede.fleet.standings import Standing, standings
from stampede.schema.phases import BEFORE_START, Phase
from stampede.schema.state import HolderState, HostState, StepState

WIDTH = 100
MOST_ROWS = 20
"""Hosts that a table shows; of more, those that stand out."""
MOST_NOTES = 10
LONGEST_NAME = 64
"""Characters of a step, as the controller allows them."""
WELL = frozenset(Phase) - {Phase.PUSHING, Phase.FAILED}
STYLES = {
    "not reached": "yellow",
    "lost": "bold red",
    "died": "bold red",
    "failed": "bold red",
    "refused": "bold red",
}


def line(hosts: Iterable[HostView], now: float) -> str:
    """One line about all hosts together."""
    hosts = [host for host in hosts if host.state]
    if not hosts:
        return "starting"
    all_of_them = fleet_figures(hosts, now)
    holders, steps = all_of_them["holders"], all_of_them["steps"]
    parts = [", ".join(sorted(all_of_them["hosts"]))]
    if parts[0] in BEFORE_START:
        parts.append(f"{holders['ready']} of {holders['total']} holders ready")
        return " | ".join(parts)
    parts.append(f"{holders['active']} of {holders['total']} holders active, {holders['finished']} finished")
    interrupted = f", {steps['interrupted']} interrupted" if steps["interrupted"] else ""
    parts.append(f"{steps['per_s']:.1f} steps/s: {steps['ok']} ok, {steps['failed']} failed{interrupted}")
    if slowest := slowest_steps(all_of_them["p95"], 2):
        parts.append("p95 " + ", ".join(f"{name} {value:.2f} s" for name, value in slowest))
    parts.append(f"lag {(all_of_them['lag_p99'] or 0) * 1000:.0f} ms")
    parts.append(f"CPU {all_of_them['cpu'] or 0:.0%}")
    parts.append(time_left(all_of_them["seconds_left"]))
    if crossed := [standing.threshold.text for standing in standings(hosts) if standing.crossed]:
        parts.append(f"crossed: {', '.join(crossed)}")
    parts += [host.note(now) for host in hosts if not host.failure]
    return wording.printable(" | ".join(part for part in parts if part))


def text(hosts: Sequence[HostView], now: float) -> str:
    """The table as plain text of at most 100 columns."""
    file = io.StringIO()
    Console(file=file, width=WIDTH - 2, color_system=None, force_terminal=False, legacy_windows=False).print(
        table(hosts, now)
    )
    return "\n".join(f"  {row}".rstrip() for row in file.getvalue().rstrip().split("\n"))


def table(hosts: Sequence[HostView], now: float, rows: int = MOST_ROWS) -> RenderableType:
    """A row for each host, or for those that stand out when there are more than ``rows``; their sums; how the
    thresholds stand; and notes."""
    all_of_them = fleet_figures(hosts, now)
    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    drawn.add_column("host")  # this one and the steps' are cut where there is little room
    drawn.add_column("phase", no_wrap=True, min_width=11)  # so that it does not move about
    for title in ("holders", "steps/s", "failed", "p95 s"):
        drawn.add_column(title, justify="right", no_wrap=True)
    drawn.add_column("of step")
    for title in ("lag ms", "CPU", "memory"):
        drawn.add_column(title, justify="right", no_wrap=True)
    shown = standing_out(hosts, now, rows)
    for host in shown:
        condition = "silent" if host.silent(now) else host.condition
        drawn.add_row(
            cut(host.name),
            words(condition, STYLES.get(condition, "")),
            *cells(host_figures(host, now)),
            style="dim" if host.condition == Phase.DONE else "",
        )
    if others := len(hosts) - len(shown):
        drawn.add_row(words(f"and {others} others"), style="dim")
    drawn.add_row(words("fleet"), "", *cells(all_of_them), style="bold")
    counts = ", ".join(f"{count} {condition}" for condition, count in all_of_them["hosts"].items())
    ok = f"{all_of_them['steps'].get('ok', 0)} steps ok"
    head = [
        clock(now),
        f"{len(hosts)} load host{'s' * (len(hosts) != 1)}: {counts}",
        ok,
        time_left(all_of_them["seconds_left"]),
    ]
    return Group(words(" | ".join(filter(None, head))), drawn, judged(standings(hosts)), notes(hosts, now))


def judged(found: Iterable[Standing]) -> Table:
    """A line for each threshold, the crossed ones first."""
    paragraphs = Table.grid(padding=(0, 1, 0, 0))
    for standing in sorted(found, key=lambda standing: not standing.crossed):
        mark = "✗" if standing.crossed else "·" if standing.value is None else "✓"
        paragraphs.add_row(words(mark), words(standing.sentence), style="red" if standing.crossed else "")
    return paragraphs


def notes(hosts: Iterable[HostView], now: float) -> Table:
    """What is wrong, a paragraph for each host; of a few hosts."""
    texts = [note for host in hosts if (note := host.note(now))]
    if len(texts) > MOST_NOTES:
        texts[MOST_NOTES:] = [f"and {len(texts) - MOST_NOTES} more hosts"]
    paragraphs = Table.grid(padding=(0, 1, 0, 0))
    for note in texts:
        paragraphs.add_row(words("!"), words(note), style="yellow")
    return paragraphs


def standing_out(hosts: Sequence[HostView], now: float, most: int) -> list[HostView]:
    """All hosts in their order, or the ``most`` in which something is wrong, or whose load is highest."""
    if len(hosts) <= most:
        return list(hosts)

    def rank(host: HostView) -> tuple[bool, bool, bool, float]:
        its = host_figures(host, now)
        load = max((its["lag_p99"] or 0) / 0.1, its["cpu"] or 0)
        return host.condition not in WELL, bool(host.note(now)), its["steps"]["failed"] > 0, load

    chosen = {host.name for host in sorted(hosts, key=rank, reverse=True)[: max(0, most)]}
    return [host for host in hosts if host.name in chosen]


def cells(its: Mapping[str, Any]) -> list[Text]:
    """The columns from holders to memory, of a host or of the fleet."""
    holders, steps = its["holders"], its["steps"]
    slowest = slowest_steps(its["p95"], 1)
    waits = not steps["ok"] and not steps["failed"] and holders["active"] in (0, None)
    busy = holders["ready"] if waits else holders["active"]
    return [
        words("-" if busy is None or not holders["total"] else f"{busy}/{holders['total']}"),
        words(shown(steps["per_s"], "{:.1f}")),
        words(str(steps["failed"]), "red" if steps["failed"] else ""),
        words(f"{slowest[0][1]:.2f}" if slowest else "-"),
        cut(slowest[0][0] if slowest else ""),
        words(shown(its["lag_p99"], "{:.0f}", 1000)),
        words(shown(its["cpu"], "{:.0%}")),
        words(shown(its["memory"], "{:.0%}")),
    ]


def cut(name: str) -> Text:
    return words(name, no_wrap=True, overflow="ellipsis")


def words(text: str, style: str = "", **options: Any) -> Text:
    """Text as it goes out: rich lets escape sequences pass."""
    return Text(wording.printable(text), style, **options)


def shown(value: float | None, form: str, factor: float = 1) -> str:
    return "-" if value is None else form.format(value * factor)


# ---------------------------------------------------------------- figures


def host_figures(host: HostView, now: float) -> dict[str, Any]:
    """A host's figures: counts as last heard, and those of the moment, which are None while nothing is heard."""
    state, fresh = host.state or HostState(), host.answers
    holders, steps = state.holders or HolderState(), state.steps or StepState()
    current = {
        "lag_p99": state.lag_p99,
        "cpu": state.host_cpu / (state.host_cores or 1),
        "memory": state.host_memory_used,
    }
    return {
        "condition": host.condition,
        "phase": host.phase,
        "not_reached_since": host.not_reached_since,
        "silent": host.silent(now),
        "holders": {
            "total": holders.total,
            "ready": holders.ready,
            "finished": holders.finished,
            "stopped": holders.stopped,
            "active": holders.active if fresh else None,
        },
        "steps": {
            "ok": steps.ok,
            "failed": steps.failed,
            "interrupted": steps.interrupted,
            "per_s": steps.per_s if fresh else None,
        },
        "errors": dict(state.errors),
        "p95": {name[:LONGEST_NAME]: value for name, value in state.p95.items() if value},
        **(current if fresh else dict.fromkeys(current)),
        "seconds_left": host.ends_in(now),
        "note": host.note(now),
    }


def fleet_figures(hosts: Iterable[HostView], now: float) -> dict[str, Any]:
    """The fleet's: sums of counts, and of the rest the worst host's."""
    all_of_them = [host_figures(host, now) for host in hosts]
    p95: dict[str, float] = {}
    errors: Counter[str] = Counter()
    for its in all_of_them:
        errors.update(its["errors"])
        for name, value in its["p95"].items():
            p95[name] = max(p95.get(name, 0.0), value)

    def added(group: str) -> dict[str, Any]:
        keys = all_of_them[0][group] if all_of_them else ()
        return {key: sum(its[group][key] or 0 for its in all_of_them) for key in keys}

    def worst(key: str) -> float | None:
        return max((its[key] for its in all_of_them if its[key] is not None), default=None)

    return {
        "hosts": dict(Counter(its["condition"] for its in all_of_them)),
        "holders": added("holders"),
        "steps": added("steps"),
        "errors": dict(errors),
        "p95": p95,
        **{key: worst(key) for key in ("lag_p99", "cpu", "memory", "seconds_left")},
    }


def slowest_steps(p95: Mapping[str, float], count: int) -> list[tuple[str, float]]:
    return sorted(p95.items(), key=lambda item: -item[1])[:count]


def time_left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, secs = divmod(round(seconds), 60)
    return f"{minutes}:{secs:02d} left"
