"""A profile: the records of one wallet as they are committed, and who may change them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from controller.wallet_memory.queries import Query
from controller.wallet_memory.records import Kind, Record, RecordId
from controller.wallet_memory.write_lock import WriteLock

INDEXED_FROM = 64
"""Records of a category from which on they are found by the values of their tags without looking at each. Most
wallets never have so many; the agent's own has one and more for each holder."""

type Changes = Mapping[RecordId, Record | None]
"""The records that are new or other, and None for those that are removed."""


class Category:
    """The records of one kind and category."""

    __slots__ = ("_by_tag", "records")

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        """By name."""
        self._by_tag: dict[tuple[str, str], set[str]] | None = None

    def put(self, record: Record) -> None:
        """Add a record, or replace the one of that name."""
        self.discard(record.name)
        self.records[record.name] = record
        if self._by_tag is not None:
            for tag in _tag_values(record):
                self._by_tag.setdefault(tag, set()).add(record.name)
        elif len(self.records) >= INDEXED_FROM:
            self._index()

    def discard(self, name: str) -> None:
        """Remove a record, if there is one of that name."""
        record = self.records.pop(name, None)
        if record is not None and self._by_tag is not None:
            for tag in _tag_values(record):
                names = self._by_tag[tag]
                names.discard(name)
                if not names:
                    del self._by_tag[tag]

    def candidates(self, query: Query) -> Iterable[Record]:
        """The records among which are all that a query selects."""
        if self._by_tag is None or not query.equals:
            return self.records.values()
        fewest = min((self._by_tag.get(tag, set()) for tag in query.equals), key=len)
        return [self.records[name] for name in fewest]

    def _index(self) -> None:
        self._by_tag = {}
        for record in self.records.values():
            for tag in _tag_values(record):
                self._by_tag.setdefault(tag, set()).add(record.name)


class Profile:
    """The committed records of a profile."""

    __slots__ = ("_categories", "_next_position", "lock", "name", "removed")

    def __init__(self, name: str) -> None:
        self.name = name
        self.lock = WriteLock(f"profile {name}")
        """Held by the transaction that changes the profile."""
        self.removed = False
        """Whether it is no longer part of its store."""
        self._categories: dict[tuple[Kind, str], Category] = {}
        self._next_position = 0

    def get(self, record_id: RecordId) -> Record | None:
        """The record with this id, expired or not."""
        kind, category, name = record_id
        found = self._categories.get((kind, category))
        return found.records.get(name) if found else None

    def candidates(self, kind: Kind, category: str | None, query: Query) -> Iterable[Record]:
        """The records of a category, or of all of a kind, among which are those that a query selects."""
        if category is None:
            return chain.from_iterable(
                each.candidates(query) for (of, _), each in self._categories.items() if of is kind
            )
        found = self._categories.get((kind, category))
        return found.candidates(query) if found else ()

    def next_position(self) -> int:
        """The position of a record that is inserted now."""
        self._next_position += 1
        return self._next_position

    def apply(self, changes: Changes) -> None:
        """Make changes, all of them."""
        for (kind, category, name), record in changes.items():
            if record is not None:
                self._categories.setdefault((kind, category), Category()).put(record)
                self._next_position = max(self._next_position, record.position)
            elif (found := self._categories.get((kind, category))) is not None:
                found.discard(name)
                if not found.records:
                    del self._categories[kind, category]

    def clear(self) -> None:
        """Remove everything, for the profile is removed."""
        self.removed = True
        self._categories.clear()

    def records(self) -> list[Record]:
        """All records, in the order of their positions."""
        every = chain.from_iterable(each.records.values() for each in self._categories.values())
        return sorted(every, key=position)


def position(record: Record) -> int:
    """By which records are ordered."""
    return record.position


def _tag_values(record: Record) -> Iterable[tuple[str, str]]:
    for name, value in record.tags.items():
        if isinstance(value, str):
            yield name, value
        else:
            yield from ((name, each) for each in value)
