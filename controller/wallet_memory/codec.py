"""Changes to a profile as bytes: a line of JSON that describes them, then the values one after the other."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from aries_askar import AskarError, Key

from controller.wallet_memory.records import NO_TAGS, Kind, Record, RecordId, StoredKey, Tags


def encode(changes: Iterable[tuple[RecordId, Record | None]]) -> bytes:
    """The records that are new or other, and the ids of those that are removed, as bytes."""
    heads: list[list[Any]] = []
    values: list[bytes] = []
    for (kind, category, name), record in changes:
        if record is None:
            heads.append([kind, category, name])
            continue
        value = _key_to_bytes(record.value) if isinstance(record.value, StoredKey) else record.value
        heads.append([kind, category, name, len(value), _tags_to_json(record.tags), record.expires, record.position])
        values.append(value)
    return b"".join([json.dumps(heads, separators=(",", ":")).encode(), b"\n", *values])


def decode(data: bytes) -> list[tuple[RecordId, Record | None]]:
    """What ``encode`` was given, in that order."""
    line, _, rest = data.partition(b"\n")
    values, start = memoryview(rest), 0
    changes: list[tuple[RecordId, Record | None]] = []
    for number, category, name, *head in json.loads(line):
        kind, category = Kind(number), sys.intern(category)
        if not head:
            changes.append(((kind, category, name), None))
            continue
        length, tags, expires, position = head
        value = bytes(values[start : start + length])
        start += length
        changes.append(
            (
                (kind, category, name),
                Record(
                    kind,
                    category,
                    name,
                    _key_from_bytes(value) if kind is Kind.KEY else value,
                    _tags_from_json(tags),
                    expires,
                    position,
                ),
            )
        )
    return changes


def _tags_to_json(tags: Tags) -> dict[str, str | list[str]]:
    return {name: value if isinstance(value, str) else sorted(value) for name, value in tags.items()}


def _tags_from_json(tags: Mapping[str, str | list[str]]) -> Tags:
    if not tags:
        return NO_TAGS
    return {sys.intern(name): value if isinstance(value, str) else frozenset(value) for name, value in tags.items()}


def _key_to_bytes(stored: StoredKey) -> bytes:
    try:
        jwk = stored.key.get_jwk_secret().decode()
    except AskarError:  # it is a public key alone
        jwk = stored.key.get_jwk_public()
    return json.dumps([jwk, stored.metadata]).encode()


def _key_from_bytes(value: bytes) -> StoredKey:
    jwk, metadata = json.loads(value)
    return StoredKey(Key.from_jwk(jwk), metadata)
