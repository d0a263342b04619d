"""Reads a host's journal (InfluxDB line protocol, plain or gzip) into the columns of `journal.Journal`.

A journal may be torn: a controller ended by `kill -9` or a full disk leaves half a line. A last line
without its newline is passed over even when it looks whole, because its timestamp may have lost digits.
Lines that are not understood are counted and otherwise passed over.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stampede.results.errors import ReportError
from stampede.results.journal_columns import (
    AGENT_FIELDS,
    FAILED,
    LOAD_FIELDS,
    MOST_EVENTS,
    MOST_EXAMPLES,
    OUTCOMES,
    Event,
    Examples,
    Failure,
    Journal,
    Reading,
    Samples,
)

_NUMBER = rb"[-+]?[\d.]+(?:[eE][-+]?\d+)?"
_STRING = rb'"((?:[^"\\]|\\.)*)"'
_TIME = rb"\d{1,18}|[1-8]\d{18}"  # nanoseconds since 1970 that 64 bits hold
# The controller writes a step's fields in this order, so one expression reads the line at once.
_STEP = re.compile(
    rb"holder=(\d{1,9})i,iteration=(\d{1,9})i,attempt=(\d{1,9})i,service="
    + _STRING
    + rb",service_time=("
    + _NUMBER
    + rb")"
    rb",response_time=("
    + _NUMBER
    + rb")(?:,error="
    + _STRING
    + rb")?(?:,detail="
    + _STRING
    + rb")? ("
    + _TIME
    + rb")"
)
_HEAD = re.compile(rb"(?:[^ \\]|\\.)+")
_TAG = re.compile(r",((?:[^,= \\]|\\.)+)=((?:[^,= \\]|\\.)+)")
_FIELD = re.compile(rb"([\w.-]+)=(?:" + _STRING + rb"|(" + _NUMBER + rb")i?|([tTfF]|true|false))([, ])")

type Value = bytes | float
MISSING = float("nan")
LONGEST = 1e9  # seconds; what is longer is no time
MOST_HOLDERS = 2**31  # also of their rounds and attempts; what is more is no count


@dataclass(frozen=True)
class _Series:
    """What the part of a line before the fields says; a run has few of them, so each is parsed once."""

    measurement: str
    step: int = -1
    outcome: int = -1
    agent: int = -1
    kind: str = ""


def read(journal: Journal, path: Path, host: str) -> None:
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

    def __init__(self, journal: Journal, host: str, reading: Reading) -> None:
        self._journal = journal
        self._host = host
        self._host_number = journal.hosts.number(host)
        self._reading = reading
        self._known: dict[bytes, _Series] = {}
        self._services: dict[bytes | None, int] = {}

    def take(self, line: bytes) -> bool:
        """Takes one line; False when it is not understood."""
        head, _, rest = line[:-1].partition(b" ")
        if head.endswith(b"\\"):  # an escaped space in a tag: rare, so looked for only here
            match = _HEAD.match(line)
            head, rest = (match.group(), line[match.end() + 1 : -1]) if match else (b"", b"")
        series = self._known.get(head) or self._meet(head)
        if series is None:
            return False
        if series.measurement == "step" and (match := _STEP.fullmatch(rest)):
            holder, iteration, attempt, service, service_time, response_time, error, detail, time = match.groups()
            numbers = int(holder), int(iteration), int(attempt)
            return self._step(series, numbers, service, service_time, response_time, error, detail, time)
        parsed = _fields(rest)
        if parsed is None:
            return False
        fields, time = parsed
        try:
            match series.measurement:
                case "step":
                    return self._step(
                        series,
                        (_count(fields, "holder"), _count(fields, "iteration"), _count(fields, "attempt")),
                        _text(fields, "service"),
                        fields["service_time"],
                        fields.get("response_time", fields["service_time"]),
                        _text(fields, "error"),
                        _text(fields, "detail"),
                        time,
                    )
                case "load":
                    self._sample(self._journal.load, LOAD_FIELDS, 0, fields, int(time))
                case "agent":
                    self._sample(self._journal.agent, AGENT_FIELDS, series.agent, fields, int(time))
                case _:
                    self._event(series, _text(fields, "text"), int(time))
        except (KeyError, ValueError, OverflowError):
            return False
        return True

    def _meet(self, head: bytes) -> _Series | None:
        """Parses measurement and tags that were not met before; None when they are not ours."""
        try:
            measurement, comma, rest = head.decode().partition(",")
        except UnicodeDecodeError:
            return None
        tags = {_unescaped(name): _unescaped(value) for name, value in _TAG.findall(comma + rest)}
        if _TAG.sub("", comma + rest):
            return None
        journal = self._journal
        try:
            match measurement:
                case "step":
                    outcome = OUTCOMES.index(tags["outcome"])
                    series = _Series("step", journal.step_names.number(tags["step"]), outcome)
                case "agent":
                    series = _Series("agent", agent=journal.agents.number(tags["agent"]))
                case "event":
                    series = _Series("event", kind=tags["kind"])
                case "load":
                    series = _Series("load")
                case _:
                    return None
        except (KeyError, ValueError):
            return None
        for names, tag in ((journal.runs, "run"), (journal.scenarios, "scenario")):
            if tag in tags:
                names.number(tags[tag])
        self._known[head] = series
        return series

    def _step(
        self,
        series: _Series,
        numbers: tuple[int, int, int],
        service: bytes | None,
        service_time: Value,
        response_time: Value,
        error: bytes | None,
        detail: bytes | None,
        time: bytes,
    ) -> bool:
        try:
            seconds, response_seconds = float(service_time), float(response_time)
            end = int(time)
        except (ValueError, OverflowError):
            return False
        if not (0 <= seconds < LONGEST and 0 <= response_seconds < LONGEST):
            return False
        service_number = self._services.get(service)
        if service_number is None:
            service_number = self._services[service] = self._journal.services.number(_plain(service))
        error_number = -1
        if series.outcome == FAILED:
            journal = self._journal
            error_class = _plain(error) or "unknown"
            error_number = journal.errors.number(error_class)
            step = journal.step_names.list[series.step]
            self._failure(Failure(end, self._host, step, numbers[0], _plain(service), error_class, _plain(detail)))
        steps = self._journal.steps
        steps.end.append(end)
        steps.host.append(self._host_number)
        steps.step.append(series.step)
        steps.outcome.append(series.outcome)
        steps.error.append(error_number)
        steps.service_time.append(seconds)
        steps.response_time.append(response_seconds)
        steps.service.append(service_number)
        holder, iteration, attempt = numbers
        steps.holder.append(holder)
        steps.iteration.append(iteration)
        steps.attempt.append(attempt)
        return True

    def _failure(self, failure: Failure) -> None:
        examples = self._journal.examples.get(failure.error)
        if examples is None:
            examples = self._journal.examples[failure.error] = Examples(failure)
        elif failure.time < examples.first.time:
            examples.first = failure
        if failure.detail in examples.details or len(examples.details) < MOST_EXAMPLES:
            examples.details[failure.detail] = examples.details.get(failure.detail, 0) + 1

    def _sample(
        self, samples: Samples, names: tuple[str, ...], source: int, fields: dict[str, Value], time: int
    ) -> None:
        samples.add(time, self._host_number, source, [float(fields.get(name, MISSING)) for name in names])

    def _event(self, series: _Series, text: bytes | None, time: int) -> None:
        if len(self._journal.events) < MOST_EVENTS:
            self._journal.events.append(Event(time, self._host, series.kind, _plain(text)))
        else:
            self._reading.events_left_out += 1


def _fields(rest: bytes) -> tuple[dict[str, Value], bytes] | None:
    """The fields, in whatever order, and the timestamp of a line; None when it is not line protocol."""
    fields: dict[str, Value] = {}
    position = 0
    while match := _FIELD.match(rest, position):
        name, text, number, truth, end = match.groups()
        if text is not None:
            fields[name.decode()] = text
        elif number is not None:
            fields[name.decode()] = float(number)
        else:
            fields[name.decode()] = float(truth[:1] in b"tT")
        position = match.end()
        if end == b" ":
            time = rest[position:]
            return (fields, time) if re.fullmatch(_TIME, time) else None
    return None


def _count(fields: dict[str, Value], name: str) -> int:
    """A whole number's value; 0 when the record has no such field. Raises ValueError when no column could hold it."""
    value = float(fields.get(name, 0.0))
    if not 0 <= value < MOST_HOLDERS:
        raise ValueError(f"{name} is {value}")
    return int(value)


def _text(fields: dict[str, Value], name: str) -> bytes | None:
    """A string field's bytes; None when the record has no such field."""
    value = fields.get(name)
    return value if isinstance(value, bytes) else None


def _plain(quoted: bytes | None) -> str:
    r"""The text of a string field: \" and \\ unescaped, bytes that are not UTF-8 replaced."""
    if not quoted:
        return ""
    return _unescaped(quoted.decode(errors="replace"))


def _unescaped(text: str) -> str:
    """The text without the backslashes that escape a character."""
    return re.sub(r"\\(.)", r"\1", text) if "\\" in text else text
