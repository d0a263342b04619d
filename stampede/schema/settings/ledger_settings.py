"""``stampede_ledgers``: the Indy ledgers that holders read, and what genesis transactions look like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from stampede.schema.settings.variable_reader import VariableReader, kind_of, shown
from stampede.schema.settings.web_address import holds_login, web_address

VARIABLE = "stampede_ledgers"
SINGLE = "stampede_genesis_url"
LARGEST_GENESIS = 2**20
"""Bytes; a ledger's genesis has one kilobyte for each of its nodes."""
SOURCES = ("genesis_url", "genesis_file", "genesis_transactions")
"""The keys of which a ledger has one."""
LOGIN = (
    "holds a user or password, which results would quote; it must be a URL without, or the transactions must be a "
    "genesis_file of stampede_ledgers"
)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


@dataclass(frozen=True, slots=True)
class Ledger:
    """An Indy ledger, by ACA-Py's own words (``aca-py start --genesis-transactions-list``)."""

    id: str
    genesis_url: str = ""
    genesis_file: str = ""
    """A file on the control node; load hosts get its text as ``genesis_transactions``."""
    genesis_transactions: str = ""
    is_production: bool = True
    """Whether it is asked before those that are not, when several know a DID."""
    is_write: bool = False
    """Whether it is the one on which ACA-Py would write. Holders write nothing, so it need not be chosen."""


KEYS = tuple(field.name for field in fields(Ledger))


def read_ledgers(reader: VariableReader) -> tuple[Ledger, ...]:
    """The ledgers of the settings; what is wrong with them is noted."""
    entries = reader.read("ledgers")
    if holds_login(reader.read("genesis_url")):
        reader.complain(f"{SINGLE} {LOGIN}")
    problems = [sentence for place, entry in enumerate(entries) for sentence in _problems(entry, where(place))]
    if not problems:
        ledgers = tuple(Ledger(**entry) for entry in entries)
        problems += _together(ledgers)
        if ledgers and reader.read("genesis_url"):
            problems.append(
                f"{VARIABLE} has {len(ledgers)} ledgers, but {SINGLE} is set too; one of them must be left out"
            )
    for sentence in problems:
        reader.complain(sentence)
    return () if problems else ledgers


def where(place: int) -> str:
    """How a sentence names an entry of the list."""
    return f"{VARIABLE}[{place}]"


def genesis_problem(content: str | bytes) -> str:
    """Why a text is no genesis of an Indy ledger, to follow its name and "but"; empty when it is one.

    A genesis has one JSON object in each line, a transaction that adds a node
    (https://hyperledger-indy.readthedocs.io/projects/node/en/latest/transactions.html).
    """
    if len(content) > LARGEST_GENESIS:
        return f"it has more than {LARGEST_GENESIS:,} bytes, the most that a genesis may have"
    try:
        text = content.decode() if isinstance(content, bytes) else content
    except ValueError:
        return "it is not encoded in UTF-8"
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, line in lines:
        try:
            transaction = json.loads(line)
        except (ValueError, RecursionError):
            return f"its line {number} is not JSON"
        if not isinstance(transaction, dict) or not isinstance(transaction.get("txn"), dict):
            return f"its line {number} holds no transaction of a ledger (an object with txn)"
    return "" if lines else "it holds no transaction"


RIGHT_GENESIS = "it must be the genesis transactions of an Indy ledger, one in JSON on each line"


def _problems(entry: Mapping[Any, Any], name: str) -> Iterator[str]:
    """A sentence for each problem of one ledger by itself."""
    for key in entry:
        if key not in KEYS:
            yield f"{name} has {shown(key)}; it must have {', '.join(KEYS[:-1])} or {KEYS[-1]} in its place"
    if not isinstance(entry.get("id"), str) or not _ID.fullmatch(entry["id"]):
        yield f"{name}.id is {_or_missing(entry, 'id')}; it must be 1 to 64 of A-Z a-z 0-9 . _ : -"
    for key in ("is_production", "is_write"):
        if not isinstance(entry.get(key, False), bool):
            yield f"{name}.{key} is {shown(entry[key])}; it must be true or false"
    given = [key for key in SOURCES if key in entry]
    if len(given) != 1:
        found = f"{' and '.join(given)}, which are {len(given)} genesis" if given else "no genesis"
        yield f"{name} has {found}; it must have one of {', '.join(SOURCES)}"
    for key in given:
        yield from _wrong_source(entry[key], key, f"{name}.{key}")


def _wrong_source(value: Any, key: str, name: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{name} is {kind_of(value)}; it must be a text"
    elif key == "genesis_url" and not web_address(value):
        yield f"{name} is {shown(value)}; it must be a URL such as https://ledger.example.org/genesis"
    elif key == "genesis_url" and holds_login(value):
        yield f"{name} {LOGIN}"
    elif key == "genesis_file" and not (value.isprintable() and value):
        yield f"{name} is {shown(value)}; it must be the path of a file on the control node"
    elif key == "genesis_transactions" and (problem := genesis_problem(value)):
        yield f"{name} cannot be used: {problem}; {RIGHT_GENESIS}"


def _together(ledgers: tuple[Ledger, ...]) -> Iterator[str]:
    """A sentence for each problem of the ledgers beside each other."""
    first: dict[str, int] = {}
    for place, ledger in enumerate(ledgers):
        if (earlier := first.setdefault(ledger.id, place)) != place:
            yield f"{where(place)}.id is {ledger.id!r}, as is that of {where(earlier)}; it must be another"
    writing = [where(place) for place, ledger in enumerate(ledgers) if ledger.is_write]
    if len(writing) > 1:
        yield f"{writing[1]}.is_write is true, as is that of {writing[0]}; it must be false for all ledgers but one"


def _or_missing(entry: Mapping[Any, Any], key: str) -> str:
    return shown(entry[key]) if key in entry else "not set"
