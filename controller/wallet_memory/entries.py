"""What Askar's Python API returns of a record or a key."""

from __future__ import annotations

import json
from typing import Any

from controller.wallet_memory.records import Record, StoredKey, Tags


class Entry:
    """See ``aries_askar.Entry``."""

    __slots__ = ("_record",)

    _KEYS = ("name", "category", "value", "tags")

    def __init__(self, record: Record) -> None:
        self._record = record

    @property
    def category(self) -> str:
        """The record's category."""
        return self._record.category

    @property
    def name(self) -> str:
        """The record's name."""
        return self._record.name

    @property
    def value(self) -> bytes:
        """The record's value."""
        assert isinstance(self._record.value, bytes)
        return self._record.value

    @property
    def raw_value(self) -> memoryview:
        """The record's value, as what AnonCreds takes."""
        return memoryview(self.value)

    @property
    def value_json(self) -> Any:
        """The record's value as JSON."""
        return json.loads(self.value)

    @property
    def tags(self) -> dict[str, str | set[str]]:
        """The record's tags; to be changed at will."""
        return _tags(self._record.tags)

    def keys(self) -> tuple[str, ...]:
        """The names that ``[]`` takes."""
        return self._KEYS

    def __getitem__(self, key: str) -> Any:
        if key not in self._KEYS:
            raise KeyError(key)
        return getattr(self, key)

    def __repr__(self) -> str:
        return f"<Entry(category={self.category!r}, name={self.name!r}, value={self.value!r}, tags={self.tags})>"


class KeyEntry:
    """See ``aries_askar.store.KeyEntry``."""

    __slots__ = ("_record", "_stored")

    def __init__(self, record: Record) -> None:
        assert isinstance(record.value, StoredKey)
        self._record = record
        self._stored = record.value

    @property
    def algorithm(self) -> str:
        """Such as ``ed25519``."""
        algorithm: str = self._stored.key.algorithm.value
        return algorithm

    @property
    def name(self) -> str:
        """The key's name."""
        return self._record.name

    @property
    def metadata(self) -> str:
        """What was stored with the key; empty when nothing was."""
        return self._stored.metadata or ""

    @property
    def key(self) -> Any:
        """The ``aries_askar.Key``."""
        return self._stored.key

    @property
    def tags(self) -> dict[str, Any]:
        """The key's tags; to be changed at will."""
        return _tags(self._record.tags)

    def __repr__(self) -> str:
        return (
            f"<KeyEntry(algorithm={self.algorithm!r}, name={self.name!r}, metadata={self.metadata!r}, "
            f"key={self.key}, tags={self.tags})>"
        )


def _tags(tags: Tags) -> dict[str, str | set[str]]:
    return {name: value if isinstance(value, str) else set(value) for name, value in tags.items()}
