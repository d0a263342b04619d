"""The page of a comparison: one file like report.html, with the charts of both runs laid over each other."""

import math
from pathlib import Path

from stampede.comparison.run_comparison import StepComparison
from stampede.comparison.runs import ComparedRuns
from stampede.comparison.sentences import describe_step, step_verdict
from stampede.report.charts.distribution import BINS_PER_DECADE
from stampede.report.charts.intervals import interval_width
from stampede.report.charts.timeline import build_charts
from stampede.report.template import render_page
from stampede.schema.json_form import to_json

TEMPLATE = Path(__file__).with_name("page.html.j2")
SCRIPTS = ("uPlot.iife.min.js", "charts.js", "figures.js", "compare.js")


def render(compared: ComparedRuns) -> str:
    """The page of two compared runs."""
    runs = compared.by_name()
    width = max(interval_width(run.journal, run.window) for run in runs.values())
    charts = {name: build_charts(run.journal, run.window, width=width) for name, run in runs.items()}
    longest = max(charts.values(), key=lambda chart: len(chart.x))
    steps = compared.comparison.steps
    names = [name for name, step in steps.items() if any(run and run.ok for run in (step.a, step.b))]
    data = {
        "x": longest.x,
        "width": longest.width,
        "seconds": longest.seconds,
        "marks": [],
        "bins_per_decade": BINS_PER_DECADE,
        "names": names,
        "runs": {name: {step.name: to_json(step) for step in chart.steps} for name, chart in charts.items()},
    }
    return render_page(
        TEMPLATE,
        SCRIPTS,
        data,
        comparison=compared.comparison,
        names=names,
        describe=describe_step,
        step_verdict=step_verdict,
        shown=max(names, key=lambda name: _weight(steps[name])) if names else None,
    )


def _weight(step: StepComparison) -> float:
    """How much a step's difference deserves to be seen first."""
    change = abs(math.log(step.p50.ratio)) if step.p50.ratio else 0.0
    return change + (1000.0 if step.p50.differs or step.p95.differs else 0.0)
