"""The rows of ``stampede_data``: read from a file's bytes, dealt to holders by their numbers, handed to load hosts.

No sentence quotes a value, which may be a password.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Self

from stampede.schema.errors import BadInput
from stampede.schema.known_values import HiddenText, Known, right_name
from stampede.schema.settings.data_settings import CIRCLE, ONCE, RANDOM, VARIABLE, DataSettings

LARGEST = 20_000_000
"""Bytes of a file."""
LONGEST_VALUE = 8192
"""Characters of a value; no header that servers take has more."""
_COLUMN = re.compile(r"[^{}]{1,128}")


class Row(Known[str]):
    """A holder's row: its values by column."""

    __slots__ = ()

    def __init__(self, values: Mapping[str, str], file: str) -> None:
        """``file``: what has the columns, as sentences name it; empty when there is none."""
        lacking = f"{file} has no such column" if file else f"{VARIABLE} names no file, such as {{file: users.csv}}"
        super().__init__(values, "holder.data", lacking)


_NO_ROW = Row({}, "")


def no_row(holder: int) -> Row:
    """What holders have where there is no file."""
    return _NO_ROW


@dataclass(frozen=True, slots=True)
class Table:
    """All rows of a file, or those of a host."""

    settings: DataSettings
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(repr=False)
    seed: int = 0
    places: Mapping[int, int] | None = None
    """On a load host: the place of a holder's row by the holder's number; None where all rows are there."""

    def place(self, holder: int) -> int:
        """Where a holder's row is, by its number; the same on however many hosts. A run that goes on to a next stage
        before its time may have more arrivals than were planned: a load host gives these its own rows again, unless
        each is to be used once."""
        if self.places is not None and (holder in self.places or self.settings.use == ONCE or not self.rows):
            return self.places.get(holder, len(self.rows))
        if self.settings.use == RANDOM:
            return random.Random(f"{self.seed}:{holder}:data").randrange(len(self.rows))
        return holder if self.settings.use == ONCE else holder % len(self.rows)

    def row(self, holder: int) -> Row:
        """A holder's row. Raises BadInput when there is none left for it."""
        place = self.place(holder)
        if place >= len(self.rows):
            raise BadInput(f"{VARIABLE} has no row for holder {holder}; there must be one for each, or use be circle")
        secret = self.settings.secret
        values = {
            column: HiddenText(value) if column in secret else value
            for column, value in zip(self.columns, self.rows[place], strict=True)
        }
        return Row(values, PurePath(self.settings.file).name)

    def simulated(self) -> Table:
        """The same rows for any number of holders, with the word ``secret`` in secret columns."""
        secret = [column in self.settings.secret for column in self.columns]
        rows = [
            tuple("secret" if hidden else value for value, hidden in zip(row, secret, strict=True))
            for row in (self.rows if any(secret) else ())
        ]
        return replace(self, settings=replace(self.settings, use=CIRCLE), rows=rows or self.rows)

    def handed_over(self, holders: Iterable[int]) -> dict[str, Any]:
        """What a load host gets for its holders, as JSON: their rows alone. Raises BadInput as ``row`` does."""
        rows: dict[int, int] = {}
        places = {}
        for holder in holders:
            place = self.place(holder)
            if place >= len(self.rows):
                self.row(holder)
            places[holder] = rows.setdefault(place, len(rows))
        return {"columns": self.columns, "rows": [self.rows[place] for place in rows], "places": list(places.items())}

    @classmethod
    def taken(cls, settings: DataSettings, found: Any) -> Self:
        """The reverse of ``handed_over``. Raises BadInput when it is none."""
        try:
            rows = [tuple(map(str, row)) for row in found["rows"]]
            return cls(
                settings, tuple(found["columns"]), rows, places={int(who): int(at) for who, at in found["places"]}
            )
        except (LookupError, TypeError, ValueError):
            raise BadInput(f"the rows of {VARIABLE} have not come to this host; run-test.yml brings them") from None


def read_table(content: bytes, settings: DataSettings, seed: int) -> Table:
    """The rows of a file. Raises BadInput with a sentence about what is wrong first."""

    def wrong(what: str, right: str) -> BadInput:
        return BadInput(f"{VARIABLE}.file is {settings.file!r}, {what}; {right}")

    if len(content) > LARGEST:
        raise wrong(f"which has {len(content):,} bytes", f"it must have at most {LARGEST:,}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = content.count(b"\n", 0, error.start) + 1
        raise wrong(f"of which line {place} is not UTF-8", "it must be a text in UTF-8") from None
    if not text.strip():
        raise wrong("which is empty", "it must have a row for each holder")
    try:
        columns, rows = (_csv if settings.file.endswith(".csv") else _json_lines)(text)
    except _Wrong as error:
        raise wrong(*error.args) from None
    if unknown := [column for column in settings.secret if column not in columns]:
        raise BadInput(
            f"{VARIABLE}.secret has {unknown[0]!r}, but {settings.file} has no such column; "
            f"{right_name(unknown[0], columns)}"
        )
    return Table(settings, columns, rows, seed)


class _Wrong(Exception):
    """What is wrong with a file, and what would be right."""


def _csv(text: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(lines)
        _check_columns(header, "line 1", "it must begin with a line of distinct column names, such as email,password")
        rows = []
        for row in lines:
            if not row:
                continue  # a blank line
            if len(row) != len(header):
                raise _Wrong(
                    f"of which line {lines.line_num} has {_values(len(row))} and the header {len(header)}",
                    "each line must have one for each column",
                )
            _check_values(row, f"line {lines.line_num}")
            rows.append(tuple(row))
    except csv.Error as error:
        raise _Wrong(f"of which line {lines.line_num} is no CSV ({error})", "it must be CSV as in RFC 4180") from None
    if not rows:
        raise _Wrong("which has a header and no rows", "it must have a row for each holder")
    return tuple(header), rows


def _json_lines(text: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    columns: tuple[str, ...] = ()
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(
                line,
                parse_int=str,
                parse_float=str,
                parse_constant=_no_constant,
                object_pairs_hook=functools.partial(_object, f"line {number}"),
            )
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or any(isinstance(value, dict | list) for value in found.values()):
            right = 'each line must be a flat object, such as {"email": "a@example.org", "age": 41}'
            raise _Wrong(f"of which line {number} is no flat JSON object", right)
        if not columns:
            _check_columns(list(found), f"line {number}", "the keys of each line must be column names")
            columns = tuple(found)
        if missing := [column for column in columns if column not in found]:
            raise _Wrong(f"of which line {number} lacks {missing[0]!r}", "each line must have the keys of the first")
        if more := [column for column in found if column not in columns]:
            right = "each line must have the keys of the first"
            raise _Wrong(f"of which line {number} has {more[0][:100]!r}, which the first has not", right)
        row = tuple(_text(found[column]) for column in columns)
        _check_values(row, f"line {number}")
        rows.append(row)
    return columns, rows


def _object(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Wrong(f"of which {where} has {key[:100]!r} twice", "each key must be there once")
        found[key] = value
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _text(value: Any) -> str:
    """Numbers are as they were written: 1.10 is a version, or an amount."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _check_columns(columns: list[str], where: str, right: str) -> None:
    if not columns:
        raise _Wrong(f"of which {where} has no column names", right)
    for place, column in enumerate(columns, 1):
        if not column.strip():
            raise _Wrong(f"of which column {place} has no name", right)
        if not (_COLUMN.fullmatch(column) and column.isprintable()):
            right = "it must be 1 to 128 printable characters without braces"
            raise _Wrong(f"of which column {place} has the name {column[:100]!r}", right)
        if columns.index(column) != place - 1:
            raise _Wrong(f"of which columns {columns.index(column) + 1} and {place} are both named {column!r}", right)


def _check_values(row: Iterable[str], where: str) -> None:
    for place, value in enumerate(row, 1):
        if len(value) > LONGEST_VALUE:
            raise _Wrong(
                f"of which {where} has {len(value):,} characters in column {place}",
                f"a value must have at most {LONGEST_VALUE:,}",
            )
        if any("\ud800" <= sign <= "\udfff" for sign in value):
            raise _Wrong(f"of which {where} holds half a character in column {place}", "it must be valid Unicode")


def _values(number: int) -> str:
    return f"{number} value" if number == 1 else f"{number} values"
