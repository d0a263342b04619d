"""Reads a host's journal (InfluxDB line protocol, plain or gzip) into ``journal_columns.JournalColumns``.

A journal may be torn: a controller killed with SIGKILL or a full disk leaves half a line. A last line without its
newline is skipped even when it looks complete, because its timestamp may have lost digits. Lines that cannot be
understood are counted and otherwise skipped.
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
    OK,
    OUTCOMES,
    Event,
    Examples,
    Failure,
    JournalColumns,
    Reading,
    Samples,
)
from stampede.schema import line_protocol
from stampede.schema.line_protocol import FieldValue
from stampede.schema.records import (
    VERIFIED,
    AgentRecord,
    EventRecord,
    Layout,
    LoadRecord,
    Outcome,
    StepRecord,
    layout,
)

MISSING = float("nan")
LONGEST = 1e9  # seconds; anything longer is not a time
MOST_HOLDERS = 2**31  # also of rounds and attempts; anything more is not a count


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
class _Series:
    """What the part of a line before the fields says; a run has few of them, so each is parsed once."""

    measurement: str
    step: int = -1
    outcome: int = -1
    agent: int = -1
    kind: str = ""


def read(journal: JournalColumns, path: Path, host: str) -> None:
    """Adds the journal file at `path` to `journal` as that of `host`.

    The host's name is that of the folder, not of the tag: what was collected into a host's folder is that
    host's. Raises ReportError when the file cannot be read at all.
    """
    journal.readings[host] = reading = Reading()
    reader = _HostReader(journal, host, reading)
    for number, line in enumerate(_lines(path, reading), start=1):
        if reader.take(line):
            reading.records += 1
        elif not line.isspace():
            reading.not_understood += 1
            reading.first_not_understood = reading.first_not_understood or number


def _lines(path: Path, reading: Reading) -> Iterator[bytes]:
    """The whole lines of a journal, each with its newline; notes in `reading` when the last one is torn."""
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            for line in gzip.GzipFile(fileobj=file) if packed else file:
                if line.endswith(b"\n"):
                    yield line
                else:
                    reading.torn = True
    except (EOFError, zlib.error, gzip.BadGzipFile):
        reading.torn = True  # the archive was cut short; what came before the cut was good
    except OSError as error:
        raise ReportError(f"The journal {path} cannot be read: {error.strerror or error}.") from error


class _HostReader:
    """Takes the lines of one host's journal into the run's columns."""

    def __init__(self, journal: JournalColumns, host: str, reading: Reading) -> None:
        self._journal = journal
        self._host = host
        self._host_number = journal.hosts.number(host)
        self._reading = reading
        self._known: dict[bytes, _Series] = {}
        self._services: dict[bytes, int] = {}

    def take(self, line: bytes) -> bool:
        """Takes one line; False when it is not understood."""
        head, _, rest = line[:-1].partition(b" ")
        try:
            if head.endswith(b"\\"):  # an escaped space in a tag: rare, so looked for only here
                head = line_protocol.split(line.decode(errors="surrogateescape"))[0].encode(errors="surrogateescape")
                rest = line[len(head) + 1 : -1]
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
        journal = self._journal
        if measurement == StepRecord.measurement:
            outcome = OUTCOMES.index(Outcome(tags["outcome"]))
            series = _Series(measurement, journal.step_names.number(tags["step"]), outcome)
        elif measurement == AgentRecord.measurement:
            series = _Series(measurement, agent=journal.agents.number(tags["agent"]))
        elif measurement == EventRecord.measurement:
            series = _Series(measurement, kind=tags["kind"])
        elif measurement == LoadRecord.measurement:
            series = _Series(measurement)
        else:
            raise ValueError(measurement)
        for names, tag in ((journal.runs, "run"), (journal.scenarios, "scenario")):
            if tag in tags:
                names.number(tags[tag])
        self._known[head] = series
        return series

    def _record(self, series: _Series, fields: Mapping[str, FieldValue], time: int) -> None:
        """Takes a record with its fields in any order. Raises KeyError, ValueError or OverflowError."""
        if series.measurement == StepRecord.measurement:
            service_time = fields["service_time"]
            self._step(
                series,
                (_count(fields, "holder"), _count(fields, "iteration"), _count(fields, "attempt")),
                self._journal.services.number(_text(fields, "service")),
                float(service_time),
                float(fields.get("response_time", service_time)),
                _text(fields, "error"),
                _text(fields, "detail"),
                time,
            )
        elif series.measurement == LoadRecord.measurement:
            self._sample(self._journal.load, 0, fields, time)
        elif series.measurement == AgentRecord.measurement:
            self._sample(self._journal.agent, series.agent, fields, time)
        else:
            self._event(series, _text(fields, "text"), time)

    def _matched_step(self, series: _Series, match: re.Match[bytes]) -> None:
        """Takes a step whose fields `_STEP` has matched. Raises ValueError."""
        holder, iteration, attempt, service, service_time, response_time, error, detail, time = match.group(*_GROUPS)
        service_number = self._services.get(service)
        if service_number is None:
            service_number = self._services[service] = self._journal.services.number(_plain(service))
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
        holder, iteration, attempt = numbers
        journal = self._journal
        error_number = -1
        if series.outcome == FAILED:
            error_class = error or "unknown"
            error_number = journal.errors.number(error_class)
            step, about = journal.step_names.list[series.step], journal.services.list[service]
            self._failure(Failure(time, self._host, step, holder, about, error_class, detail))
        elif detail == VERIFIED and series.outcome == OK:
            journal.verified += 1
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

    def _failure(self, failure: Failure) -> None:
        examples = self._journal.examples.get(failure.error)
        if examples is None:
            examples = self._journal.examples[failure.error] = Examples(failure)
        elif failure.time < examples.first.time:
            examples.first = failure
        if failure.detail in examples.details or len(examples.details) < MOST_EXAMPLES:
            examples.details[failure.detail] = examples.details.get(failure.detail, 0) + 1

    def _sample(self, samples: Samples, source: int, fields: Mapping[str, FieldValue], time: int) -> None:
        samples.add(time, self._host_number, source, [float(fields.get(name, MISSING)) for name in samples.columns])

    def _event(self, series: _Series, text: str, time: int) -> None:
        if len(self._journal.events) < MOST_EVENTS:
            self._journal.events.append(Event(time, self._host, series.kind, text))
        else:
            self._reading.events_left_out += 1


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
