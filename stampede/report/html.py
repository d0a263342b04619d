"""report.html: one file that opens offline and asks for nothing, whatever the run's names and texts contain.

Styles, scripts and data are inlined. A content security policy in the page forbids every request and every
script but its own two, which it names by their hashes.
"""

import base64
import hashlib
import itertools
import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stampede import wording
from stampede.analysis import faults
from stampede.analysis import host_outcomes as hosts
from stampede.analysis.generator import BUSY, LATE
from stampede.report import python_markup, timeline
from stampede.report.distribution import BINS_PER_DECADE
from stampede.schema.phases import ENDED

HERE = Path(__file__).parent
ASSETS = HERE / "assets"
SCRIPTS = ("uPlot.iife.min.js", "charts.js", "figures.js", "report.js")
STYLES = ("uPlot.min.css", "report.css")
COLOURS = 12  # that report.css defines for steps; more steps begin again, dashed
SPREAD_WIDTH = 90  # of the bar that shows a step's times


def render(summary: dict[str, Any], charts: dict[str, Any], scripts: dict[str, str]) -> str:
    """The page.

    `summary` is summary.json, `charts` the series of `timeline.chart`, `scripts` the rendered script by host.
    """
    run, compared = summary["run"], summary["comparison"]
    p95 = {name: step["service_time"]["p95"] for name, step in summary["steps"].items() if step["ok"]}
    detail = next((name for name in summary["time_spent"]["steps"] if name in p95), None)
    stand_out = {
        host: {"p95 of " + its["step"] if its["step"] else its["figure"] for its in outliers}
        for host, outliers in (compared["stand_out"] if compared else {}).items()
    }
    data = charts | {
        "limits": {"cpu": BUSY, "lag": LATE},
        "p95": _p95(summary, stand_out),
        "detail": list(summary["steps"]).index(detail) if detail else 0,
        "bins_per_decade": BINS_PER_DECADE,
    }
    return page(
        HERE / "report.html.j2",
        SCRIPTS,
        data,
        summary=summary,
        findings=[(about, list(its)) for about, its in itertools.groupby(run["findings"], lambda its: its["about"])],
        fault_kinds=timeline.FAULTS,
        stand_out=stand_out,
        slowest=max(p95, key=lambda step: p95[step]) if p95 else None,
        fleet=_fleet(summary),
        has_charts=bool(charts["x"]) and bool(charts["steps"] or charts["hosts"]),
        colours={name: number % COLOURS for number, name in enumerate(summary["steps"])},
        detail=detail,
        spent_bars=_bars(summary["time_spent"]["steps"]),
        thresholds=summary.get("thresholds", []),
        spreads=_spreads(summary["steps"]),
        spread_width=SPREAD_WIDTH,
        shown_script=_script(scripts),
    )


def page(template: Path, scripts: tuple[str, ...], data: dict[str, Any], **values: Any) -> str:
    """A page of a template; style, scripts (of assets/) and the `data` of its charts are inlined."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seconds": wording.seconds,
        "duration": wording.duration,
        "clock": wording.clock,
        "count": wording.count,
        "rate": wording.rate,
        "percent": wording.percent,
        "size": wording.size,
        "date": date,
        "time_of_day": time_of_day,
        "signed": wording.signed,
        "ending": ending,
        "value": value,
        "is_long": is_long,
        "with_unit": with_unit,
        "unbroken": unbroken,
    }
    licence = (ASSETS / "uPlot.LICENSE").read_text(encoding="utf-8")
    script = f"/* uPlot:\n{licence}*/\n" + "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in scripts)
    style = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in STYLES)
    return environment.get_template(template.name).render(
        policy=f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'",
        script=Markup(script),  # noqa: S704  ours, from assets/
        style=Markup(style),  # noqa: S704
        data=_json(data),
        **values,
    )


def _p95(summary: dict[str, Any], stand_out: dict[str, set[str]]) -> dict[str, Any]:
    """What the p95 column of the table of hosts may show, by host and step: the time, and whether it stands out.

    The row of all hosts has the name "".
    """
    rows = {"": {name: its["service_time"]["p95"] for name, its in summary["steps"].items() if its["ok"]}}
    rows |= {name: host["p95"] for name, host in summary["hosts"].items()}
    return {
        host: {step: [value, f"p95 of {step}" in stand_out.get(host, ())] for step, value in its.items()}
        for host, its in rows.items()
    }


def _fleet(summary: dict[str, Any]) -> dict[str, Any] | None:
    """The sums and totals that stand under the table of hosts; None for a single host."""
    taking_part = [host for host in summary["hosts"].values() if host["took_part"]]
    if len(summary["hosts"]) < 2:
        return None
    holders = [host["holders"] for host in taking_part if host["holders"] is not None]
    return {
        "holders": sum(holders) if holders else None,
        "agents": sum(host["agents"]["count"] for host in taking_part),
        "restarts": sum(host["agents"]["restarts"] for host in taking_part),
    }


def ending(host: dict[str, Any]) -> str:
    """How a host ended, for the table: "done", "stopped", "left out", "lost", "broke off while running"."""
    phase = str(host["phase"]).replace("_", " ")
    kinds = {fault["kind"] for fault in host["faults"]}
    if host["phase"] in (*ENDED, *hosts.NOTHING):
        return phase
    end = next((kind for kind in faults.ENDS if kind in kinds), "broke off")
    return f"{end} while {phase}"


def _hash(text: str) -> str:
    """What a content security policy calls an inline element by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: Any) -> Markup:
    """JSON that may stand in a script element: it holds no `<`, so nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704


def _script(scripts: dict[str, str]) -> dict[str, Any] | None:
    """The script to show: the first host's, and the names of the hosts whose script is another."""
    if not scripts:
        return None
    host, text = next(iter(scripts.items()))
    text = wording.without_passwords(text)
    others = [name for name, its in scripts.items() if wording.without_passwords(its) != text]
    return {
        "host": host,
        "html": python_markup.highlight(text),
        "lines": text.count("\n") + 1,
        "others": others,
    }


def _spreads(steps: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Where p50, p95, p99 and max of each step's service time lie on one logarithmic scale, in pixels."""
    times = {name: its["service_time"] for name, its in steps.items() if its["ok"]}
    figures = [max(its[figure], 1e-4) for its in times.values() for figure in ("p50", "max")]
    if not figures:
        return {}
    low, high = math.log10(min(figures)) - 0.1, math.log10(max(figures)) + 0.1

    def place(seconds: float) -> float:
        return round((math.log10(max(seconds, 1e-4)) - low) / (high - low) * SPREAD_WIDTH, 1)

    return {
        name: {figure: place(its[figure]) for figure in ("p50", "p95", "p99", "max")} for name, its in times.items()
    }


def _bars(spent: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Of each step the beginning and the width of its part of a bar that is 1000 wide; none too thin to be seen."""
    widths = [(name, round(its["share"] * 1000, 1)) for name, its in spent.items()]
    ends = itertools.accumulate(width for _, width in widths)
    return [
        (name, round(end - width, 1), width) for (name, width), end in zip(widths, ends, strict=True) if width >= 1
    ]


def unbroken(text: str) -> str:
    """The text with its figures held together with what belongs to them: "23 %" and "p < 0.01" stay in one line."""
    text = re.sub(r"(?<=\d) (?=(?:%|ms|s|min|h|steps/s|MB|GB)(?!\w))", "\u00a0", text)
    return re.sub(r"\bp ([<=]) (?=\d)", "p\u00a0\\1\u00a0", text)


def with_unit(value: float | None, unit: str) -> str:
    """A threshold's value or limit: "2.31 s", "0.44 %", "66.5/s"."""
    if value is None:
        return wording.NONE
    match unit:
        case "s":
            return wording.seconds(value)
        case "/s":
            return wording.rate(value)
    return f"{value:.3g} {unit}".rstrip()


def date(moment: str | None) -> str:
    """A day for people: "22 November 2026"."""
    return f"{_datetime(moment):%-d %B %Y}" if moment else wording.NONE


def time_of_day(moment: str | None) -> str:
    """A time of day, UTC: "18:03:12"."""
    return f"{_datetime(moment):%H:%M:%S}" if moment else wording.NONE


def _datetime(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


def value(setting: Any) -> str:
    """A setting's value as text; what is nested, as indented JSON."""
    if isinstance(setting, str):
        return setting
    return json.dumps(setting, indent=2 if is_long(setting) else None, ensure_ascii=False, default=str)


def is_long(setting: Any) -> bool:
    """Whether a setting's value needs lines of its own."""
    return isinstance(setting, dict | list) and len(json.dumps(setting, default=str)) > 40
