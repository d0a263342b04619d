"""*Compare*: a run and an earlier one, its baseline, each over the time since its own start.

Grafana shifts time per panel and not per query, so each run has its own panels, one above the other. Those of the
baseline are shifted by the seconds between the two starts, which a hidden variable queries from InfluxDB.
"""

from __future__ import annotations

from .grafana import Json, bars, chart, color, query, row, table, variable
from .grafana import dashboard as grafana_dashboard
from .influxql import BY_TIME, COMPLETE, OK, STEPS, during, offset, percentiles, rate, run, total, where
from .parts import COUNT, OUTCOMES, SECONDS, events, run_variable, step_variable, wide
from .run import SAMPLES

RUNS = {"baseline": "Baseline", "run": "This run"}
SHIFTS = {"baseline": "${offset}s", "run": ""}


def dashboard() -> Json:
    return grafana_dashboard(
        "stampede-compare",
        "Stampede: Compare",
        "A run and an earlier one, its baseline, over the time since their own start. Choose the run's time range, "
        "for instance in the list of runs on Run; the baseline's charts then show the same part of the baseline.",
        [*steps(), *pairs()],
        variables=[
            run_variable(),
            run_variable("baseline", "Baseline (an earlier run)"),
            step_variable(),
            variable("offset", "Seconds between the starts", offset(), hide=True),
        ],
        annotations=events(),
    )


def steps() -> list[Json]:
    """Both runs as a whole: these values do not depend on the time range."""

    def queries(name: str) -> list[Json]:
        chosen = (run(name), STEPS)
        measured = f'count("service_time") AS "ok {name}", ' + ", ".join(
            f'percentile("response_time", {share}) AS "p{share} {name}"' for share in (50, 95, 99)
        )
        failed = f'count("error") AS "failed {name}"'
        return [
            query(f'SELECT {measured} FROM "step" {where(*chosen, OK)} GROUP BY "step"', table=True),
            query(f'SELECT {failed} FROM "step" {where(*chosen, COMPLETE)} GROUP BY "step"', table=True),
        ]

    figures = {
        "ok": ("Ok", COUNT),
        "failed": ("Failed", COUNT),
        **{f"p{n}": (f"p{n}", SECONDS) for n in (50, 95, 99)},
    }
    columns = {
        f"{figure} {name}": (f"{heading}, {label.lower()}", properties)
        for figure, (heading, properties) in figures.items()
        for name, label in RUNS.items()
    }
    return [
        table(
            "Steps of both runs",
            "Each step over the whole of both runs, baseline and run side by side: the number of ok and of failed "
            "steps, and the response times of those that were ok. Percentiles are of all records of all hosts.",
            [*queries("baseline"), *queries("run")],
            by="step",
            columns={"step": ("Step", wide(200)), **columns},
            unit="s",
        ),
        *(
            bars(
                f"Response time, p{share}",
                f"The {share}th percentile of each step's response time over the whole of both runs. `stampede "
                "compare` tells whether a difference is more than noise.",
                [
                    query(
                        f'SELECT percentile("response_time", {share}) AS "{label.lower()}" FROM "step" '
                        f'{where(run(name), STEPS, OK)} GROUP BY "step"',
                        table=True,
                    )
                    for name, label in RUNS.items()
                ],
                by="step",
                unit="s",
                size=(12, 10),
            )
            for share in (50, 95)
        ),
    ]


def pairs() -> list[Json]:
    """Charts over time: the run's above, the baseline's below, with the same second at the same position."""
    return [
        row("Load and latency over time"),
        *(part(name) for name in ("run", "baseline") for part in (throughput, p95)),
        row("Holders and errors over time"),
        *(part(name) for name in ("run", "baseline") for part in (holders, failures)),
    ]


def title(what: str, name: str) -> str:
    return f"{RUNS[name]}: {what} (${{{name}}})"


def throughput(name: str) -> Json:
    chosen = during(run(name), STEPS)
    return chart(
        title("throughput", name),
        "Completed steps per second.",
        [query(f'SELECT {rate("service_time")} FROM "step" {chosen} {BY_TIME}, "outcome" fill(0)', "$tag_outcome")],
        unit="ops",
        shift=SHIFTS[name],
        overrides=[color(outcome, shade) for outcome, shade in OUTCOMES.items()],
    )


def p95(name: str) -> Json:
    selected = f'SELECT {percentiles("response_time", 95)} FROM "step"'
    return chart(
        title("response time by step, p95", name),
        "From the moment a step was due to its end, for ok steps: 95 of 100 steps took at most this long.",
        [query(f'{selected} {during(run(name), STEPS, OK)} {BY_TIME}, "step"', "$tag_step")],
        unit="s",
        shift=SHIFTS[name],
    )


def holders(name: str) -> Json:
    return chart(
        title("holders", name),
        "Holders in their script, and steps in flight. Compare two runs under the same load.",
        [
            query(total("active", "load", run(name)), "active holders"),
            query(total("in_flight", "load", run(name)), "steps in flight"),
        ],
        unit="short",
        interval=SAMPLES,
        shift=SHIFTS[name],
    )


def failures(name: str) -> Json:
    return chart(
        title("errors by step", name),
        "Failed steps per second.",
        [
            query(
                f'SELECT {rate("error")} FROM "step" {during(run(name), STEPS)} {BY_TIME}, "step" fill(0)',
                "$tag_step",
            )
        ],
        unit="ops",
        stacked=True,
        bars=True,
        shift=SHIFTS[name],
    )
