"""Variables, annotations and columns that the dashboards share."""

from __future__ import annotations

from typing import Any

from .grafana import Json, annotation, query, stat, variable
from .influxql import during, lags, percentiles, run

SECONDS: dict[str, Any] = {"unit": "s", "decimals": 3}
COUNT: dict[str, Any] = {"unit": "short", "decimals": 0}
BUSY = 0.9
"""Share of a core, or of all cores of a host, above which the generator is the bottleneck, as in the report."""
LATE = 0.1
"""Seconds of schedule lag above which the generator is the bottleneck."""
AGENT_LATE = 0.2
"""Seconds that an agent takes to answer an empty request, above which the generator is the bottleneck."""
RESENT = 0.02
"""Share of TCP segments sent again above which the network is, as in the report."""
OUTCOMES = {"ok": "green", "failed": "red", "interrupted": "text"}


def wide(pixels: int) -> dict[str, Any]:
    """Properties of a column with long text; columns without them share what is left."""
    return {"custom__width": pixels}


def run_variable(name: str = "run", label: str = "Run") -> Json:
    """Runs, the newest first."""
    return variable(name, label, 'SHOW TAG VALUES FROM "load" WITH KEY = "run"', sort=2)


def host_variable() -> Json:
    return variable("host", "Load host", f'SHOW TAG VALUES FROM "load" WITH KEY = "host" WHERE {run()}', many=True)


def step_variable() -> Json:
    return variable("step", "Step", f'SHOW TAG VALUES FROM "step" WITH KEY = "step" WHERE {run()}', many=True)


def events(*conditions: str) -> list[Json]:
    """Annotations: the run's phases and faults."""
    selected = 'SELECT "text", "host", "kind" FROM "event"'
    phases = during(run(), *conditions, "\"kind\" = 'phase'", '"text" =~ /^(running|draining|done|stopped)$/')
    faults = during(run(), *conditions, "(\"kind\" != 'phase' OR \"text\" = 'failed')")
    return [
        annotation("Phases", f"{selected} {phases}", "blue"),
        annotation("Faults", f"{selected} {faults}", "red"),
    ]


def schedule_lag(*conditions: str, **more: Any) -> Json:
    """The number that says whether the generator kept up, of all steps that meet the conditions and were due."""
    return stat(
        "Schedule lag, p99",
        "How much later than due steps began; those that follow directly on another are not counted. Above 0.1 s the "
        "generator was late: see Hosts.",
        [query(f"SELECT {percentiles('lag', 99)} {lags(*conditions)}")],
        unit="s",
        levels=(("green", None), ("red", LATE)),
        graph=False,
        **more,
    )
