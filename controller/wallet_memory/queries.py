"""Askar's wallet query language: which records a tag filter selects.

A filter is a JSON object: ``{"tag": "value"}``, ``{"tag": {"$neq": "value"}}`` (also ``$in``, and for tags whose name
begins with ``~`` ``$gt``, ``$gte``, ``$lt``, ``$lte``, ``$like``), ``{"$exist": ["tag"]}``, and these combined by
``$and``, ``$or`` and ``$not``. It follows Askar's ``wql/query.rs`` and ``wql/tags.rs``, whose results for empty
filters within others, and for several names in ``$exist`` below ``$not``, are not what one would think.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aries_askar import AskarError, AskarErrorCode

from controller.wallet_memory.records import Tags

type Test = Callable[[Tags], bool]
type Clause = Callable[[bool], Test | None]
"""Given whether it is negated, what a part of a filter demands; None: nothing."""
type Filter = str | Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Query:
    """A tag filter, understood."""

    test: Test | None
    """Whether a record with these tags is selected; None: every record is."""
    equals: tuple[tuple[str, str], ...] = ()
    """Tags and values that every selected record has."""


EVERYTHING = Query(None)


def parse(tag_filter: Filter) -> Query:
    """Understand a filter. Raises AskarError: INPUT for what is none, UNSUPPORTED for an order that tags whose values
    Askar encrypts do not have."""
    if not tag_filter:
        if tag_filter == "":
            raise _invalid("it is empty")
        return EVERYTHING
    filter_ = tag_filter
    if isinstance(filter_, str):
        try:
            filter_ = json.loads(filter_)
        except ValueError as error:
            raise _invalid(str(error)) from None
    if isinstance(filter_, list):
        filter_ = {"$or": _restrictions(filter_)}
    if not isinstance(filter_, Mapping):
        raise _invalid(f"it is {filter_!r}; it must be an object or a list")
    return Query(_object(filter_)(False), tuple(_demanded(filter_)))


def _object(filter_: Mapping[str, Any]) -> Clause:
    clauses = [clause for name, value in filter_.items() if (clause := _part(name, value)) is not None]
    return clauses[0] if len(clauses) == 1 else partial(_combined, clauses, all)


def _part(name: str, value: Any) -> Clause | None:
    match name, value:
        case (("$and" | "$or" | "$exist"), []):
            return None
        case "$and", list() | tuple():
            return partial(_combined, _objects(name, value), all)
        case "$or", list() | tuple():
            return partial(_combined, _objects(name, value), any)
        case "$not", Mapping():
            return partial(_negated, _object(value))
        case "$exist", str():
            return partial(_single, partial(_exists, value))
        case "$exist", list() | tuple() if all(isinstance(each, str) for each in value):
            return partial(_all_exist, value)
        case (("$and" | "$or" | "$not" | "$exist"), _):
            raise _invalid(f"{name} is {value!r}")
        case _, str():
            return partial(_single, partial(_equals, name, value))
        case _, Mapping() if len(value) == 1:
            ((compare, wanted),) = value.items()
            return partial(_single, _comparison(name, compare, wanted))
        case _:
            raise _invalid(f"{name} is {value!r}; it must be text or an object with one operator")


def _objects(name: str, filters: Sequence[Any]) -> list[Clause]:
    if not all(isinstance(each, Mapping) for each in filters):
        raise _invalid(f"{name} is {filters!r}; it must be a list of objects")
    return [_object(each) for each in filters]


def _combined(clauses: Collection[Clause], how: Callable[[Any], bool], negated: bool) -> Test | None:
    """By De Morgan; without any demand, ``all`` demands nothing and ``any`` cannot be met."""
    tests = [test for clause in clauses if (test := clause(negated)) is not None]
    if (how is all) is not negated:
        return (lambda tags: all(test(tags) for test in tests)) if tests else None
    return lambda tags: any(test(tags) for test in tests)


def _negated(clause: Clause, negated: bool) -> Test | None:
    return clause(not negated)


def _single(test: Test, negated: bool) -> Test:
    return (lambda tags: not test(tags)) if negated else test


def _all_exist(names: Sequence[str], negated: bool) -> Test:
    """Negated it demands, as in Askar, that none of several exists."""
    return lambda tags: all((name in tags) is not negated for name in names)


def _exists(name: str, tags: Tags) -> bool:
    return name in tags


def _equals(name: str, wanted: str, tags: Tags) -> bool:
    value = tags.get(name)
    return value == wanted if isinstance(value, str) else value is not None and wanted in value


def _comparison(name: str, compare: str, wanted: Any) -> Test:
    if compare == "$in" and isinstance(wanted, list | tuple) and all(isinstance(each, str) for each in wanted):
        return partial(_some_value, name, frozenset(wanted).__contains__)
    if not isinstance(wanted, str):
        raise _invalid(f"{name} is {compare} {wanted!r}; that must be text, and a list of texts for $in")
    if compare == "$neq":
        return partial(_some_value, name, wanted.__ne__)
    if compare not in ORDER and compare != "$like":
        raise _invalid(f"{name} has the operator {compare}; it must be $neq, $in, $like, {', '.join(ORDER)}")
    if not name.startswith("~"):
        raise AskarError(
            AskarErrorCode.UNSUPPORTED, f"{name} is compared by {compare}; that must be a tag that begins with ~"
        )
    if compare == "$like":
        like = _like(wanted)
        return partial(_some_value, name, lambda value: like.fullmatch(value) is not None)
    order = ORDER[compare]
    return partial(_some_value, name, lambda value: order(value, wanted))


ORDER = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
"""Of texts; SQLite compares their bytes, whose order in UTF-8 is that of the characters."""


def _some_value(name: str, test: Callable[[str], bool], tags: Tags) -> bool:
    value = tags.get(name)
    if value is None:
        return False
    return test(value) if isinstance(value, str) else any(map(test, value))


def _like(pattern: str) -> re.Pattern[str]:
    """SQLite's LIKE, which takes no heed of the case of ASCII letters."""
    parts = (".*" if char == "%" else "." if char == "_" else _either_case(char) for char in pattern)
    return re.compile("".join(parts), re.DOTALL)


def _either_case(char: str) -> str:
    return f"[{char.lower()}{char.upper()}]" if char.isascii() and char.isalpha() else re.escape(char)


def _restrictions(filters: Sequence[Any]) -> list[dict[str, Any]]:
    """A list, as old restrictions were written: any of them, and null says nothing."""
    if not all(isinstance(each, Mapping) for each in filters):
        raise _invalid(f"it is {filters!r}; it must be a list of objects")
    kept = [{name: value for name, value in each.items() if value is not None} for each in filters]
    return [each for each in kept if each]


def _demanded(filter_: Mapping[str, Any]) -> list[tuple[str, str]]:
    demanded = [(name, value) for name, value in filter_.items() if isinstance(value, str) and name != "$exist"]
    return demanded + [each for part in filter_.get("$and", ()) for each in _demanded(part)]


def _invalid(why: str) -> AskarError:
    return AskarError(AskarErrorCode.INPUT, f"Error parsing tag query: {why}")
