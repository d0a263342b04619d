"""InfluxDB line protocol: one encoder and one decoder.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/

Every line has a timestamp in nanoseconds since 1970. What the protocol cannot express is left out or put into words:
a line break becomes a space, an empty tag and a number that is not finite are left out, as are backslashes at the end
of a tag. In names and tags a backslash stands for itself unless a character follows that has to be escaped; so
InfluxDB reads them too. (Version 0.1 doubled it there.)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

type FieldValue = str | bool | int | float

STRING = r'"((?:[^"\\]|\\.)*)"'
"""A string field's value; the group is what stands between the quotes."""
NUMBER = r"[-+]?[\d.]+(?:[eE][-+]?\d+)?"
TIMESTAMP = r"\d{1,18}|[1-8]\d{18}"
"""Nanoseconds since 1970 that 64 bits hold."""

_NAME = r"(?:[^,= \\]|\\[,= ]?+)++"
_SERIES = re.compile(rf"((?:[^, \\]|\\[, ]?+)++)((?:,{_NAME}={_NAME})*+)")
_TAG = re.compile(rf",({_NAME})=({_NAME})")
_FIELD = re.compile(
    rf"({_NAME})=(?:{STRING}|({NUMBER})(i?)|(t|T|true|True|TRUE|f|F|false|False|FALSE))([, ])", re.DOTALL
)
_TIMESTAMP = re.compile(TIMESTAMP)


@dataclass(frozen=True, slots=True)
class Point:
    """A line, read."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, FieldValue]
    timestamp: int
    """Nanoseconds since 1970."""


# ------------------------------------------------------------------- encoding


def tag(value: str) -> str:
    """A tag's key or value, escaped. Empty when there is nothing to write; such a tag must be left out."""
    return re.sub(r"([,= ])", r"\\\1", _one_line(value).rstrip("\\"))


def field(value: FieldValue) -> str:
    """A field's value: ``12i``, ``0.25``, ``true`` or ``"text"``. Numbers must be finite."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return f"{value:.9g}"
    text = _one_line(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def encode_series(measurement: str, tags: Mapping[str, str]) -> str:
    """What a line begins with: the measurement and its tags, in the order given."""
    pairs = ((tag(key), tag(value)) for key, value in tags.items())
    return ",".join([measurement, *(f"{key}={value}" for key, value in pairs if key and value)])


def encode(series: str, fields: Mapping[str, FieldValue], timestamp: int) -> str:
    """A line with its line break; ``series`` comes from ``encode_series``, ``timestamp`` is in nanoseconds.

    At least one field must be finite.
    """
    pairs = ",".join(
        f"{key}={field(value)}"
        for key, value in fields.items()
        if not isinstance(value, float) or math.isfinite(value)
    )
    return f"{series} {pairs} {timestamp}\n"


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


# ------------------------------------------------------------------- decoding


def decode(line: str) -> Point:
    """Read a line, with or without its line break. Raises ValueError when it is not line protocol."""
    line = line.removesuffix("\n")
    series, rest = split(line)
    measurement, tags = decode_series(series)
    fields, timestamp = decode_fields(rest)
    return Point(measurement, tags, fields, timestamp)


def split(line: str) -> tuple[str, str]:
    """A line's series, and its fields with the timestamp. Raises ValueError."""
    match = _SERIES.match(line)
    if not match or line[match.end() : match.end() + 1] != " ":
        raise ValueError(f"{line[:100]!r} does not begin with a measurement and its tags")
    return match.group(), line[match.end() + 1 :]


def decode_series(series: str) -> tuple[str, dict[str, str]]:
    """The measurement and its tags. Raises ValueError."""
    match = _SERIES.fullmatch(series)
    if not match:
        raise ValueError(f"{series[:100]!r} is not a measurement with its tags")
    return _unescape(match[1]), {_unescape(key): _unescape(value) for key, value in _TAG.findall(match[2])}


def decode_fields(rest: str) -> tuple[dict[str, FieldValue], int]:
    """The fields, in the order they come, and the timestamp: what follows the series. Raises ValueError."""
    fields: dict[str, FieldValue] = {}
    position = 0
    while match := _FIELD.match(rest, position):
        key, text, number, integer, truth, end = match.groups()
        if text is not None:
            fields[_unescape(key)] = unquote(text)
        elif number is not None:
            fields[_unescape(key)] = int(number) if integer else float(number)
        else:
            fields[_unescape(key)] = truth[0] in "tT"
        position = match.end()
        if end == " ":
            break
    if not fields or not _TIMESTAMP.fullmatch(rest, position):
        raise ValueError(f"{rest[:100]!r} is not a list of fields followed by a timestamp")
    return fields, int(rest[position:])


def unquote(text: str) -> str:
    r"""What stands between a string field's quotes, without the backslashes of ``\"`` and ``\\``."""
    return re.sub(r'\\(["\\])', r"\1", text) if "\\" in text else text


def _unescape(name: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", name) if "\\" in name else name
