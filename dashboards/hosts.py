"""*Hosts*: the load generator itself, host by host. Was it the bottleneck, and which host stands out?"""

from __future__ import annotations

from .grafana import Json, chart, panel, query, row, table
from .grafana import dashboard as grafana_dashboard
from .influxql import BY_TIME, HOSTS, OK, during, percentiles, rate, run
from .parts import BUSY, COUNT, LATE, SECONDS, events, which_hosts, which_run

CHOSEN = (run(), HOSTS)
BY_HOST = f'{BY_TIME}, "host"'
AGENT_SAMPLES = "5s"
"""Agents are measured as often."""
THIRD = (8, 8)


def dashboard() -> Json:
    return grafana_dashboard(
        "stampede-hosts",
        "Stampede: Hosts",
        "The load generator itself: processors, memory, lag and agents of each load host.",
        [overview(), *load(), *lag(), *processors(), *memory(), *agents()],
        variables=[which_run(), which_hosts()],
        annotations=events(HOSTS),
    )


def each(measurement: str, selected: str, fill: str = "null") -> str:
    """A figure over time, a line for each host."""
    return f'SELECT {selected} FROM "{measurement}" {during(*CHOSEN)} {BY_HOST} fill({fill})'


def overview() -> Json:
    figures = '"host_cpu" / "host_cores" AS "busy", "cpu", "host_memory_used", "lag_p99", "loop_lag_max"'
    measured = f'SELECT {figures} FROM "load" {during(*CHOSEN)}'
    host = 'mean("busy") AS "cpu", max("cpu") AS "controller", max("host_memory_used") AS "memory"'
    lags = 'max("lag_p99") AS "lag", max("loop_lag_max") AS "loop"'
    steps = f'count("service_time") AS "ok", {percentiles("response_time", 95)}'
    restarts = f'SELECT max("restarts") AS "restarts" FROM "agent" {during(*CHOSEN)} GROUP BY "host", "agent"'
    return table(
        "Load hosts",
        "Each load host in the time range. One that stands out by its processors or its lag is itself slow; one that "
        "stands out by its p95 alone may have the longer way to the services.",
        [
            query(f'SELECT {steps} FROM "step" {during(*CHOSEN, OK)} GROUP BY "host"', table=True),
            query(f'SELECT count("error") AS "failed" FROM "step" {during(*CHOSEN)} GROUP BY "host"', table=True),
            query(f'SELECT {host}, {lags} FROM ({measured}) GROUP BY "host"', table=True),
            query(f'SELECT sum("restarts") AS "restarts" FROM ({restarts}) GROUP BY "host"', table=True),
        ],
        by="host",
        columns={
            "host": ("Load host", {}),
            "ok": ("Steps ok", COUNT),
            "failed": ("Steps failed", COUNT),
            "p95": ("Response time, p95", SECONDS),
            "lag": ("Schedule lag, p99 at most", SECONDS),
            "loop": ("Event loop lag, max", SECONDS),
            "cpu": ("Processors, mean", {"unit": "percentunit"}),
            "controller": ("Controller, max", {"unit": "percentunit"}),
            "memory": ("Memory, max", {"unit": "percentunit"}),
            "restarts": ("Agents' restarts", COUNT),
        },
        unit="short",
    )


def load() -> list[Json]:
    throughput = f'SELECT {rate("service_time")} FROM "step" {during(*CHOSEN, OK)} {BY_HOST} fill(0)'
    return [
        row("What each host does"),
        chart(
            "Throughput",
            "Steps that ended ok, per second. Each host's should be as large as its share of the holders.",
            [query(throughput, "$tag_host")],
            unit="ops",
        ),
        chart(
            "Active holders",
            "Holders that are in their script.",
            [query(each("load", 'max("active")'), "$tag_host")],
            unit="short",
        ),
    ]


def lag() -> list[Json]:
    return [
        row("Lag"),
        chart(
            "Schedule lag, p99",
            "By how much steps began later than they were due: the worst second's 99th percentile. Above 0.1 s the "
            "host does not keep up, and its figures tell about itself.",
            [query(each("load", 'max("lag_p99")'), "$tag_host")],
            unit="s",
            limit=LATE,
        ),
        chart(
            "Event loop lag",
            "How long the controller's own work kept it from looking at anything else.",
            [query(each("load", 'max("loop_lag_max")'), "$tag_host")],
            unit="s",
            limit=LATE,
        ),
    ]


def processors() -> list[Json]:
    busy = f'SELECT "host_cpu" / "host_cores" AS "busy" FROM "load" {during(*CHOSEN)}'
    of_host = f'SELECT mean("busy") FROM ({busy}) {during()} {BY_HOST} fill(null)'
    return [
        row("Processors"),
        chart(
            "Host",
            "How much of all its cores the host uses, whoever uses them.",
            [query(of_host, "$tag_host")],
            unit="percentunit",
            limit=BUSY,
            most=1,
            size=THIRD,
        ),
        chart(
            "Controller",
            "How much of a core the controller uses. It runs on one core: at 100 % it is the bottleneck.",
            [query(each("load", 'mean("cpu")'), "$tag_host")],
            unit="percentunit",
            limit=BUSY,
            size=THIRD,
        ),
        chart(
            "Busiest agent",
            "How much of a core the busiest of the host's agents uses. An agent uses one core for the most part.",
            [query(each("agent", 'max("cpu")'), "$tag_host")],
            unit="percentunit",
            limit=BUSY,
            size=THIRD,
            interval=AGENT_SAMPLES,
        ),
    ]


def memory() -> list[Json]:
    inner = f'SELECT max("rss") AS "rss" FROM "agent" {during(*CHOSEN)} {BY_HOST}, "agent" fill(none)'
    of_agents = f'SELECT sum("rss") FROM ({inner}) {during()} {BY_HOST} fill(none)'
    return [
        row("Memory"),
        chart(
            "Host, used",
            "Share of the host's memory that is in use, wallets in memory included.",
            [query(each("load", 'max("host_memory_used")'), "$tag_host")],
            unit="percentunit",
            limit=BUSY,
            most=1,
            size=THIRD,
        ),
        chart(
            "Controller",
            "Memory of the controller (resident set).",
            [query(each("load", 'max("rss")'), "$tag_host")],
            unit="bytes",
            size=THIRD,
        ),
        chart(
            "Agents, together",
            "Memory of all agents of the host (resident sets). It grows with the holders: about 0.1 MB each.",
            [query(of_agents, "$tag_host")],
            unit="bytes",
            size=THIRD,
            interval=AGENT_SAMPLES,
        ),
    ]


def agents() -> list[Json]:
    def of_agents(selected: str) -> str:
        return f'SELECT {selected} FROM "agent" {during(*CHOSEN)} {BY_HOST}, "agent" fill(null)'

    name = "$tag_host $tag_agent"
    up = {
        "type": "value",
        "options": {"true": {"text": "up", "color": "green"}, "false": {"text": "down", "color": "red"}},
    }
    return [
        row("Agents"),
        chart(
            "Processor",
            "How much of a core each agent uses.",
            [query(of_agents('mean("cpu")'), name)],
            unit="percentunit",
            limit=BUSY,
            interval=AGENT_SAMPLES,
        ),
        chart(
            "Memory",
            "Memory of each agent (resident set); none while it is down.",
            [query(of_agents('max("rss")'), name)],
            unit="bytes",
            interval=AGENT_SAMPLES,
        ),
        panel(
            "state-timeline",
            "Up",
            "When each agent was up. Holders of one that is down fail with agent_died until it is up again.",
            [query(of_agents('last("up")'), name)],
            unit="bool",
            size=(12, 8),
            interval=AGENT_SAMPLES,
            custom={"fillOpacity": 70, "lineWidth": 0, "spanNulls": True},
            defaults={"mappings": [up]},
            options={"showValue": "auto", "mergeValues": True, "rowHeight": 0.8, "legend": {"showLegend": False}},
        ),
        chart(
            "Restarts",
            "How often each agent has been started again so far.",
            [query(of_agents('max("restarts")'), name)],
            unit="short",
            interval=AGENT_SAMPLES,
        ),
    ]
