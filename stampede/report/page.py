"""report.html: the verdict, the figures and the charts of a run on one page."""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from stampede import wording
from stampede.analysis.generator import BUSY, LATE
from stampede.analysis.host_outcomes import WITHOUT_JOURNAL
from stampede.report import python_markup
from stampede.report.charts.chart_data import Charts
from stampede.report.charts.distribution import BINS_PER_DECADE
from stampede.report.charts.levels_chart import build_levels_chart
from stampede.report.charts.marks import FAULTS, kind_in_words
from stampede.report.template import harmless, render_page
from stampede.schema.faults import FINAL
from stampede.schema.host_summary import HostComparison, HostSummary
from stampede.schema.json_form import to_json
from stampede.schema.phases import ENDED
from stampede.schema.records import EventKind
from stampede.schema.summary import StepSummary, Summary, TimeInStep

TEMPLATE = Path(__file__).with_name("report.html.j2")
SCRIPTS = ("uPlot.iife.min.js", "charts.js", "figures.js", "run_charts.js", "report.js")
COLOURS = 12  # that report.css defines for steps; more steps begin again, dashed
SPREAD_WIDTH = 90  # of the bar that shows a step's times


def render(summary: Summary, charts: Charts, scripts: dict[str, str]) -> str:
    """The page of a run; `scripts` are the rendered controller scripts by host."""
    names = list(dict.fromkeys([*(step.name for step in charts.steps), *summary.steps]))
    p95 = {name: step.service_time.p95 or 0.0 for name, step in summary.steps.items() if step.ok}
    detail = next((name for name in summary.time_spent.steps if name in p95), None)
    marked = _marked_figures(summary.comparison)
    data = to_json(charts) | {
        "limits": {"cpu": BUSY, "lag": LATE},
        "p95": _p95(summary, marked),
        "detail": names.index(detail) if detail else 0,
        "bins_per_decade": BINS_PER_DECADE,
    }
    findings = itertools.groupby(summary.run.findings, lambda finding: finding.about)
    return render_page(
        TEMPLATE,
        SCRIPTS,
        data,
        summary=summary,
        findings=[(about, list(group)) for about, group in findings],
        fault_kinds=FAULTS,
        ending=ending,
        marked=marked,
        slowest=max(p95, key=lambda step: p95[step]) if p95 else None,
        fleet=_fleet_totals(summary),
        levels_chart=build_levels_chart(summary.search),
        has_charts=bool(charts.x) and bool(charts.steps or charts.hosts),
        step_names=names,
        script_rows=[
            (name, wording.number(script.holders, "holder"), script.steps) for name, script in summary.scripts.items()
        ],
        group_rows=[(name, "", steps) for name, steps in summary.groups.items()],
        colours={name: number % COLOURS for number, name in enumerate(names)},
        detail=detail,
        spent_bars=_bars(summary.time_spent.steps),
        spreads=_spreads(summary.steps),
        spread_width=SPREAD_WIDTH,
        shown_script=_shown_script(scripts),
    )


def _marked_figures(comparison: HostComparison | None) -> dict[str, set[str]]:
    """The figures by which each host stands out: their names, or `p95 of STEP`."""
    stand_out = comparison.stand_out if comparison else {}
    return {
        host: {f"p95 of {outlier.step}" if outlier.step else outlier.figure for outlier in outliers}
        for host, outliers in stand_out.items()
    }


def _p95(summary: Summary, marked: dict[str, set[str]]) -> dict[str, dict[str, tuple[float | None, bool]]]:
    """What the p95 column of the table of hosts may show, by host and step: the time, and whether it is marked.

    The row of all hosts has the name "".
    """
    rows: dict[str, dict[str, float | None]] = {
        "": {name: step.service_time.p95 for name, step in summary.steps.items() if step.ok}
    }
    rows |= {name: dict(host.p95) for name, host in summary.hosts.items()}
    return {
        host: {step: (time, f"p95 of {step}" in marked.get(host, ())) for step, time in row.items()}
        for host, row in rows.items()
    }


@dataclass(frozen=True)
class _FleetTotals:
    """The sums that stand under the table of hosts."""

    holders: int | None
    agents: int
    restarts: int


def _fleet_totals(summary: Summary) -> _FleetTotals | None:
    """None for a single host."""
    if len(summary.hosts) < 2:
        return None
    taking_part = [host for host in summary.hosts.values() if host.took_part]
    holders = [host.holders for host in taking_part if host.holders is not None]
    return _FleetTotals(
        holders=sum(holders) if holders else None,
        agents=sum(host.agents.count for host in taking_part),
        restarts=sum(host.agents.restarts for host in taking_part),
    )


def ending(host: HostSummary) -> str:
    """How a host ended, for the table: "done", "stopped", "left out", "lost", "ended abruptly while running"."""
    phase = host.phase.replace("_", " ")
    if host.phase in (*ENDED, *WITHOUT_JOURNAL):
        return phase
    kinds = {fault.kind for fault in host.faults}
    end = next((kind for kind in FINAL if kind in kinds), EventKind.BROKE_OFF)
    return f"{kind_in_words(end)} while {phase}"


@dataclass(frozen=True)
class _ShownScript:
    """A host's script as HTML, and the names of the hosts whose script differs."""

    host: str
    html: Markup
    lines: int
    others: list[str]


def _shown_script(scripts: dict[str, str]) -> _ShownScript | None:
    """The script of the first host."""
    if not scripts:
        return None
    host, text = next(iter(scripts.items()))
    text = harmless(wording.without_passwords(text))
    return _ShownScript(
        host=host,
        html=python_markup.highlight(text),
        lines=text.count("\n") + 1,
        others=[name for name, other in scripts.items() if harmless(wording.without_passwords(other)) != text],
    )


def _spreads(steps: dict[str, StepSummary]) -> dict[str, dict[str, float]]:
    """Where p50, p95, p99 and max of each step's service time lie on one logarithmic scale, in pixels."""
    names = ("p50", "p95", "p99", "max")
    times = {
        name: {figure: step.service_time.figure(figure) or 0.0 for figure in names}
        for name, step in steps.items()
        if step.ok
    }
    bounds = [max(figures[figure], 1e-4) for figures in times.values() for figure in ("p50", "max")]
    if not bounds:
        return {}
    low, high = math.log10(min(bounds)) - 0.1, math.log10(max(bounds)) + 0.1

    def place(seconds: float) -> float:
        return round((math.log10(max(seconds, 1e-4)) - low) / (high - low) * SPREAD_WIDTH, 1)

    return {name: {figure: place(seconds) for figure, seconds in figures.items()} for name, figures in times.items()}


def _bars(spent: dict[str, TimeInStep]) -> list[tuple[str, float, float]]:
    """The start and the width of each step's part of a bar that is 1000 wide (without those too thin to be seen)."""
    widths = [(name, round(step.share * 1000, 1)) for name, step in spent.items()]
    ends = itertools.accumulate(width for _, width in widths)
    return [
        (name, round(end - width, 1), width) for (name, width), end in zip(widths, ends, strict=True) if width >= 1
    ]
