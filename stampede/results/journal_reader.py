"""Reads a host's journal (InfluxDB line protocol, plain or gzip) into ``journal_columns.JournalColumns``.

A journal may be torn: a controller killed with SIGKILL or a full disk leaves half a line. A last line without its
newline is skipped even when it looks complete, because its timestamp may have lost digits. Lines that cannot be
understood are counted and otherwise skipped.

It may also be anything else, since the host wrote it. Whatever it holds, it is read piece by piece, takes a bounded
amount of memory and time, and says something about its own host alone.
"""

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stampede.results.errors import ReportError
from stampede.results.journal_columns import (
    FAILED,
    MOST_EVENTS,
    MOST_EXAMPLES,
    MOST_PHASES,
    OK,
    OUTCOMES,
    Event,
    Examples,
    Failure,
    JournalColumns,
    Names,
    Reading,
    Samples,
)
from stampede.schema import line_protocol
from stampede.schema.line_protocol import FieldValue
from stampede.schema.records import (
    LARGEST_MEASURE,
    SENT,
    VERIFIED,
    AgentRecord,
    CheckRecord,
    EventKind,
    EventRecord,
    Layout,
    LoadRecord,
    MeasureRecord,
    Outcome,
    PhonesRecord,
    StepRecord,
    layout,
)

MISSING = float("nan")
LONGEST = 1e9  # seconds; anything longer is not a time
MOST_HOLDERS = 2**31  # also of rounds and attempts; anything more is not a count
MOST_FIGURE = 1e15  # of a sample; anything more is neither a count nor bytes
PIECE = 1 << 20  # bytes of a journal, unpacked, that are looked at at a time
LONGEST_LINE = 1 << 16  # bytes
TOO_LONG = b"(a line that is too long)"
LONGEST_NAME = 1000  # characters of a step, an error class, a service, …
LONGEST_TEXT = 2000  # characters of an event or of a failure's detail; longer ones are cut
MOST_RECORDS = 20_000_000  # of a host: a gigabyte of memory, or 230 a second for a day
MOST_NOT_UNDERSTOOD = 1_000_000  # lines, after which the rest is taken for no journal
MOST_LINES = MOST_RECORDS + MOST_NOT_UNDERSTOOD
MOST_BYTES = 1 << 33  # of a journal, unpacked
# Names that a host may bring in, of each kind; a step or an error class is a series, a row and a curve in the report.
MOST_NAMES = {
    "steps": 300,
    "errors": 300,
    "checks": 300,
    "measures": 300,
    "scripts": 60,
    "groups": 300,
    "agents": 1000,
    "services": 10_000,
    "runs": 20,
    "scenarios": 20,
}
MOST_SERIES = 10_000  # that are remembered, so as not to be parsed again


def step_expression(step: Layout) -> re.Pattern[bytes]:
    """What reads a step's fields and timestamp, in the order in which the journal has them, at once.

    A group for each field, in order, and one for the timestamp. It serves speed alone: what it does not match,
    `line_protocol.decode_fields` reads.
    """
    values = {int: r"(\d{1,9})i", float: f"({line_protocol.NUMBER})", str: line_protocol.STRING}
    expression = ""
    for name, kind in step.fields.items():
        part = f"{',' if expression else ''}{name}={values[kind]}"
        expression += f"(?:{part})?" if name in step.optional else part
    return re.compile(f"{expression} ({line_protocol.TIMESTAMP})".encode())


_STEP_LAYOUT = layout(StepRecord)
_STEP = step_expression(_STEP_LAYOUT)
_TAKEN = ("holder", "iteration", "attempt", "service", "service_time", "response_time", "error", "detail")
_GROUPS = (*(list(_STEP_LAYOUT.fields).index(name) + 1 for name in _TAKEN), len(_STEP_LAYOUT.fields) + 1)


@dataclass(frozen=True)
class Span:
    """Between which moments a record can have been made, in nanoseconds since 1970."""

    since: int
    until: int

    def check(self, time: int, lasted: float = 0.0) -> None:
        """Raises ValueError for what ended then, and had lasted so many seconds, if that was not within."""
        if time > self.until or time - lasted * 1e9 < self.since:
            raise ValueError(f"{time} is not within the run")


ALWAYS = Span(-(2**63), 2**63)


@dataclass(frozen=True)
class _Series:
    """What the part of a line before the fields says; a run has few of them, so each is parsed once."""

    measurement: str
    step: int = -1
    outcome: int = -1
    agent: int = -1
    kind: str = ""
    observed: int = -1
    """The number of a check or a measure."""
    place: tuple[int, int] = (0, 0)
    """The numbers of script and group."""


def read(journal: JournalColumns, path: Path, host: str, span: Span = ALWAYS) -> None:
    """Adds the journal file at `path` to `journal` as that of `host`; records outside of `span` are not its own.

    The host's name is that of the folder, not of the tag: what was collected into a host's folder is that
    host's. Raises ReportError when the file cannot be read at all.
    """
    journal.readings[host] = reading = Reading()
    reader = _HostReader(journal, host, reading, span)
    before = 0
    for lines in _lines(path, reading):
        for number, line in enumerate(lines, start=before + 1):
            if reader.take(line):
                reading.records += 1
            elif line.strip():
                reading.not_understood += 1
                reading.first_not_understood = reading.first_not_understood or number
        before += len(lines)
        if reading.records > MOST_RECORDS or before > MOST_LINES:
            reading.given_up = f"it holds more than {MOST_RECORDS:,} records"
        elif reading.not_understood > MOST_NOT_UNDERSTOOD:
            reading.given_up = f"more than {MOST_NOT_UNDERSTOOD:,} lines of it could not be parsed"
        if reading.given_up:
            break


def _lines(path: Path, reading: Reading) -> Iterator[list[bytes]]:
    """The whole lines of a journal, piece by piece, without newlines; TOO_LONG in place of one that is too long.

    Notes in `reading` when the last one is torn.
    """
    rest, too_long, size = b"", False, 0
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            unpacked = gzip.GzipFile(fileobj=file) if packed else file
            while piece := unpacked.read1(PIECE):
                lines = [line if len(line) <= LONGEST_LINE else TOO_LONG for line in (rest + piece).split(b"\n")]
                rest = lines.pop()
                if lines and too_long:
                    lines[0], too_long = TOO_LONG, False
                if rest is TOO_LONG:
                    rest, too_long = b"", True
                yield lines
                size += len(piece)
                if size > MOST_BYTES:
                    reading.given_up = f"it is longer than {MOST_BYTES:,} bytes"
                    return
        reading.torn = bool(rest) or too_long
    except (EOFError, zlib.error, gzip.BadGzipFile):
        reading.torn = True  # the archive was cut short; what came before the cut was good
    except OSError as error:
        raise ReportError(f"The journal {path} cannot be read: {error.strerror or error}.") from error


class _HostReader:
    """Takes the lines of one host's journal into the run's columns."""

    def __init__(self, journal: JournalColumns, host: str, reading: Reading, span: Span) -> None:
        self._journal = journal
        self._host = host
        self._host_number = journal.hosts.number(host)
        self._reading = reading
        self._span = span
        self._known: dict[bytes, _Series] = {}
        self._services: dict[bytes, int] = {}
        self._steps = _HostNames(journal.step_names, MOST_NAMES["steps"])
        self._errors = _HostNames(journal.errors, MOST_NAMES["errors"])
        self._agents = _HostNames(journal.agents, MOST_NAMES["agents"])
        self._checks = _HostNames(journal.check_names, MOST_NAMES["checks"])
        self._measures = _HostNames(journal.measure_names, MOST_NAMES["measures"])
        self._scripts = _HostNames(journal.scripts, MOST_NAMES["scripts"])
        self._groups = _HostNames(journal.groups, MOST_NAMES["groups"])
        self._service_names = _HostNames(journal.services, MOST_NAMES["services"])
        self._runs = _HostNames(journal.runs, MOST_NAMES["runs"])
        self._scenarios = _HostNames(journal.scenarios, MOST_NAMES["scenarios"])

    def take(self, line: bytes) -> bool:
        """Takes one line, without its newline; False when it is not understood."""
        head, _, rest = line.partition(b" ")
        try:
            if head.endswith(b"\\"):  # an escaped space in a tag: rare, so looked for only here
                head = line_protocol.split(line.decode(errors="surrogateescape"))[0].encode(errors="surrogateescape")
                rest = line[len(head) + 1 :]
            series = self._known.get(head) or self._meet(head)
            if series.measurement == StepRecord.measurement and (match := _STEP.fullmatch(rest)):
                self._matched_step(series, match)
            else:
                fields, time = line_protocol.decode_fields(rest.decode(errors="replace"))
                self._record(series, fields, time)
        except (KeyError, ValueError, OverflowError):
            return False
        return True

    def _meet(self, head: bytes) -> _Series:
        """Parses measurement and tags that are new. Raises KeyError or ValueError when they are not ours."""
        measurement, tags = line_protocol.decode_series(head.decode())
        if measurement == StepRecord.measurement:
            outcome = OUTCOMES.index(Outcome(tags["outcome"]))
            series = _Series(measurement, self._steps.number(tags["step"]), outcome, place=self._place(tags))
        elif measurement == CheckRecord.measurement:
            outcome = OUTCOMES.index(Outcome(tags["outcome"]))
            if outcome not in (OK, FAILED):
                raise ValueError(f"a check is not {tags['outcome']}")
            number = self._checks.number(tags["check"])
            series = _Series(measurement, outcome=outcome, observed=number, place=self._place(tags))
        elif measurement == MeasureRecord.measurement:
            series = _Series(measurement, observed=self._measures.number(tags["measure"]), place=self._place(tags))
        elif measurement in (AgentRecord.measurement, PhonesRecord.measurement):
            series = _Series(measurement, agent=self._agents.number(tags["agent"]))
        elif measurement == EventRecord.measurement:
            series = _Series(measurement, kind=tags["kind"][:LONGEST_NAME])
        elif measurement == LoadRecord.measurement:
            series = _Series(measurement)
        else:
            raise ValueError(measurement)
        for names, tag in ((self._runs, "run"), (self._scenarios, "scenario")):
            if tag in tags:
                names.number(tags[tag])
        if len(self._known) < MOST_SERIES:
            self._known[head] = series
        return series

    def _place(self, tags: Mapping[str, str]) -> tuple[int, int]:
        """The numbers of the script and the group of a series. Raises ValueError."""
        script, group = tags.get("script"), tags.get("group")
        return self._scripts.number(script) if script else 0, self._groups.number(group) if group else 0

    def _record(self, series: _Series, fields: Mapping[str, FieldValue], time: int) -> None:
        """Takes a record with its fields in any order. Raises KeyError, ValueError or OverflowError."""
        if series.measurement == StepRecord.measurement:
            service_time = fields["service_time"]
            self._step(
                series,
                (_count(fields, "holder"), _count(fields, "iteration"), _count(fields, "attempt")),
                self._service_names.number(_text(fields, "service")),
                float(service_time),
                float(fields.get("response_time", service_time)),
                _text(fields, "error"),
                _text(fields, "detail"),
                time,
            )
        elif series.measurement == CheckRecord.measurement:
            self._span.check(time)
            passed = float(series.outcome == OK)
            self._journal.checks.add(time, series.observed, passed, *series.place)
        elif series.measurement == MeasureRecord.measurement:
            self._span.check(time)
            self._journal.measures.add(time, series.observed, _measured(fields), *series.place)
        elif series.measurement == LoadRecord.measurement:
            self._sample(self._journal.load, 0, fields, time)
        elif series.measurement == AgentRecord.measurement:
            self._sample(self._journal.agent, series.agent, fields, time)
        elif series.measurement == PhonesRecord.measurement:
            self._sample(self._journal.phones, series.agent, fields, time)
        else:
            self._event(series, _text(fields, "text"), float(fields.get("value", 0.0)), time)

    def _matched_step(self, series: _Series, match: re.Match[bytes]) -> None:
        """Takes a step whose fields `_STEP` has matched. Raises ValueError."""
        holder, iteration, attempt, service, service_time, response_time, error, detail, time = match.group(*_GROUPS)
        service_number = self._services.get(service)
        if service_number is None:
            service_number = self._services[service] = self._service_names.number(_plain(service))
        numbers = int(holder), int(iteration), int(attempt)
        self._step(
            series,
            numbers,
            service_number,
            float(service_time),
            float(response_time),
            _plain(error) if error else "",
            _plain(detail) if detail else "",
            int(time),
        )

    def _step(
        self,
        series: _Series,
        numbers: tuple[int, int, int],
        service: int,
        service_time: float,
        response_time: float,
        error: str,
        detail: str,
        time: int,
    ) -> None:
        if not (0 <= service_time < LONGEST and 0 <= response_time < LONGEST):
            raise ValueError(f"{service_time} or {response_time} is not a time")
        self._span.check(time, response_time)
        holder, iteration, attempt = numbers
        journal = self._journal
        error_number = -1
        if series.outcome == FAILED:
            error_class = error or "unknown"
            error_number = self._errors.number(error_class)
            step, about = journal.step_names.list[series.step], journal.services.list[service]
            self._failure(Failure(time, self._host, step, holder, about, error_class, detail[:LONGEST_TEXT]))
        elif detail == VERIFIED and series.outcome == OK:
            journal.verified += 1
        elif detail == SENT and series.outcome == OK:
            journal.sent += 1
        steps = journal.steps
        steps.end.append(time)
        steps.host.append(self._host_number)
        steps.step.append(series.step)
        steps.outcome.append(series.outcome)
        steps.error.append(error_number)
        steps.service_time.append(service_time)
        steps.response_time.append(response_time)
        steps.service.append(service)
        steps.holder.append(holder)
        steps.iteration.append(iteration)
        steps.attempt.append(attempt)
        steps.script.append(series.place[0])
        steps.group.append(series.place[1])

    def _failure(self, failure: Failure) -> None:
        examples = self._journal.examples.get(failure.error)
        if examples is None:
            examples = self._journal.examples[failure.error] = Examples(failure)
        elif failure.time < examples.first.time:
            examples.first = failure
        if failure.detail in examples.details or len(examples.details) < MOST_EXAMPLES:
            examples.details[failure.detail] = examples.details.get(failure.detail, 0) + 1

    def _sample(self, samples: Samples, source: int, fields: Mapping[str, FieldValue], time: int) -> None:
        self._span.check(time)
        samples.add(time, self._host_number, source, [_figure(fields, name) for name in samples.columns])

    def _event(self, series: _Series, text: str, value: float, time: int) -> None:
        self._span.check(time)
        # However much a host has to tell, its phases have room: the last one says how it ended.
        if self._reading.events < MOST_EVENTS + (MOST_PHASES if series.kind == EventKind.PHASE else 0):
            self._reading.events += 1
            value = value if 0 <= value < MOST_FIGURE else 0.0
            self._journal.events.append(Event(time, self._host, series.kind, text[:LONGEST_TEXT], value))
        else:
            self._reading.events_left_out += 1


class _HostNames:
    """The names of one kind that a host brings in. Of each it may have so many: the report has a place for each."""

    def __init__(self, names: Names, most: int) -> None:
        self._names = names
        self._most = most
        self._own: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The name's number among those of all hosts. Raises ValueError for one too many, or too long."""
        number = self._own.get(name)
        if number is None:
            if len(self._own) >= self._most or len(name) > LONGEST_NAME:
                raise ValueError(f"{name[:LONGEST_NAME]!r} is one name too many, or too long")
            number = self._own[name] = self._names.number(name)
        return number


def _figure(fields: Mapping[str, FieldValue], name: str) -> float:
    """A sample's figure; NaN when the record has no such field. Raises ValueError when it cannot be one."""
    value = float(fields.get(name, MISSING))
    if abs(value) > MOST_FIGURE:
        raise ValueError(f"{name} is {value}")
    return value


def _measured(fields: Mapping[str, FieldValue]) -> float:
    """The value of a measure. Raises KeyError or ValueError when it cannot be one."""
    value = fields["value"]
    if isinstance(value, str | bool) or not abs(value) <= LARGEST_MEASURE:
        raise ValueError(f"a measure is {value!r}")
    return float(value)


def _count(fields: Mapping[str, FieldValue], name: str) -> int:
    """A whole number's value; 0 when the record has no such field. Raises ValueError when no column could hold it."""
    value = float(fields.get(name, 0.0))
    if not 0 <= value < MOST_HOLDERS:
        raise ValueError(f"{name} is {value}")
    return int(value)


def _text(fields: Mapping[str, FieldValue], name: str) -> str:
    """A string field's text; empty when the record has no such field."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _plain(quoted: bytes) -> str:
    """The text of a string field; bytes that are not UTF-8 are replaced."""
    return line_protocol.unquote(quoted.decode(errors="replace"))
