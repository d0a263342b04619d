"""*Hosts*: the load generator itself, host by host. Was it the bottleneck, and which host stands out?"""

from __future__ import annotations

from .grafana import Json, chart, panel, query, row, table
from .grafana import dashboard as grafana_dashboard
from .influxql import BY_TIME, HOSTS, OK, during, percentiles, rate, run
from .parts import AGENT_LATE, BUSY, COUNT, LATE, RESENT, SECONDS, events, host_variable, run_variable, wide

CHOSEN = (run(), HOSTS)
BY_HOST = f'{BY_TIME}, "host"'
AGENT_SAMPLES = "5s"
"""The interval at which agents are sampled."""
THIRD = (8, 8)
QUARTER = (6, 8)


def dashboard() -> Json:
    return grafana_dashboard(
        "stampede-hosts",
        "Stampede: Hosts",
        "The load generator itself: CPU, memory, lag and agents of each load host.",
        [overview(), *load(), *lag(), *processors(), *queues(), *memory(), *agents()],
        variables=[run_variable(), host_variable()],
        annotations=events(HOSTS),
    )


def each(measurement: str, selected: str, fill: str = "null") -> str:
    """A value over time, one line per host."""
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
        "Each load host in the time range. A host whose CPU or lag stands out is itself slow; one that stands out by "
        "its p95 alone may be farther away from the services.",
        [
            query(f'SELECT {steps} FROM "step" {during(*CHOSEN, OK)} GROUP BY "host"', table=True),
            query(f'SELECT count("error") AS "failed" FROM "step" {during(*CHOSEN)} GROUP BY "host"', table=True),
            query(f'SELECT {host}, {lags} FROM ({measured}) GROUP BY "host"', table=True),
            query(f'SELECT sum("restarts") AS "restarts" FROM ({restarts}) GROUP BY "host"', table=True),
        ],
        by="host",
        columns={
            "host": ("Load host", wide(150)),
            "ok": ("Steps ok", COUNT),
            "failed": ("Steps failed", COUNT),
            "p95": ("Response time, p95", SECONDS),
            "lag": ("Schedule lag, max p99", SECONDS),
            "loop": ("Event loop lag, max", SECONDS),
            "cpu": ("CPU, mean", {"unit": "percentunit"}),
            "controller": ("Controller, max", {"unit": "percentunit"}),
            "memory": ("Memory, max", {"unit": "percentunit"}),
            "restarts": ("Agent restarts", COUNT),
        },
        unit="short",
    )


def load() -> list[Json]:
    throughput = f'SELECT {rate("service_time")} FROM "step" {during(*CHOSEN, OK)} {BY_HOST} fill(0)'
    return [
        row("Load of each host"),
        chart(
            "Throughput",
            "Ok steps per second. Each host's rate should match its share of the holders.",
            [query(throughput, "$tag_host")],
            unit="ops",
        ),
        chart(
            "Active holders",
            "Holders in their script.",
            [query(each("load", 'max("active")'), "$tag_host")],
            unit="short",
        ),
    ]


def lag() -> list[Json]:
    return [
        row("Lag"),
        chart(
            "Schedule lag, p99",
            "How much later than due steps began: the 99th percentile of the worst second. Above 0.1 s the host does "
            "not keep up, and its figures describe the host rather than the services.",
            [query(each("load", 'max("lag_p99")'), "$tag_host")],
            unit="s",
            limit=LATE,
        ),
        chart(
            "Event loop lag",
            "How long the controller's event loop was blocked by its own work.",
            [query(each("load", 'max("loop_lag_max")'), "$tag_host")],
            unit="s",
            limit=LATE,
        ),
    ]


def processors() -> list[Json]:
    busy = f'SELECT "host_cpu" / "host_cores" AS "busy" FROM "load" {during(*CHOSEN)}'
    of_host = f'SELECT mean("busy") FROM ({busy}) {during()} {BY_HOST} fill(null)'
    return [
        row("CPU"),
        chart(
            "Host",
            "Utilisation of all cores of the host, by any process.",
            [query(of_host, "$tag_host")],
            unit="percentunit",
            limit=BUSY,
            most=1,
            size=THIRD,
        ),
        chart(
            "Controller",
            "CPU of the controller, in cores. It runs on one core: at 100 % it is the bottleneck.",
            [query(each("load", 'mean("cpu")'), "$tag_host")],
            unit="percentunit",
            limit=BUSY,
            size=THIRD,
        ),
        chart(
            "Busiest agent",
            "CPU of the busiest agent of the host, in cores. An agent uses little more than one core.",
            [query(each("agent", 'max("cpu")'), "$tag_host")],
            unit="percentunit",
            limit=BUSY,
            size=THIRD,
            interval=AGENT_SAMPLES,
        ),
    ]


def queues() -> list[Json]:
    return [
        row("What the host waits for"),
        chart(
            "Stolen",
            "Cores that the host wanted and its hypervisor gave to others.",
            [query(each("load", 'max("steal")'), "$tag_host")],
            unit="short",
            size=QUARTER,
        ),
        chart(
            "Run queue",
            "Tasks that had a core or waited for one. More than the host has cores wait.",
            [query(each("load", 'max("running")'), "$tag_host")],
            unit="short",
            size=QUARTER,
        ),
        chart(
            "TCP sockets",
            "Sockets of the host. A phone that is connected to its mediator holds one.",
            [query(each("load", 'max("sockets")'), "$tag_host")],
            unit="short",
            size=QUARTER,
        ),
        chart(
            "Sent again",
            "Share of the host's TCP segments that were sent again. Some percent slow the network down markedly.",
            [query(each("load", 'max("resent")'), "$tag_host")],
            unit="percentunit",
            limit=RESENT,
            size=QUARTER,
        ),
    ]


def memory() -> list[Json]:
    inner = f'SELECT max("rss") AS "rss" FROM "agent" {during(*CHOSEN)} {BY_HOST}, "agent" fill(none)'
    of_agents = f'SELECT sum("rss") FROM ({inner}) {during()} {BY_HOST} fill(none)'
    return [
        row("Memory"),
        chart(
            "Host, used",
            "Share of the host's memory in use, including wallets in memory.",
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
            "Memory of all agents of the host (resident sets). It grows by about 0.1 MB per holder.",
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
            "CPU",
            "CPU of each agent, in cores.",
            [query(of_agents('mean("cpu")'), name)],
            unit="percentunit",
            limit=BUSY,
            interval=AGENT_SAMPLES,
        ),
        chart(
            "Waiting for a core",
            "Threads of each agent that were ready to run and had no core, on average. Where they are more than the "
            "cores that it uses, others use its cores, or a quota limits it.",
            [query(of_agents('mean("cpu_wait")'), name)],
            unit="short",
            interval=AGENT_SAMPLES,
        ),
        chart(
            "Memory",
            "Memory of each agent (resident set); none while it is down.",
            [query(of_agents('max("rss")'), name)],
            unit="bytes",
            interval=AGENT_SAMPLES,
        ),
        chart(
            "Answer to an empty request",
            "How long each agent took, at worst, to answer a request that asks for nothing. Above 0.2 s steps wait "
            "for the agent rather than for the services.",
            [query(of_agents('max("loop_lag")'), name)],
            unit="s",
            limit=AGENT_LATE,
            interval=AGENT_SAMPLES,
        ),
        chart(
            "Requests not answered",
            "The controller's requests that each agent had not answered, at most.",
            [query(of_agents('max("queue")'), name)],
            unit="short",
            interval=AGENT_SAMPLES,
        ),
        panel(
            "state-timeline",
            "Up",
            "When each agent was up. The holders of an agent that is down fail with agent_died.",
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
            "How often each agent has been restarted so far.",
            [query(of_agents('max("restarts")'), name)],
            unit="short",
            interval=AGENT_SAMPLES,
        ),
    ]
