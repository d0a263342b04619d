"""Reference pages that are made from code at each build, by their paths in the site."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import re
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum, EnumType
from types import ModuleType
from typing import Any, cast
from unittest import mock

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from stampede.cli import main
from stampede.schema import summary
from stampede.schema.records import RECORDS, RUN_TAGS, layout
from stampede.schema.summary import Summary

JSON_NAMES = {str: "text", int: "whole number", float: "number", bool: "boolean", type(None): "null", Any: "anything"}
COLUMNS = "100"
SUMMARY_SCHEMA = "reference/summary.schema.json"
JOURNAL_SCHEMA = "reference/journal.schema.json"


def reference_pages() -> dict[str, str]:
    """The text of each page or file, by its path in the site."""
    return {
        "reference/holder.md": _holder(),
        "reference/commands.md": _commands(),
        "reference/summary.md": _summary(),
        "reference/journal.md": _journal(),
        SUMMARY_SCHEMA: _json(summary_schema()),
        JOURNAL_SCHEMA: _json(journal_schema()),
    }


def summary_schema() -> dict[str, Any]:
    """The JSON Schema of ``summary.json``. Keys that are not described may come with later versions."""
    schema = TypeAdapter(Summary).json_schema()
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": "Stampede's summary.json"} | schema


def journal_schema() -> dict[str, Any]:
    """A JSON Schema of a journal's points, by measurement: tags and fields of each."""
    kinds = {bool: "boolean", int: "integer", float: "number"}
    points = {}
    for record in RECORDS:
        kind = layout(record)
        properties = {name: {"type": kinds.get(type_, "string")} for name, type_ in kind.fields.items()}
        points[kind.measurement] = {
            "description": _text(record),
            "properties": {
                "tags": {
                    "properties": {name: {"type": "string"} for name in RUN_TAGS + kind.tags},
                    "required": [*RUN_TAGS],
                },
                "fields": {
                    "properties": properties,
                    "required": [name for name in properties if name not in kind.optional],
                },
            },
            "required": ["tags", "fields"],
        }
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": "Points of Stampede's journals, by measurement"}
    return head | {"type": "object", "properties": points, "additionalProperties": False}


# ---------------------------------------------------------------- pages


def _holder() -> str:
    return """# The Holder

What a script is given; [Writing a scenario](../writing-a-scenario.md) is the guide. Made from the code's docstrings.

::: controller.holder.holder.Holder
    options:
      show_root_heading: false
      show_root_toc_entry: false
      filters: ["!^_", "!^start_over$", "!^be_due$", "!^mask$", "!^context$", "!^wallet$"]
"""


def _commands() -> str:
    lines = ["# The command stampede", "", "What `--help` says.", "", *_block(help_of())]
    for words in commands():
        lines += ["", f"{'#' * (len(words) + 1)} stampede {' '.join(words)}", "", *_block(help_of(*words))]
    return "\n".join(lines) + "\n"


def commands(*words: str) -> Iterator[tuple[str, ...]]:
    """The words of each command that the help of ``stampede WORDS`` lists, each followed by its own commands."""
    listed = help_of(*words).partition("\n  COMMAND\n")[2].partition("\n\n")[0]
    for word in re.findall(r"^ {4}([a-z][a-z-]*)(?: |$)", listed, re.MULTILINE):
        yield (*words, word)
        yield from commands(*words, word)


def help_of(*words: str) -> str:
    """What ``stampede WORDS --help`` prints."""
    output = io.StringIO()
    surroundings = mock.patch.dict(os.environ, {"COLUMNS": COLUMNS, "NO_COLOR": "1"})
    with surroundings, contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return output.getvalue()


def _summary() -> str:
    lines = [
        "# summary.json",
        "",
        f"{_text(summary)} Made from the code's types, as [the JSON Schema]({_name(SUMMARY_SCHEMA)}) is.",
    ]
    for part in _parts(Summary):
        lines += ["", f"## {part.__name__}", "", _text(part)]
        meanings = _meanings(part)
        if isinstance(part, EnumType):
            lines += ["", "| value | meaning |", "| --- | --- |"]
            lines += [f"| `{each.value}` | {meanings.get(each.name, '')} |" for each in cast(type[Enum], part)]
        else:
            hints = typing.get_type_hints(part)
            lines += ["", "| key | is a | meaning |", "| --- | --- | --- |"]
            lines += [f"| `{name}` | {_kind(hint)} | {meanings.get(name, '')} |" for name, hint in hints.items()]
    return "\n".join(lines) + "\n"


def _parts(part: type) -> list[type]:
    """A dataclass and the dataclasses and enumerations that its fields have, each once, from the top."""
    found: list[type] = [part]
    for each in found:
        hints = {} if isinstance(each, EnumType) else typing.get_type_hints(each)
        inner = [kind for hint in hints.values() for kind in _within(hint)]
        found += [kind for kind in dict.fromkeys(inner) if _is_described(kind) and kind not in found]
    return found


def _within(hint: Any) -> Iterator[Any]:
    yield hint
    for argument in typing.get_args(hint):
        yield from _within(argument)


def _is_described(kind: Any) -> bool:
    return isinstance(kind, type) and (is_dataclass(kind) or isinstance(kind, EnumType))


def _kind(hint: Any) -> str:
    """A type as JSON has it, with links to what is described on the page."""
    if _is_described(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    arguments = [_kind(each) for each in typing.get_args(hint)]
    match typing.get_origin(hint):
        case None:
            return JSON_NAMES[hint]
        case types.UnionType | typing.Union:
            return " or ".join(arguments)
        case origin if origin is dict:
            return f"object of {arguments[1]}"
        case origin if origin is list:
            return f"array of {arguments[0]}"
    raise TypeError(f"summary.json has {hint}, which this page has no words for; add them to website/reference.py")


def _journal() -> str:
    lines = [
        "# The journal",
        "",
        "Measurements, as they are in each host's journal and in InfluxDB, in line protocol. Every point has the "
        f"tags {_listed(RUN_TAGS)}. Made from the code; also as [a JSON Schema]({_name(JOURNAL_SCHEMA)}).",
    ]
    for record in RECORDS:
        kind, meanings = layout(record), _meanings(record)
        lines += ["", f"## {kind.measurement}", "", _text(record), "", "| | is a | meaning |", "| --- | --- | --- |"]
        for name in (field.name for field in fields(record)):
            if name in kind.tags:
                what = "tag"
            else:
                what = kind.fields[name].__name__ + (", may be left out" if name in kind.optional else "")
            lines.append(f"| `{name}` | {what} | {meanings.get(name, '')} |")
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- parts


def _meanings(part: type) -> dict[str, str]:
    """The texts that follow fields, or members, in the source of a class."""
    pairs = re.findall(
        r'^    (\w+)(?::| =) [^\n]+\n    """(.*?)"""$', inspect.getsource(part), re.MULTILINE | re.DOTALL
    )
    return {name: _flat(text) for name, text in pairs}


def _text(item: type | ModuleType) -> str:
    return _flat(inspect.getdoc(item) or "")


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _block(text: str) -> Iterator[str]:
    yield "```text"
    yield text.rstrip()
    yield "```"


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1) + "\n"
