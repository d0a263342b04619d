"""``state.json``: where a load host stands, written by its controller about once a second.

Times in seconds since 1970 by the host's clock, CPU in cores, memory in bytes, lag in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stampede.schema.phases import Phase
from stampede.schema.push_progress import PushProgress

VERSION = 1
FILE = "state.json"


@dataclass(frozen=True, slots=True)
class HolderState:
    """The host's holders."""

    total: int = 0
    ready: int = 0
    """Wallets made."""
    active: int = 0
    """Under way."""
    finished: int = 0
    """Whose script ended."""
    stopped: int = 0
    """Given up after a failure."""


@dataclass(frozen=True, slots=True)
class StepState:
    """The host's steps by outcome, since the start."""

    ok: int = 0
    failed: int = 0
    interrupted: int = 0
    per_s: float = 0.0
    """Steps that ended in the last second."""
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class AgentState:
    """One ACA-Py process."""

    name: str = ""
    pid: int = 0
    cpu: float = 0.0
    rss: int = 0
    restarts: int = 0
    up: bool = False


@dataclass(frozen=True, slots=True)
class TallyState:
    """What a host has counted for one threshold, in a form that adds up over hosts (see ``tally``)."""

    text: str
    """The threshold, as the user wrote it."""
    ok: int
    failed: int
    total: float
    most: float
    """Sum and maximum of the times of steps that were ok."""
    buckets: tuple[tuple[int, int], ...] = ()
    """Steps that were ok: pairs of bucket and count."""
    elapsed: float = 0.0
    """Seconds of the threshold's phase that are over."""
    left: float | None = None
    """Seconds of it to come; None when unknown."""
    ramped_up: bool = False
    """Whether all holders have started."""


@dataclass(frozen=True, slots=True)
class HostState:
    """The whole file."""

    run: str = ""
    host: str = ""
    pid: int = 0
    """Of the controller; 0 when unknown."""
    phase: Phase = Phase.STARTING
    phase_since: float | None = None
    time: float | None = None
    """When it was written."""
    start_at: float | None = None
    """The start time that all hosts were given."""
    ends_at: float | None = None
    """When the run's duration is over; None when that does not end it."""
    message: str = ""
    """Why it failed, or what somebody may want to do something about."""
    holders: HolderState | None = None
    steps: StepState | None = None
    errors: dict[str, int] = field(default_factory=dict)
    """Failed steps by error class."""
    p95: dict[str, float] = field(default_factory=dict)
    """By step: the 95th percentile of its newest service times."""
    thresholds: tuple[TallyState, ...] = ()
    lag_p99: float = 0.0
    loop_lag_max: float = 0.0
    cpu: float = 0.0
    rss: int = 0
    """Of the controller."""
    agents: tuple[AgentState, ...] = ()
    host_cpu: float = 0.0
    host_cores: int = 0
    host_memory_used: float = 0.0
    """Share of the host's memory, 0 to 1."""
    push: PushProgress | None = None
    """None when nothing is pushed."""
    version: int = VERSION
