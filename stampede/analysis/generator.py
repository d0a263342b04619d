"""Was the load generator itself the bottleneck? Its lag, CPU and memory during the load.

Figures of a run whose generator was overloaded describe the generator, not the services under test,
so every report says which it was, and why.
"""

import numpy as np
from numpy.typing import NDArray

from stampede import wording
from stampede.analysis.load_window import SECOND, Window
from stampede.analysis.percentiles import percentiles
from stampede.results.journal_columns import JournalColumns, Samples
from stampede.schema.host_summary import AgentUsage, Due, GeneratorSummary, HostUsage, MeanAndMax, ScheduleLag

AGENT_LATE = 0.2  # seconds; an empty request to an agent
STARVED = 0.5  # cores that an agent wanted and did not get, if they are also more than it got
BUSY = 0.9  # of a core (controller, agent) or of all cores (host)
BUSY_TIME = 0.2  # of the samples; shorter bursts are tolerated
STOLEN = 0.1  # of a host's cores, by its hypervisor
LATE = 0.1  # seconds; schedule lag, 99th percentile
FULL = 0.9  # of the host's memory

type Floats = NDArray[np.float64]
type Truths = NDArray[np.bool_]


def build_generator(
    journal: JournalColumns, window: Window | None, *, rounds_are_due: bool = False
) -> GeneratorSummary:
    """The `generator` part of summary.json, over the measured part of the run.

    `rounds_are_due`: whether rounds begin at a rate."""
    load, agent = _Samples(journal.load, window), _Samples(journal.agent, window)
    known = set(np.unique(np.concatenate([load.hosts, agent.hosts])).tolist())
    hosts = {
        host: _host_usage(journal, number, load, agent)
        for number, host in enumerate(journal.hosts.list)
        if number in known
    }
    lag = schedule_lag(journal, window, rounds_are_due=rounds_are_due)
    reasons = _reasons(hosts, lag.p99)
    everywhere = load.during
    return GeneratorSummary(
        bottleneck=bool(reasons) if everywhere.any() or reasons else None,
        reasons=reasons,
        schedule_lag=lag,
        loop_lag_max=_largest(load.columns["loop_lag_max"][everywhere]),
        controller_cpu=_mean_and_max(load.columns["cpu"][everywhere]),
        agents_cpu=_mean_and_max(agent.columns["cpu"][agent.during]),
        host_cpu_share=_mean_and_max(load.columns["host_cpu_share"][everywhere]),
        host_memory_share_max=_largest(load.columns["host_memory_used"][everywhere]),
        hosts=hosts,
    )


def schedule_lag(
    journal: JournalColumns, window: Window | None = None, *, rounds_are_due: bool = False
) -> ScheduleLag:
    """How late steps started that ended within the window: response less service time, exact over the steps that had
    a due time of their own.
    `rounds_are_due`: whether rounds begin at a rate.

    A step has one after a think time and at the holder's start; one that follows directly on another starts at once,
    both its times are the same, and it says nothing about lateness.
    """
    lag = np.asarray(journal.steps.response_time) - np.asarray(journal.steps.service_time)
    if window:
        end = np.asarray(journal.steps.end)
        lag = np.where((end >= window.start) & (end <= window.end), lag, 0.0)
    late = lag[lag > 0]
    if not late.size:
        nothing = 0.0 if lag.size else None
        return ScheduleLag(nothing, nothing, nothing)
    p50, p99 = percentiles(late, (50, 99))
    return ScheduleLag(p50, p99, float(late.max()), _due(journal, lag, rounds_are_due=rounds_are_due))


def _due(journal: JournalColumns, lag: Floats, *, rounds_are_due: bool) -> dict[str, Due]:
    """What had a due time of its own, by kind. Steps are told apart in the order in which they began: one that has
    others in it ends after them, but it is the one that was due."""
    steps = journal.steps
    holder, iteration = np.asarray(steps.holder), np.asarray(steps.iteration)
    end = np.asarray(steps.end)
    begin = end - (np.asarray(steps.service_time) * SECOND).astype(np.int64)
    order = np.lexsort((-end, begin, holder))
    arrival = np.zeros(lag.shape, dtype=bool)
    arrival[order] = np.diff(holder[order], prepend=-1) != 0
    first_of_round = np.zeros(lag.shape, dtype=bool)
    if rounds_are_due:
        first_of_round[order] = (np.diff(iteration[order], prepend=0) > 0) & ~arrival[order]
    kinds = {"arrivals": arrival, "rounds": first_of_round, "think_times": ~arrival & ~first_of_round}
    found = {
        kind: Due(int((here & (lag > 0)).sum()), int((here & (lag > LATE)).sum())) for kind, here in kinds.items()
    }
    return {kind: due for kind, due in found.items() if due.number}


class _Samples:
    """The samples of `load` or `agent`: the host of each, which were taken during the load, and their columns."""

    def __init__(self, samples: Samples, window: Window | None) -> None:
        time = np.asarray(samples.time)
        self.hosts = np.asarray(samples.host)
        self.agents = np.asarray(samples.source)
        self.during: Truths = (
            (time >= window.start) & (time <= window.end) if window else np.zeros(time.shape, dtype=bool)
        )
        self.columns = {name: samples.column(name) for name in samples.columns}
        if "host_cpu" in self.columns:
            cores = np.maximum(self.columns["host_cores"], 1)
            self.columns["host_cpu_share"] = self.columns["host_cpu"] / cores
            self.columns["stolen"] = self.columns["steal"] / cores


def _host_usage(journal: JournalColumns, number: int, load: _Samples, agent: _Samples) -> HostUsage:
    """CPU and memory of one host, of its controller and of its agents."""
    here = load.during & (load.hosts == number)
    controller_cpu, cpu_share = load.columns["cpu"][here], load.columns["host_cpu_share"][here]
    agents = {}
    for which in np.unique(agent.agents[agent.hosts == number]):
        samples = (agent.hosts == number) & (agent.agents == which)
        cpu = agent.columns["cpu"][samples & agent.during]
        agents[journal.agents.list[which]] = AgentUsage(
            cpu=_mean_and_max(cpu),
            busy_share=_busy_share(cpu),
            rss_max=_largest(agent.columns["rss"][samples]),
            restarts=int(_largest(agent.columns["restarts"][samples]) or 0),
            late_share=_share_above(agent.columns["loop_lag"][samples & agent.during], AGENT_LATE),
            queue_max=_largest(agent.columns["queue"][samples & agent.during]),
            starved_share=_starved_share(cpu, agent.columns["cpu_wait"][samples & agent.during]),
        )
    return HostUsage(
        controller_cpu=_mean_and_max(controller_cpu),
        controller_busy_share=_busy_share(controller_cpu),
        controller_rss_max=_largest(load.columns["rss"][here]),
        cpu_share=_mean_and_max(cpu_share),
        cpu_busy_share=_busy_share(cpu_share),
        stolen_share=_share_above(load.columns["stolen"][here], STOLEN),
        memory_share_max=_largest(load.columns["host_memory_used"][here]),
        agents=agents,
    )


def _mean_and_max(values: Floats) -> MeanAndMax:
    """Of the values that are numbers."""
    values = values[np.isfinite(values)]
    if not values.size:
        return MeanAndMax(None, None)
    return MeanAndMax(float(values.mean()), float(values.max()))


def _largest(values: Floats) -> float | None:
    """The largest of the values that are numbers; None when there are none."""
    return _mean_and_max(values).max


def is_starved(cpu: Floats, cpu_wait: Floats) -> Truths:
    """Whether an agent was kept from its work for want of CPU: all cores that it may use are busy, or few, or its
    quota is used up. What it used itself may be little then."""
    return (cpu_wait > STARVED) & (cpu_wait > cpu)


def _starved_share(cpu: Floats, cpu_wait: Floats) -> float | None:
    """The share of samples in which an agent was starved of CPU time; None where it was not recorded."""
    known = np.isfinite(cpu_wait)
    return float(is_starved(cpu, cpu_wait)[known].mean()) if known.any() else None


def _busy_share(cpu: Floats) -> float | None:
    """The share of samples above BUSY."""
    return _share_above(cpu, BUSY)


def _share_above(values: Floats, limit: float) -> float | None:
    """Of the values that are numbers; None when there are none."""
    values = values[np.isfinite(values)]
    return float((values > limit).mean()) if values.size else None


def _reasons(hosts: dict[str, HostUsage], late: float | None) -> list[str]:
    """Why the generator was the bottleneck, a sentence for each kind of reason; empty when it was not."""
    reasons = []
    if late is not None and late > LATE:
        reasons.append(
            f"Steps started late: 1 in 100 started more than {wording.seconds(late)} after it was due "
            f"(limit {wording.seconds(LATE)})."
        )
    agents = {
        f"{name} on host {host}": agent for host, usage in hosts.items() for name, agent in usage.agents.items()
    }
    controllers = {f"the controller on host {host}": usage.controller_busy_share for host, usage in hosts.items()}
    machines = {f"host {host}": usage.cpu_busy_share for host, usage in hosts.items()}
    reasons += _busy_reason({name: agent.busy_share for name, agent in agents.items()}, "agents", "a core")
    reasons += _for_too_long(
        {name: agent.late_share for name, agent in agents.items()},
        f"took more than {wording.seconds(AGENT_LATE)} to answer an empty request",
    )
    reasons += _for_too_long(
        {name: agent.starved_share for name, agent in agents.items()},
        "spent more time waiting for a core than running",
    )
    reasons += _busy_reason(controllers, "controllers", "a core")
    reasons += _busy_reason(machines, "hosts", "all cores")
    reasons += _for_too_long(
        {f"the hypervisor of host {host}": usage.stolen_share for host, usage in hosts.items()},
        f"gave more than {wording.percent(STOLEN)} of the host's cores to other machines",
    )
    for host, usage in hosts.items():
        used = usage.memory_share_max
        if used is not None and used > FULL:
            reasons.append(f"Host {host} used {wording.percent(used)} of its memory.")
    return reasons


def _for_too_long(shares: dict[str, float | None], did: str) -> list[str]:
    """One sentence about those of whom something is true for too long, naming the worst."""
    beyond = {name: share for name, share in shares.items() if share is not None and share > BUSY_TIME}
    if not beyond:
        return []
    worst = max(beyond, key=lambda name: beyond[name])
    others = f", and so did {wording.number(len(beyond) - 1, 'other')}" if len(beyond) > 1 else ""
    return [f"{worst[0].upper()}{worst[1:]} {did} for {wording.percent(beyond[worst])} of the time{others}."]


def _busy_reason(shares: dict[str, float | None], plural: str, capacity: str) -> list[str]:
    """One sentence about the processes or hosts that were busy for too long, naming the busiest."""
    busy = {name: share for name, share in shares.items() if share is not None and share > BUSY_TIME}
    if not busy:
        return []
    worst = max(busy, key=lambda name: busy[name])
    limit, share = wording.percent(BUSY), wording.percent(busy[worst])
    if len(busy) == 1:
        return [f"{worst[0].upper()}{worst[1:]} used more than {limit} of {capacity} for {share} of the time."]
    return [
        f"{len(busy)} of {len(shares)} {plural} used more than {limit} of {capacity} for more than "
        f"{wording.percent(BUSY_TIME)} of the time; the busiest was {worst} ({share} of the time)."
    ]
