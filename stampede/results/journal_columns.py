"""What the journals of a run's hosts say, as columns.

A journal may be large (a million steps is an ordinary hour), so nothing is kept per record but a few
machine words in `array` columns: 57 bytes a step. Names are kept once; the words of failures as bounded
examples per error class.
"""

from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stampede.schema.records import AgentRecord, EventKind, LoadRecord, Outcome, PhonesRecord, layout

OUTCOMES = tuple(Outcome)
OK, FAILED, INTERRUPTED = (OUTCOMES.index(outcome) for outcome in (Outcome.OK, Outcome.FAILED, Outcome.INTERRUPTED))

MOST_EVENTS = 2000  # of a host
MOST_PHASES = 50  # beyond that
MOST_EXAMPLES = 200


class Names:
    """Numbers for names, in the order in which they were first met."""

    def __init__(self, *known: str) -> None:
        """`known` are met already."""
        self.list: list[str] = list(known)
        self._numbers: dict[str, int] = {name: number for number, name in enumerate(known)}

    def number(self, name: str) -> int:
        """The name's number; a new name gets the next one."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.list)
            self.list.append(name)
        return number


@dataclass
class Steps:
    """The `step` records of all hosts; times in seconds, `end` in nanoseconds since 1970."""

    end: array[int] = field(default_factory=lambda: array("q"))
    host: array[int] = field(default_factory=lambda: array("i"))
    step: array[int] = field(default_factory=lambda: array("i"))
    outcome: array[int] = field(default_factory=lambda: array("b"))
    error: array[int] = field(default_factory=lambda: array("i"))  # -1: none
    service_time: array[float] = field(default_factory=lambda: array("d"))
    response_time: array[float] = field(default_factory=lambda: array("d"))
    service: array[int] = field(default_factory=lambda: array("i"))
    holder: array[int] = field(default_factory=lambda: array("i"))
    iteration: array[int] = field(default_factory=lambda: array("i"))
    attempt: array[int] = field(default_factory=lambda: array("i"))
    script: array[int] = field(default_factory=lambda: array("h"))  # 0: the run's only one
    group: array[int] = field(default_factory=lambda: array("h"))  # 0: none

    def __len__(self) -> int:
        return len(self.end)


@dataclass
class Observations:
    """The `check` or `measure` records of all hosts. The value of a check is 1 when it passed, else 0."""

    end: array[int] = field(default_factory=lambda: array("q"))
    name: array[int] = field(default_factory=lambda: array("i"))
    value: array[float] = field(default_factory=lambda: array("d"))
    script: array[int] = field(default_factory=lambda: array("h"))
    group: array[int] = field(default_factory=lambda: array("h"))

    def add(self, time: int, name: int, value: float, script: int, group: int) -> None:
        """Adds a record; `time` in nanoseconds since 1970."""
        self.end.append(time)
        self.name.append(name)
        self.value.append(value)
        self.script.append(script)
        self.group.append(group)


class Samples:
    """The records of `load` or `agent`: time, host, source (the agent's number) and columns of floats."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self.time: array[int] = array("q")
        self.host: array[int] = array("i")
        self.source: array[int] = array("i")
        self._values: tuple[array[float], ...] = tuple(array("d") for _ in columns)

    def add(self, time: int, host: int, source: int, values: list[float]) -> None:
        """Adds a record; `values` in the order of `columns`, NaN where the record lacks one."""
        self.time.append(time)
        self.host.append(host)
        self.source.append(source)
        for column, value in zip(self._values, values, strict=True):
            column.append(value)

    def column(self, name: str) -> NDArray[np.float64]:
        """One column of all records."""
        return np.array(self._values[self.columns.index(name)], dtype=np.float64)


@dataclass(frozen=True)
class Event:
    """One `event` record: a phase of a host, or a fault."""

    time: int  # nanoseconds since 1970
    host: str
    kind: str
    text: str
    value: float = 0.0

    @property
    def phase(self) -> str:
        """The phase that the host came to; empty when the event is about something else."""
        return self.text if self.kind == EventKind.PHASE else ""


@dataclass(frozen=True)
class Failure:
    """One failed step, with the words that the controller noted."""

    time: int  # nanoseconds since 1970; the step's end
    host: str
    step: str
    holder: int
    service: str
    error: str
    detail: str


@dataclass
class Examples:
    """Of one error class: its first failure, and how often which words were noted."""

    first: Failure
    details: dict[str, int] = field(default_factory=dict)


@dataclass
class Reading:
    """How one journal was read: what the report has to say about its completeness."""

    records: int = 0
    torn: bool = False
    not_understood: int = 0
    first_not_understood: int = 0  # line number, from 1
    events: int = 0
    events_left_out: int = 0
    given_up: str = ""  # why the rest of it was not read


@dataclass
class JournalColumns:
    """Everything that the journals of a run's hosts contain; filled by `journal_reader.read`."""

    hosts: Names = field(default_factory=Names)
    runs: Names = field(default_factory=Names)
    scenarios: Names = field(default_factory=Names)
    step_names: Names = field(default_factory=Names)
    errors: Names = field(default_factory=Names)
    services: Names = field(default_factory=Names)
    agents: Names = field(default_factory=Names)
    check_names: Names = field(default_factory=Names)
    measure_names: Names = field(default_factory=Names)
    scripts: Names = field(default_factory=lambda: Names(""))
    groups: Names = field(default_factory=lambda: Names(""))
    steps: Steps = field(default_factory=Steps)
    checks: Observations = field(default_factory=Observations)
    measures: Observations = field(default_factory=Observations)
    load: Samples = field(default_factory=lambda: Samples(tuple(layout(LoadRecord).fields)))
    agent: Samples = field(default_factory=lambda: Samples(tuple(layout(AgentRecord).fields)))
    phones: Samples = field(default_factory=lambda: Samples(tuple(layout(PhonesRecord).fields)))
    events: list[Event] = field(default_factory=list)
    verified: int = 0
    """Presentations of which the verifier itself said that they are valid."""
    sent: int = 0
    """Presentations that were done when they were sent."""
    examples: dict[str, Examples] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)  # by host
