"""The page of a comparison: one file like report.html, with the charts of both runs laid over each other."""

import math
from pathlib import Path
from typing import Any

from stampede.comparison import runs as compare
from stampede.comparison.runs import Pair
from stampede.report import html, timeline
from stampede.report.distribution import BINS_PER_DECADE

TEMPLATE = Path(__file__).with_name("page.html.j2")
SCRIPTS = ("uPlot.iife.min.js", "charts.js", "figures.js", "compare.js")


def render(pair: Pair) -> str:
    """The page of what `compare.compare` found."""
    width = max(timeline.bucket_width(run.journal, run.window) for run in (pair.a, pair.b))
    charts = {name: timeline.chart(run.journal, run.window, width=width) for name, run in pair.runs()}
    longest = max(charts.values(), key=lambda chart: len(chart["x"]))
    steps = pair.found["steps"]
    names = [name for name, step in steps.items() if any(step[run] and step[run]["ok"] for run in "ab")]
    data = {name: longest[name] for name in ("x", "width", "seconds")} | {
        "marks": [],
        "bins_per_decade": BINS_PER_DECADE,
        "names": names,
        "runs": {name: {step["name"]: step for step in chart["steps"]} for name, chart in charts.items()},
    }
    return html.page(
        TEMPLATE,
        SCRIPTS,
        data,
        found=pair.found,
        names=names,
        describe=compare.describe,
        verdict=compare.verdict,
        shown=max(names, key=lambda name: _weight(steps[name])) if names else None,
    )


def _weight(step: dict[str, Any]) -> float:
    """How much a step's difference deserves to be seen first."""
    ratio = step["p50"]["ratio"]
    return (1000.0 if step["p50"]["differs"] or step["p95"]["differs"] else 0.0) + abs(
        math.log(ratio) if ratio else 0
    )
