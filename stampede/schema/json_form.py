"""Frozen dataclasses as JSON and back: what both machines and later versions read of each other's files.

A field of a dataclass is a key of an object. A key that the dataclass does not know is ignored, so a file of a later
version can be read; a field that has a default may be missing, so one of an earlier version can.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any

MOST_NUMBER = 2**63
"""Whole numbers beyond this, either way, are those of no count."""
DEEPEST = 50
"""How deeply lists and objects may be nested in a document of others."""

_PLAIN = frozenset({bool, int, float, str, type(None)})


def parse(text: str | bytes) -> Any:
    """What a JSON document of somebody else says. Raises ValueError, also for what no program of ours writes: NaN and
    infinity, numbers beyond 64 bits, and documents nested without reason.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} deep") from None
    items = [value]
    for _ in range(DEEPEST):
        items = [inner for item in items for inner in _inner(item)]
        if not items:
            return value
    raise ValueError(f"it is nested more than {DEEPEST} deep")


def _refuse(constant: str) -> Any:
    raise ValueError(f"it holds {constant}, which is not JSON")


def _inner(value: Any) -> list[Any]:
    """What a list or an object holds. Raises ValueError for a number beyond all reason."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list):
        return value
    if isinstance(value, int) and abs(value) > MOST_NUMBER:
        raise ValueError(f"it holds a number of {len(str(abs(value)))} digits")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it holds a number that is not finite")
    return []


def to_json(value: Any) -> Any:
    """The value as ``json.dumps`` takes it: dataclasses as dictionaries, in the order of their fields."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if dataclasses.is_dataclass(kind):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(kind)}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def from_json[T](kind: type[T], value: Any, where: str = "", problems: list[str] | None = None) -> T:
    """A dataclass (or another type) from what ``json.loads`` returned.

    Raises ValueError, which names the place, for example ``hosts.load-1.phase``, where a key without a default is
    missing or a value is of another type. ``where`` is the place of the value itself.

    With ``problems`` such sentences are added to it instead: a key then has its default, and an entry of a list or of
    an object with arbitrary keys is left out. ValueError is raised only where neither can be done.
    """
    return typing.cast(T, _convert(kind, value, where, problems))


def _convert(kind: Any, value: Any, where: str, problems: list[str] | None = None) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, _checked(dict, value, where), where, problems)
    if origin in (types.UnionType, typing.Union):  # of one type and None
        (other,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else _convert(other, value, where, problems)
    if origin is tuple and arguments[-1] is not ...:
        items = _checked(list, value, where)
        if len(items) != len(arguments):
            raise ValueError(f"{where} is {value!r}; it must have {len(arguments)} items")
        return tuple(_convert(item_kind, item, where) for item_kind, item in zip(arguments, items, strict=True))
    if origin in (list, tuple):
        places = {f"{where}[{number}]": item for number, item in enumerate(_checked(list, value, where))}
        return origin(_converted(arguments[0], places, problems).values())
    if origin is dict:
        items = _checked(dict, value, where)
        found = _converted(arguments[1], {_inside(where, key): item for key, item in items.items()}, problems)
        return {key: found[place] for key in items if (place := _inside(where, key)) in found}
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = [member.value for member in kind]
        if value not in choices:
            raise ValueError(f"{where} is {value!r}; it must be one of {', '.join(map(str, choices))}")
        return kind(value)
    return _checked(kind, value, where)


def _converted(kind: Any, items: dict[str, Any], problems: list[str] | None) -> dict[str, Any]:
    """Items by their place. Each is taken as a whole or, with ``problems``, not at all."""
    found = {}
    for place, item in items.items():
        try:
            found[place] = _convert(kind, item, place)
        except ValueError as error:
            if problems is None:
                raise
            problems.append(str(error))
    return found


def _dataclass(kind: Any, value: dict[str, Any], where: str, problems: list[str] | None) -> Any:
    fields = {}
    for name, (field_kind, required) in _fields(kind).items():
        if name in value:
            try:
                fields[name] = _convert(field_kind, value[name], _inside(where, name), problems)
            except ValueError as error:
                if problems is None or required:
                    raise
                problems.append(str(error))
        elif required:
            raise ValueError(f"{_inside(where, name)} is missing")
    return kind(**fields)


@cache
def _fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """The type of each field, and whether it must be there."""
    hints = typing.get_type_hints(kind)
    missing = dataclasses.MISSING
    return {
        field.name: (hints[field.name], field.default is missing and field.default_factory is missing)
        for field in dataclasses.fields(kind)
    }


def _checked(kind: type, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{where or 'the document'} is {value!r}; it must be of type {kind.__name__}")
    return value


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
