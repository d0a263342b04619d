"""A plan: what a run will take, as ``stampede plan`` prints it and ``stampede compare PLAN.json RUN`` reads it.

Times in seconds, rates per second, CPU in cores, memory in bytes. Figures are those of the steady phase, unless they
say otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KIND = "stampede plan"
VERSION = 1
UTILISATION = 0.6
"""Share of its cores that a load host may use; above it steps begin to wait for a core."""


@dataclass(frozen=True)
class Asked:
    """What was asked for: ``what`` is holders, rate (rounds per second), arrivals (holders per second), or target:
    requests per second at the service ``of``, or steps of that name."""

    what: str
    value: float
    of: str = ""


@dataclass(frozen=True)
class CpuPlan:
    """Cores in the steady phase, between which figures 90 % of the bootstrap samples put them, and at the end of the
    ramp-up, while holders still arrive."""

    steady: float
    low: float
    high: float
    busiest: float


@dataclass(frozen=True)
class StepPlan:
    """A step: how often, the mean service time that is assumed, and CPU seconds of agents and controller for each.

    ``told_apart`` is whether the agents' CPU for it is known by itself; else it is near the mean of all steps.
    """

    per_second: float
    service_time: float
    agents_cpu: float
    controller_cpu: float
    told_apart: bool


@dataclass(frozen=True)
class ServicePlan:
    """What a service, or the mediator, will see: steps that are about it, and HTTPS requests; ``busiest`` are the
    latter's and the steps' sum at the end of the ramp-up."""

    steps: float
    requests: float
    busiest_steps: float
    busiest_requests: float


@dataclass(frozen=True)
class HostsPlan:
    """Load hosts, and what each of them has and uses at most. ``limited_by``: cpu, controller, memory or sockets."""

    number: int
    limited_by: str
    cores: int
    memory_available: float
    agents: int
    utilisation: float
    cpu: float
    memory: float
    sockets: float

    @property
    def usable_cores(self) -> int:
        """See the function of this name."""
        return usable_cores(self.cores, self.agents)


def usable_cores(cores: int, agents: int) -> int:
    """How many of a host's cores its agents and its controller can use: a core each, as they are single-threaded."""
    return min(cores, agents + 1)


@dataclass(frozen=True)
class PercentilePlan:
    """The samples that a percentile needs, and how long the rarest step of a round takes to give them.

    The confidence interval then reaches ``half_width`` percentage points to either side.
    """

    percentile: float
    half_width: float
    samples: int
    rarest: str
    seconds: float


@dataclass(frozen=True)
class Price:
    """Of all hosts for the run, in the currency of ``per_host_hour``: of the time that they are needed for, and of
    the hours that have begun in it."""

    per_host_hour: float
    total: float
    by_started_hours: float = 0.0


@dataclass(frozen=True)
class Plan:
    """All of it. ``settings`` are those that differ from the calibration's, ``visit`` and ``round`` are durations."""

    calibration: str
    script: str
    asked: Asked
    settings: dict[str, Any]
    holders: int
    ramp_up: float
    duration: float
    visit: float
    round: float
    think_time: float
    rounds_per_second: float
    arrivals_per_second: float
    steps_per_second: float
    steps: dict[str, StepPlan]
    services: dict[str, ServicePlan]
    agents_cpu: CpuPlan
    controllers_cpu: CpuPlan
    agents_memory: float
    controllers_memory: float
    sockets: float
    hosts: HostsPlan
    percentile: PercentilePlan | None
    price: Price | None
    measured: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    kind: str = KIND
    version: int = VERSION
