"""``state.json``: where a load host stands, written by its controller about once a second.

Times in seconds since 1970 by the host's clock, CPU in cores, memory in bytes, lag in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from stampede.schema.json_form import from_json, parse
from stampede.schema.phases import Phase
from stampede.schema.push_progress import PushProgress

VERSION = 1
FILE = "state.json"
LONGEST = 1_000_000
"""Bytes of a state that are read; one of a host with hundreds of steps and thresholds has a tenth of that."""
LATEST = 4e9
"""Seconds since 1970; anything later is not a time."""
MOST = 1e15
"""Counts, bytes and seconds beyond this are none."""
BOUNDS = {"pid": 2**22} | dict.fromkeys(("phase_since", "time", "start_at", "ends_at", "error_since"), LATEST)
"""Of other figures, by their names: process ids as Linux has them, and times."""
OF_A_MEASURE = {"sum_of": 1e30, "lowest": MOST, "highest": MOST}
"""The bounds of figures that may be negative, by their names."""
BUCKETS = range(-3000, 3001)
"""Of a tally's times: beyond those of a nanosecond and of an age (see ``tally``)."""


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
    started: int | None = None
    """That have begun; None where that was not counted, as in version 0.1."""
    dropped: int = 0
    """Arrivals that were left out, because there were as many holders as there may be."""
    rounds: int = 0
    """Rounds of a loop that have begun."""
    rounds_dropped: int = 0
    """Rounds that were left out, because no holder was free."""


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
class StageState:
    """The stage of ``stampede_stages`` that is under way."""

    number: int = 0
    """From 1."""
    count: int = 0
    ends_at: float = 0.0


@dataclass(frozen=True, slots=True)
class StepCounts:
    """One step by its name, since the start."""

    ok: int = 0
    failed: int = 0
    times: str = ""
    """Response times of those that were ok, by bucket (see ``step_times``)."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What the host knows to be missing from its journal."""

    records: int = 0
    """Records that are not in it: they may be written yet as long as the run goes on."""
    messages: int = 0
    """Messages to holders that were dropped before a step awaited them."""


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
class MeasuredState:
    """Of the values of a measure, of which there is at least one."""

    sum_of: float
    lowest: float
    highest: float


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
    """Steps that were ok, or values of a measure: pairs of bucket and count."""
    measured: MeasuredState | None = None
    """Of a measure alone."""
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
    order: int = 0
    """The number of the newest order of the control node that it has taken; 0 when there was none."""
    ends_at: float | None = None
    """When the run's duration is over; None when that does not end it."""
    stage: StageState | None = None
    """None where there are no stages, and when none of them is under way."""
    message: str = ""
    """Why it failed, or what somebody may want to do something about."""
    holders: HolderState | None = None
    steps: StepState | None = None
    errors: dict[str, int] = field(default_factory=dict)
    """Failed steps by error class."""
    p95: dict[str, float] = field(default_factory=dict)
    """By step: the 95th percentile of its newest service times."""
    by_step: dict[str, StepCounts] = field(default_factory=dict)
    """Of the steps that came first, when there are very many; empty in states of version 0.1."""
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
    losses: Losses | None = None
    """None in states of version 0.1."""
    push: PushProgress | None = None
    """To InfluxDB; None when nothing is pushed, as the next."""
    push_otlp: PushProgress | None = None
    """To an OpenTelemetry collector."""
    version: int = VERSION


def read_state(text: str | bytes) -> tuple[HostState, list[str]]:
    """The state in a file's text as far as it can be understood, and a sentence for each part of it that cannot.

    Whatever a host writes, the figures of what is returned can be added up, compared and shown. Raises ValueError
    when nothing can be understood.
    """
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST:,} bytes")
    problems: list[str] = []
    found = from_json(HostState, parse(text), problems=problems)
    return _possible(found, problems), problems


def _possible(found: HostState, problems: list[str]) -> HostState:
    """The state; a part of it in which a figure cannot be has its default."""
    wrong = [part.name for part in fields(found) if not _is_possible(part.name, getattr(found, part.name))]
    problems += [f"{name} is {str(getattr(found, name))[:100]}, which cannot be" for name in wrong]
    usual = HostState()
    return replace(found, **{name: getattr(usual, name) for name in wrong})


def _is_possible(name: str, value: Any) -> bool:
    """Whether the numbers in a part of a state are within their bounds."""
    if isinstance(value, int | float) and name in OF_A_MEASURE:
        return abs(value) <= OF_A_MEASURE[name]
    if isinstance(value, int | float):
        return 0 <= value <= BOUNDS.get(name, MOST)
    if is_dataclass(value):
        return all(_is_possible(part.name, getattr(value, part.name)) for part in fields(value))
    if name == "buckets":
        return all(bucket in BUCKETS and 0 <= count <= MOST for bucket, count in value)
    if isinstance(value, dict):
        return all(_is_possible(name, item) for item in value.values())
    return not isinstance(value, tuple) or all(_is_possible(name, item) for item in value)
