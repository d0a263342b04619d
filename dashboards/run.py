"""*Run*: the course of a run. What a performance engineer looks at first comes first."""

from __future__ import annotations

from .grafana import COLUMN, Json, chart, color, override, panel, query, row, stat, table
from .grafana import dashboard as grafana_dashboard
from .influxql import (
    BY_TIME,
    COMPLETE,
    FAILED,
    HOSTS,
    OK,
    STEPS,
    during,
    error_classes,
    lags,
    newest,
    per_second,
    percentiles,
    rate,
    run,
    total,
    where,
)
from .parts import (
    BUSY,
    COUNT,
    LATE,
    OUTCOMES,
    SECONDS,
    events,
    host_variable,
    run_variable,
    schedule_lag,
    step_variable,
    wide,
)

CHOSEN = (run(), HOSTS, STEPS)
"""The steps selected at the top of the dashboard."""
ON_HOSTS = (run(), HOSTS)
SAMPLES = "2s"
"""Hosts sample themselves once a second, at different moments: two seconds contain a sample of each."""


def dashboard() -> Json:
    return grafana_dashboard(
        "stampede-run",
        "Stampede: Run",
        "The course of a run: load, latency, errors, and whether the load generator kept up.",
        [*figures(), *load(), *latency(), *errors(), *observations(), *scripts_and_groups(), *details()],
        variables=[run_variable(), host_variable(), step_variable()],
        annotations=events(HOSTS),
    )


def figures() -> list[Json]:
    """The run at a glance."""
    ok = f'SELECT {rate("service_time")} FROM "step" {during(*CHOSEN, OK)} {BY_TIME} fill(0)'
    share = 'SELECT count("error") / count("service_time") FROM "step"'
    busy = f'SELECT "host_cpu" / "host_cores" AS "busy" FROM "load" {during(*ON_HOSTS)}'
    restarts = f'SELECT max("restarts") AS "restarts" FROM "agent" {during(*ON_HOSTS)} GROUP BY "host", "agent"'
    return [
        stat(
            "Throughput",
            "Ok steps per second, mean over the time range.",
            [query(ok)],
            unit="ops",
            reduce="mean",
            decimals=1,
        ),
        stat(
            "Failed steps",
            "Share of failed steps; steps interrupted by the end of the run are not counted.",
            [query(f"{share} {during(*CHOSEN, COMPLETE)}")],
            unit="percentunit",
            levels=(("green", None), ("orange", 0.0001), ("red", 0.01)),
            none="0 %",
            graph=False,
        ),
        stat(
            "Active holders",
            "Holders in their script at the end of the time range, on all selected hosts.",
            [query(newest("active", "load", *ON_HOSTS))],
            unit="short",
            decimals=0,
            graph=False,
        ),
        stat(
            "Response time, p95",
            "95 of 100 ok steps took at most this long from the moment they were due.",
            [query(f'SELECT {percentiles("response_time", 95)} FROM "step" {during(*CHOSEN, OK)}')],
            unit="s",
            graph=False,
        ),
        stat(
            "Response time, p99",
            "99 of 100 ok steps took at most this long from the moment they were due.",
            [query(f'SELECT {percentiles("response_time", 99)} FROM "step" {during(*CHOSEN, OK)}')],
            unit="s",
            graph=False,
        ),
        schedule_lag(*CHOSEN),
        stat(
            "Busiest load host",
            "The highest CPU utilisation of a load host, of all its cores. Near 100 %, the generator rather than the "
            "services may be what is measured.",
            [query(f'SELECT max("busy") FROM ({busy}) {during()} {BY_TIME} fill(none)')],
            unit="percentunit",
            reduce="max",
            levels=(("green", None), ("orange", 0.75), ("red", BUSY)),
        ),
        stat(
            "Agent restarts",
            "How often holders' agents had to be restarted.",
            [query(f'SELECT sum("restarts") FROM ({restarts})')],
            unit="short",
            levels=(("green", None), ("red", 1)),
            none="0",
            graph=False,
        ),
    ]


def load() -> list[Json]:
    by_outcome = f'SELECT {rate("service_time")} FROM "step" {during(*CHOSEN)} {BY_TIME}, "outcome" fill(0)'
    come, left_out = (per_second("load", [what], *ON_HOSTS) for what in ("arrivals", "dropped"))
    return [
        row("Load"),
        chart(
            "Throughput",
            "Completed steps per second: ok, failed, and interrupted by the end of the run.",
            [query(by_outcome, "$tag_outcome")],
            unit="ops",
            overrides=[color(outcome, shade) for outcome, shade in OUTCOMES.items()],
        ),
        chart(
            "Holders",
            "Holders in their script, steps in flight, and holder arrivals per second (right axis), also those, "
            "or rounds, that were dropped because all holders were busy. Steps in flight that keep growing under a "
            "steady load mean that a service falls behind.",
            [
                query(total("active", "load", *ON_HOSTS), "active holders"),
                query(total("in_flight", "load", *ON_HOSTS), "steps in flight"),
                query(come, "arrivals"),
                query(left_out, "dropped"),
            ],
            unit="short",
            interval=SAMPLES,
            overrides=[override(what, unit="ops", custom__axisPlacement="right") for what in ("arrivals", "dropped")],
        ),
    ]


def latency() -> list[Json]:
    steps_ok = f'FROM "step" {during(*CHOSEN, OK)}'
    both = 'percentile("service_time", 95) AS "service time", percentile("response_time", 95) AS "response time"'
    lag = f'SELECT {percentiles("lag", 50, 99)}, max("lag") AS "max" {lags(*CHOSEN)} {BY_TIME} fill(none)'
    shown = {
        50: "the median: half of the steps took at most this long.",
        95: "95 of 100 steps took at most this long.",
        99: "99 of 100 steps took at most this long. With fewer than a few hundred steps it is close to the maximum.",
    }
    return [
        row("Latency"),
        *(
            chart(
                f"Response time by step, p{share}",
                f"From the moment a step was due to its end, for ok steps; {meaning}",
                [query(f'SELECT percentile("response_time", {share}) {steps_ok} {BY_TIME}, "step"', "$tag_step")],
                unit="s",
                size=(8, 10),
            )
            for share, meaning in shown.items()
        ),
        chart(
            "Response time against service time, p95",
            "Service time begins when the step does, response time when it was due. Where they diverge, the "
            "generator was late, and the service times look better than what holders saw (coordinated omission).",
            [query(f"SELECT {both} {steps_ok} {BY_TIME}", "$col")],
            unit="s",
        ),
        chart(
            "Schedule lag",
            "How much later than due steps began; those that follow directly on another are not counted. Above 0.1 s "
            "the generator does not keep up.",
            [query(lag, "$col")],
            unit="s",
            limit=LATE,
        ),
    ]


def errors() -> list[Json]:
    def errors_of(name: str) -> Json:
        chosen = during(*CHOSEN, f"\"error\" = '{name}'")
        return query(f'SELECT {rate("service_time")} FROM "step" {chosen} {BY_TIME} fill(0)', name)

    by_step = f'SELECT {rate("error")} FROM "step" {during(*CHOSEN)} {BY_TIME}, "step" fill(0)'
    return [
        row("Errors"),
        chart(
            "Errors by class",
            "Failed steps per second, by error class. The first failures are often the cause of the rest.",
            [errors_of(name) for name in error_classes()],
            unit="ops",
            stacked=True,
            bars=True,
            size=(12, 9),
        ),
        chart(
            "Errors by step",
            "Failed steps per second, by step.",
            [query(by_step, "$tag_step")],
            unit="ops",
            stacked=True,
            bars=True,
            size=(12, 9),
        ),
    ]


def observations() -> list[Json]:
    """What the script checks and measures."""
    failed = f'SELECT {rate("holder")} FROM "check" {during(*ON_HOSTS, FAILED)} {BY_TIME}, "check" fill(0)'
    means = f'SELECT mean("value") FROM "measure" {during(*ON_HOSTS)} {BY_TIME}, "measure" fill(none)'
    return [
        row("Checks and measures"),
        chart(
            "Failed checks",
            "Checks of the script that failed per second, by check. Empty when the script has none.",
            [query(failed, "$tag_check")],
            unit="ops",
            stacked=True,
            bars=True,
        ),
        chart(
            "Measures",
            "Numbers that the script measures, by measure, in its own units: the mean of each interval. Empty when "
            "the script has none.",
            [query(means, "$tag_measure")],
            unit="short",
            least=None,
        ),
    ]


def details() -> list[Json]:
    measured = (
        f'count("service_time") AS "ok", mean("response_time") AS "mean", {percentiles("response_time", 50, 95, 99)}'
    )
    times = f'SELECT {measured}, max("response_time") AS "max" FROM "step" {during(*CHOSEN, OK)} GROUP BY "step"'
    failed = f'SELECT count("error") AS "failed" FROM "step" {during(*CHOSEN)} GROUP BY "step"'
    happened = during(run(), HOSTS)
    return [
        row("Details"),
        table(
            "Steps",
            "Each step in the time range: the number of ok and failed steps; response times of ok steps.",
            [query(times, table=True), query(failed, table=True)],
            by="step",
            columns={
                "step": ("Step", wide(200)),
                "ok": ("Ok", COUNT),
                "failed": ("Failed", COUNT),
                "mean": ("Mean", SECONDS),
                "p50": ("p50", SECONDS),
                "p95": ("p95", SECONDS),
                "p99": ("p99", SECONDS),
                "max": ("Max", SECONDS),
            },
            unit="s",
        ),
        table(
            "Events",
            "The run's phases, and faults such as agents that died or full disks, as in the annotations.",
            [
                query(
                    f'SELECT "host", "kind", "text" FROM "event" {happened} ORDER BY time DESC LIMIT 200', table=True
                )
            ],
            columns={
                "Time": ("Time", wide(170)),
                "host": ("Host", wide(150)),
                "kind": ("Kind", wide(130)),
                "text": ("Event", {}),
            },
            hidden=(),
            unit="string",
        ),
        runs(),
    ]


def scripts_and_groups() -> list[Json]:
    def by(tag: str, selected: str, fill: str, more: str = "") -> str:
        has = f"\"{tag}\" != ''"
        return f'SELECT {selected} FROM "step" {during(*CHOSEN, OK, has)} {BY_TIME}, "{tag}"{more} fill({fill})'

    p95 = percentiles("response_time", 95)
    return [
        row("Scripts and groups"),
        chart(
            "Throughput by script",
            "Ok steps per second of each script. Empty when the run has one only.",
            [query(by("script", rate("service_time"), "0"), "$tag_script")],
            unit="ops",
            size=(8, 8),
        ),
        chart(
            "Response time by script, p95",
            "Of the steps of each script. Empty when the run has one only.",
            [query(by("script", p95, "none", ', "step"'), "$tag_script $tag_step")],
            unit="s",
            size=(8, 8),
        ),
        chart(
            "Response time by group, p95",
            "Of the steps in each holder.group. Empty when the scripts have none.",
            [query(by("group", p95, "none", ', "step"'), "$tag_group $tag_step")],
            unit="s",
            size=(8, 8),
        ),
    ]


def runs() -> Json:
    """All runs; a click on one shows its time range."""
    began = where("\"kind\" = 'phase'", "\"text\" = 'running'")
    link = {
        "title": "Show this run",
        "url": "/d/stampede-run?${datasource:queryparam}&var-run=${__data.fields[0]}"
        "&from=${__data.fields[1].numeric}&to=${__data.fields[2].numeric}",
    }
    return panel(
        "table",
        "Runs",
        "All runs in the database, with their start and end. Click one to see its time range.",
        [
            query(f'SELECT first("value") AS "began" FROM "event" {began} GROUP BY "run"', table=True),
            query('SELECT last("in_flight") AS "ended" FROM "load" GROUP BY "run"', table=True),
        ],
        unit="string",
        size=(24, 8),
        custom=COLUMN | {"filterable": True},
        options={"showHeader": True, "cellHeight": "sm"},
        overrides=[override("run", links=[link])],
        transformations=[
            {"id": "joinByField", "options": {"byField": "run", "mode": "outer"}},
            {"id": "sortBy", "options": {"sort": [{"field": "run", "desc": True}]}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"began": True, "ended": True},
                    "renameByName": {"run": "Run", "Time event": "Began", "Time load": "Ended"},
                },
            },
        ],
    )
