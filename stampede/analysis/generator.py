"""Was the load generator itself the bottleneck? Its lag, processors and memory during the load.

Figures of a run whose generator was overloaded tell about the generator, not about the services under test,
so every report says which it was, and why.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stampede import wording
from stampede.analysis.load_window import Window
from stampede.results.journal_columns import Journal, Samples

BUSY = 0.9  # of a core (controller, agent) or of all cores (host)
BUSY_TIME = 0.2  # of the samples: shorter bursts are borne
LATE = 0.1  # seconds; schedule lag, 99th percentile
FULL = 0.9  # of the host's memory

type Floats = NDArray[np.float64]


def judge(journal: Journal, window: Window | None) -> dict[str, Any]:
    """The `generator` part of summary.json.

    CPU figures of processes are cores used (1 = one core), those of hosts shares of all cores; times are
    seconds. `bottleneck` is None when nothing was measured.
    """
    load, agent = journal.load, journal.agent
    during_load, during_agent = _within(load, window), _within(agent, window)
    load_host = np.asarray(load.host)
    agent_host, agent_number = np.asarray(agent.host), np.asarray(agent.source)
    cpu, host_cpu = load.column("cpu"), load.column("host_cpu") / np.maximum(load.column("host_cores"), 1)
    memory, rss = load.column("host_memory_used"), load.column("rss")
    agent_cpu, agent_rss, restarts = (agent.column(name) for name in ("cpu", "rss", "restarts"))

    hosts: dict[str, Any] = {}
    for number, host in enumerate(journal.hosts.list):
        if number not in load_host and number not in agent_host:
            continue
        here = during_load & (load_host == number)
        agents: dict[str, Any] = {}
        for which in np.unique(agent_number[agent_host == number]):
            its = (agent_host == number) & (agent_number == which)
            agents[journal.agents.list[which]] = {
                "cpu": spread(agent_cpu[its & during_agent]),
                "busy_share": _busy(agent_cpu[its & during_agent]),
                "rss_max": largest(agent_rss[its]),
                "restarts": int(largest(restarts[its]) or 0),
            }
        hosts[host] = {
            "controller_cpu": spread(cpu[here]),
            "controller_busy_share": _busy(cpu[here]),
            "controller_rss_max": largest(rss[here]),
            "cpu_share": spread(host_cpu[here]),
            "cpu_busy_share": _busy(host_cpu[here]),
            "memory_share_max": largest(memory[here]),
            "agents": agents,
        }
    lag = schedule_lag(journal)
    reasons = _reasons(hosts, lag["p99"])
    return {
        "bottleneck": bool(reasons) if during_load.any() or reasons else None,
        "reasons": reasons,
        "schedule_lag": lag,
        "loop_lag_max": largest(load.column("loop_lag_max")[during_load]),
        "controller_cpu": spread(cpu[during_load]),
        "agents_cpu": spread(agent_cpu[during_agent]),
        "host_cpu_share": spread(host_cpu[during_load]),
        "host_memory_share_max": largest(memory[during_load]),
        "hosts": hosts,
    }


def schedule_lag(journal: Journal) -> dict[str, float | None]:
    """How late steps began: response less service time, exact over the steps that had a moment to begin at.

    A step has one after a think time and at the holder's start; one that follows directly on another begins
    at once, its two times are the same, and it says nothing about lateness.
    """
    lag = np.asarray(journal.steps.response_time) - np.asarray(journal.steps.service_time)
    late = lag[lag > 0]
    if not late.size:
        nothing = 0.0 if lag.size else None
        return {"p50": nothing, "p99": nothing, "max": nothing}
    p50, p99 = np.percentile(late, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "max": float(late.max())}


def spread(values: Floats) -> dict[str, float | None]:
    """Mean and maximum of the values that are numbers; None when there are none."""
    values = values[np.isfinite(values)]
    if not values.size:
        return {"mean": None, "max": None}
    return {"mean": float(values.mean()), "max": float(values.max())}


def largest(values: Floats) -> float | None:
    """The largest of the values that are numbers; None when there are none."""
    return spread(values)["max"]


def _within(samples: Samples, window: Window | None) -> NDArray[np.bool_]:
    time = np.asarray(samples.time)
    if window is None:
        return np.zeros(time.shape, dtype=bool)
    return (time >= window.start) & (time <= window.end)


def _busy(cpu: Floats) -> float | None:
    """The share of samples above BUSY."""
    cpu = cpu[np.isfinite(cpu)]
    return float((cpu > BUSY).mean()) if cpu.size else None


def _reasons(hosts: dict[str, Any], late: float | None) -> list[str]:
    """Why the generator was the bottleneck, a sentence for each kind of reason; empty when it was not."""
    reasons = []
    if late is not None and late > LATE:
        reasons.append(
            f"Steps began late: one in a hundred more than {wording.seconds(late)} after its moment "
            f"(limit {wording.seconds(LATE)})."
        )
    agents = {
        f"{agent} of host {host}": figures["busy_share"]
        for host, its in hosts.items()
        for agent, figures in its["agents"].items()
    }
    controllers = {f"the controller of host {host}": its["controller_busy_share"] for host, its in hosts.items()}
    machines = {f"host {host}": its["cpu_busy_share"] for host, its in hosts.items()}
    reasons += _busy_reason(agents, "agents", "a core")
    reasons += _busy_reason(controllers, "controllers", "a core")
    reasons += _busy_reason(machines, "hosts", "all processors")
    for host, its in hosts.items():
        used = its["memory_share_max"]
        if used is not None and used > FULL:
            reasons.append(f"The memory of host {host} was {wording.percent(used)} used.")
    return reasons


def _busy_reason(shares: dict[str, float | None], what: str, of: str) -> list[str]:
    """One sentence about the processes or hosts that were busy for too long, naming the busiest."""
    busy = {name: share for name, share in shares.items() if share is not None and share > BUSY_TIME}
    if not busy:
        return []
    worst = max(busy, key=lambda name: busy[name])
    limit, share = wording.percent(BUSY), wording.percent(busy[worst])
    if len(busy) == 1:
        return [f"{worst[0].upper()}{worst[1:]} used more than {limit} of {of} for {share} of the time."]
    return [
        f"{len(busy)} of {len(shares)} {what} used more than {limit} of {of} for more than "
        f"{wording.percent(BUSY_TIME)} of the time; the busiest was {worst} ({share} of the time)."
    ]
