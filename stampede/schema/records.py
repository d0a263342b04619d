"""What a record is: each measurement's tags and fields, in the order in which the journal has them.

A record's class is its schema: a field annotated with ``Tag`` is a tag of the point, the others are its fields. Every
point also has the tags in ``RUN_TAGS``. A field that is None is left out of the point.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, ClassVar

from stampede.schema.line_protocol import FieldValue

RUN_TAGS = ("run", "host", "scenario")
"""Tags of every point, before the record's own."""


class Outcome(StrEnum):
    """How a step ended."""

    OK = "ok"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """Cut off by the end of the run."""


VERIFIED = "verified"
"""The detail of a presentation that ended ok because the verifier itself, when asked, said that it is valid. Without
it the verifier has acknowledged the presentation, which says that it came."""
SENT = "sent"
"""The detail of a presentation that ended ok when it was sent: nobody asked whether it came."""

REUSED = "reused"
"""The detail of a connection that was there already: its service and the holder have gone on with it (RFC 0434)."""


class EventKind(StrEnum):
    """What an event is about.

    The first group is journaled by the host itself; the second is what the control node sees of its hosts, or what
    the report infers.
    """

    PHASE = "phase"
    """The text is a ``Phase``."""
    STOP_REQUESTED = "stop_requested"
    NEXT_STAGE = "next_stage"
    """The run went on to the next stage before its time; the value is when, in seconds from the start of the load."""
    LEVEL = "level"
    """The load has come to another level; the value is how many holders that are, on all hosts together."""
    AGENT_DIED = "agent_died"
    AGENT_RESTARTED = "agent_restarted"
    WALLET_KEPT = "wallet_kept"
    """A wallet that was replaced could not be removed."""
    DISK_FULL = "disk_full"
    """The value is how many records were lost."""
    INBOX_OVERFLOW = "inbox_overflow"
    """Messages to holders were dropped before a step awaited them."""
    PHONES_LOST = "phones_lost"
    """Holders had lost the link to their mediator and had not got it back at the end; the value is how many."""
    PATCHES_LEFT_OUT = "patches_left_out"
    """Patches of ACA-Py that do not fit the installed version; the text names them and says why."""

    LEFT_OUT = "left_out"
    """The host took no part in the run."""
    UNREACHABLE = "unreachable"
    REACHABLE_AGAIN = "reachable_again"
    LOST = "lost"
    """Unreachable for so long that it was given up."""
    DIED = "died"
    """Its controller ended without being done."""
    NOT_COLLECTED = "not_collected"
    BROKE_OFF = "broke_off"
    """Its journal ends in mid-run, and nobody saw why."""


class _TagMark:
    """Marks a field of a record's class as a tag of the point."""


Tag = Annotated[str, _TagMark()]


@dataclass(slots=True)
class StepRecord:
    """A step that ended. Times in seconds."""

    measurement: ClassVar[str] = "step"
    step: Tag
    outcome: Annotated[Outcome, _TagMark()]
    holder: int
    iteration: int
    attempt: int
    """Counts the holder's wallets: 1 until its script is started over with a fresh one."""
    service: str
    """The configured service that the step was about; empty when none."""
    service_time: float
    response_time: float
    """From when the step was due, so that a stalled generator cannot hide waiting (coordinated omission)."""
    error: str | None = None
    """Error class of a failed step (see ``errors``)."""
    detail: str | None = None
    """What happened in a failed step; ``VERIFIED`` when a presentation was, ``REUSED`` when a connection was."""
    script: Tag = ""
    """The holder's script, where the run has several; the point has no such tag where it is empty, as the next."""
    group: Tag = ""
    """The ``holder.group`` in which it began."""


LARGEST_MEASURE = 1e15
"""What a script measures lies between this and its negative."""


MOST_OWN_NAMES = 250
"""Names that scripts may give, on each host, to steps, to groups, to checks and to measures. Each is a series, and
the report has room for 300 of a kind, the steps of the Holder included."""


@dataclass(slots=True)
class CheckRecord:
    """What a script has checked."""

    measurement: ClassVar[str] = "check"
    check: Tag
    outcome: Annotated[Outcome, _TagMark()]
    """``OK`` when it passed, else ``FAILED``."""
    holder: int
    iteration: int
    attempt: int
    script: Tag = ""
    group: Tag = ""


@dataclass(slots=True)
class MeasureRecord:
    """A number that a script has measured, in whatever unit."""

    measurement: ClassVar[str] = "measure"
    measure: Tag
    value: float
    holder: int
    iteration: int
    attempt: int
    script: Tag = ""
    group: Tag = ""


type Observation = CheckRecord | MeasureRecord
"""What a script says itself, beside its steps."""


@dataclass(slots=True)
class LoadRecord:
    """The load of the last second and what making it cost. CPU in cores, memory in bytes, lag in seconds."""

    measurement: ClassVar[str] = "load"
    active: int
    """Holders under way."""
    ready: int
    """Wallets made."""
    in_flight: int
    """Steps under way."""
    arrivals: int
    """Holders that started."""
    finished: int
    """Holders that ended, in whatever way."""
    lag_p50: float
    lag_p99: float
    lag_max: float
    """How late steps began (schedule lag)."""
    loop_lag_max: float
    """How late the event loop woke, at worst."""
    cpu: float
    rss: int
    """Of the controller."""
    host_cpu: float
    host_cores: int
    host_memory_used: float
    """Share of the host's memory, 0 to 1."""
    rounds: int | None = None
    """Rounds of a loop that began; None in journals of version 0.1, as the next."""
    dropped: int | None = None
    """Arrivals or rounds that were due, and left out because all holders that there may be were busy."""
    steal: float | None = None
    """Cores that the host wanted and its hypervisor gave to others."""
    running: int | None = None
    """Tasks of the host that had a core or waited for one."""
    sockets: int | None = None
    """The host's, of TCP."""
    resent: float | None = None
    """Share of the host's TCP segments that were sent again, 0 to 1."""
    rounds_dropped: int | None = None
    """How many of ``dropped`` were rounds; None in journals of version 0.2."""


@dataclass(slots=True)
class AgentRecord:
    """One ACA-Py process. CPU in cores, on average since the record before; memory in bytes."""

    measurement: ClassVar[str] = "agent"
    agent: Tag
    cpu: float
    rss: int
    restarts: int
    up: bool
    loop_lag: float | None = None
    """How long an empty request to it took at worst; None in journals of version 0.1, as the next."""
    queue: int | None = None
    """The controller's requests that it had not answered, at most."""
    cpu_wait: float | None = None
    """How many of its threads were ready to run and had no core, on average since the record before; None in the
    first record of a process, where the kernel does not count, and in journals of version 0.2."""


@dataclass(slots=True)
class PhonesRecord:
    """The links of one agent's holders to their mediators, where holders are phones (``stampede_mediator_pickup``).

    ``wanted`` and ``open`` are those of the moment; the other figures are of the time since the record before.
    """

    measurement: ClassVar[str] = "phones"
    agent: Tag
    wanted: int
    """Links that should be up: those of apps in the foreground."""
    open: int
    """Those over which the mediator has answered."""
    opened: int
    """Links that came up for the first time."""
    dropped: int
    """Links that were lost without having been closed by the holder."""
    reconnected: int
    reconnect_seconds: float
    """All the time from a drop, or an app's coming back, until the mediator answered again; and the longest one."""
    reconnect_longest: float
    unanswered: int
    """Greetings that the mediator did not answer in time."""
    waited: int
    """Messages that had waited at the mediator while a phone was away."""
    poked: int
    """Messages sent to the mediator because something awaited did not come."""
    held_back: int
    """Messages that the mediator sent only when it was poked."""
    refused: int
    """Messages that were not taken: not decipherable, or pickup messages of someone else than the mediator."""


@dataclass(slots=True)
class EventRecord:
    """A phase of the run, or a fault."""

    measurement: ClassVar[str] = "event"
    kind: Tag
    """An ``EventKind``, or one of another version."""
    text: str
    value: float = 0.0


type Record = StepRecord | CheckRecord | MeasureRecord | LoadRecord | AgentRecord | PhonesRecord | EventRecord
RECORDS: tuple[type[Record], ...] = (
    StepRecord,
    CheckRecord,
    MeasureRecord,
    LoadRecord,
    AgentRecord,
    PhonesRecord,
    EventRecord,
)


@dataclass(frozen=True, slots=True)
class Layout:
    """A record's tags and fields in order, without the tags of the run; derived from its class."""

    measurement: str
    tags: tuple[str, ...]
    fields: dict[str, type[FieldValue]]
    optional: frozenset[str]
    """Fields that a point may lack."""


def _derive(record: type[Record]) -> Layout:
    hints = typing.get_type_hints(record, include_extras=True)
    tags, kinds, optional = [], {}, set()
    for name in (field.name for field in fields(record)):
        hint = hints[name]
        if typing.get_origin(hint) is Annotated:
            tags.append(name)
            continue
        if isinstance(hint, types.UnionType):
            hint = next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
            optional.add(name)
        kinds[name] = hint
    return Layout(record.measurement, tuple(tags), kinds, frozenset(optional))


_LAYOUTS: dict[type[Record], Layout] = {record: _derive(record) for record in RECORDS}


def layout(record: type[Record]) -> Layout:
    """The layout of a record's class."""
    return _LAYOUTS[record]


def tags(record: Record) -> dict[str, str]:
    """The record's own tags."""
    return {name: getattr(record, name) for name in layout(type(record)).tags}


def field_values(record: Record) -> dict[str, FieldValue]:
    """The record's fields, without those that are None. A field has one type in all points, as InfluxDB wants it."""
    found = {}
    for name, kind in layout(type(record)).fields.items():
        value = getattr(record, name)
        if value is not None:
            found[name] = float(value) if kind is float else value
    return found
