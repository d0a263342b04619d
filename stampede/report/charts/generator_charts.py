"""The load generator over time: CPU, memory, lag and queues of each host, and CPU of its agents."""

import numpy as np
from numpy.typing import NDArray

from stampede.report.charts.chart_data import GeneratorChart
from stampede.report.charts.intervals import interval_maxima, interval_means, interval_of, to_series
from stampede.results.journal_columns import JournalColumns

WORST = "all hosts"
OPTIONAL = frozenset({"stolen", "agents_late", "running", "starved", "waiting", "sockets"})  # not in every journal

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]


def build_generator_charts(journal: JournalColumns, edges: Integers) -> dict[str, GeneratorChart]:
    """CPU, memory, lag and queues of each host.

    Where there are several hosts, the first entry is, for each figure and interval, the worst of them.
    """
    load, agent = journal.load, journal.agent
    load_host, agent_host = np.asarray(load.host), np.asarray(agent.host)
    agent_source, agent_cpu = np.asarray(agent.source), agent.column("cpu")
    cores = np.maximum(load.column("host_cores"), 1)
    load_interval, agent_interval = (
        interval_of(np.asarray(load.time), edges),
        interval_of(np.asarray(agent.time), edges),
    )
    intervals = len(edges) - 1
    means = {
        "host": load.column("host_cpu") / cores,
        "controller": load.column("cpu"),
        "memory": load.column("host_memory_used"),
    }
    maxima = {
        "lag": load.column("lag_p99"),
        "loop": load.column("loop_lag_max"),
        "stolen": load.column("steal") / cores,
        "running": load.column("running"),
        "sockets": load.column("sockets"),
    }
    of_agents = {
        "agents_late": agent.column("loop_lag"),
        "starved": agent.column("cpu_wait"),
        "waiting": agent.column("queue"),
    }

    figures: dict[str, dict[str, Floats]] = {}
    agents: dict[str, dict[str, Floats]] = {}
    for number, host in enumerate(journal.hosts.list):
        here = load_host == number
        if not here.any():
            continue
        figures[host] = {
            name: interval_means(load_interval[here], values[here], intervals) for name, values in means.items()
        } | {name: interval_maxima(load_interval[here], values[here], intervals) for name, values in maxima.items()}
        its_agents = agent_host == number
        figures[host] |= {
            name: interval_maxima(agent_interval[its_agents], values[its_agents], intervals)
            for name, values in of_agents.items()
        }
        agents[host] = {}
        for which in np.unique(agent_source[its_agents]):
            samples = its_agents & (agent_source == which)
            agents[host][journal.agents.list[which]] = interval_means(
                agent_interval[samples], agent_cpu[samples], intervals
            )

    charts: dict[str, GeneratorChart] = {}
    if len(figures) > 1:
        worst = {
            name: _worst([series[name] for series in figures.values()]) for name in (*means, *maxima, *of_agents)
        }
        all_agents = [cpu for by_name in agents.values() for cpu in by_name.values()]
        charts[WORST] = _generator_chart(worst, {"busiest agent": _worst(all_agents)} if all_agents else {})
    return charts | {host: _generator_chart(figures[host], agents[host]) for host in figures}


def _generator_chart(figures: dict[str, Floats], agents: dict[str, Floats]) -> GeneratorChart:
    series = {
        name: to_series(values)
        for name, values in figures.items()
        if name not in OPTIONAL or np.isfinite(values).any()
    }
    return GeneratorChart(agents={name: to_series(values) for name, values in agents.items()}, **series)


def _worst(figures: list[Floats]) -> Floats:
    """The largest at each moment; NaN only where all are."""
    worst: Floats = np.fmax.reduce(np.stack(figures))
    return worst
