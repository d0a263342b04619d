"""What ``summary.json`` says of load hosts: what became of each, how busy it was, and which of them stands out."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class StepCounts:
    """How many steps ended how."""

    ok: int
    failed: int
    interrupted: int

    @property
    def ended(self) -> int:
        """Those that ended by themselves: ok or failed."""
        return self.ok + self.failed

    @property
    def total(self) -> int:
        """All of them."""
        return self.ok + self.failed + self.interrupted


@dataclass(frozen=True)
class Agents:
    """How many ACA-Py agents a host had, and how often one was restarted."""

    count: int
    restarts: int


@dataclass(frozen=True)
class Clock:
    """A host's clock before the start: ahead of the control node's by ``offset`` seconds, ± ``uncertainty``."""

    offset: float
    uncertainty: float


@dataclass(frozen=True)
class HostFault:
    """A fault of a host (kinds: see ``faults``) from ``since`` to ``until``, ``after`` seconds from the start."""

    kind: str
    since: str | None
    until: str | None
    after: float | None
    text: str


@dataclass(frozen=True)
class HostSummary:
    """What became of one load host.

    ``phase`` is its last phase, or the kind of its fault when it left nothing. ``steps_counted`` is how many steps it
    had counted itself when it last wrote its state. ``start_delay`` is how long after the agreed time it started, by
    its own clock. The figures from ``failed_share`` on are those that hosts are compared by: ``p95`` is that of each
    step's service time, ``schedule_lag`` a 99th percentile, ``cpu`` the mean share of all cores, ``memory`` the
    largest share, ``steps_per_holder`` those that ended ok, per second.
    """

    phase: str
    message: str
    took_part: bool
    finished: bool
    started: str | None
    last_record: str | None
    holders: int | None
    steps: StepCounts
    steps_counted: int | None
    steps_per_second: float | None
    agents: Agents
    records: int
    start_delay: float | None = None
    clock: Clock | None = None
    faults: list[HostFault] = field(default_factory=list)
    failed_share: float | None = None
    p95: dict[str, float] = field(default_factory=dict)
    schedule_lag: float | None = None
    cpu: float | None = None
    memory: float | None = None
    steps_per_holder: float | None = None


@dataclass(frozen=True)
class MeanAndMax:
    """Mean and maximum of samples; None each when there were none."""

    mean: float | None
    max: float | None


@dataclass(frozen=True)
class Due:
    """How many had a due time of their own, and how many of them began more than 0.1 s late."""

    number: int
    late: int


@dataclass(frozen=True)
class ScheduleLag:
    """How late steps started, in seconds, over the steps that had a due time of their own.

    ``by_kind``: those that begin a holder's script (``arrivals``), a round at a rate (``rounds``), or that come
    after a think time (``think_times``); empty in files of Stampede 0.1.
    """

    p50: float | None
    p99: float | None
    max: float | None
    by_kind: dict[str, Due] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentUsage:
    """One ACA-Py process: CPU in cores, ``busy_share`` the share of samples above 90 % of a core, memory in bytes.

    ``late_share`` is the share of samples in which an empty request took more than 0.2 s, ``queue_max`` the most
    requests of the controller that were unanswered at a time; ``starved_share`` the share in which its threads waited
    for a core longer than they had one, and for more than half a core. They are None where they were not recorded.
    """

    cpu: MeanAndMax
    busy_share: float | None
    rss_max: float | None
    restarts: int
    late_share: float | None = None
    queue_max: float | None = None
    starved_share: float | None = None


@dataclass(frozen=True)
class HostUsage:
    """One load host: its controller's CPU in cores and memory in bytes, the host's as shares of all it has.

    ``stolen_share`` is the share of samples in which its hypervisor gave more than 10 % of its cores to others; None
    where it was not recorded.
    """

    controller_cpu: MeanAndMax
    controller_busy_share: float | None
    controller_rss_max: float | None
    cpu_share: MeanAndMax
    cpu_busy_share: float | None
    memory_share_max: float | None
    agents: dict[str, AgentUsage]
    stolen_share: float | None = None


@dataclass(frozen=True)
class GeneratorSummary:
    """Whether the load generator was the bottleneck, why (a sentence each), and its figures during the load.

    CPU of processes is in cores, that of hosts a share of all their cores. ``bottleneck`` is None when nothing was
    measured.
    """

    bottleneck: bool | None
    reasons: list[str]
    schedule_lag: ScheduleLag
    loop_lag_max: float | None
    controller_cpu: MeanAndMax
    agents_cpu: MeanAndMax
    host_cpu_share: MeanAndMax
    host_memory_share_max: float | None
    hosts: dict[str, HostUsage]


@dataclass(frozen=True)
class Outlier:
    """A figure by which a host stands out: its value, and the median of the other hosts; ``step`` for p95 alone."""

    figure: str
    step: str | None
    value: float
    others: float


@dataclass(frozen=True)
class HostComparison:
    """The comparison of the hosts that finished.

    ``steps`` are those of which each host has enough records, ``figures`` counts what could be compared at all, and
    ``stand_out`` names the hosts that stand out, each with its outliers, the worst first.
    """

    hosts: list[str]
    steps: list[str]
    figures: int
    stand_out: dict[str, list[Outlier]]
