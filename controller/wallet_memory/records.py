"""The records of a profile, and the tags by which they are found."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from aries_askar import AskarError, AskarErrorCode

type Tags = Mapping[str, str | frozenset[str]]
"""The value of each tag, or its values. A name that begins with ``~`` is another tag than the one without it: Askar
stores that one's values in plain text."""
type RecordId = tuple[Kind, str, str]
"""Kind, category and name."""

NO_TAGS: Tags = {}
KEY_CATEGORY = "cryptokey"


class Kind(IntEnum):
    """What a record is; records of several kinds are never found together."""

    PROFILE = 0
    """About the profile itself."""
    KEY = 1
    ITEM = 2


class StoredKey(NamedTuple):
    """The value of a record of kind KEY."""

    key: Any
    """An ``aries_askar.Key``."""
    metadata: str | None


class Record(NamedTuple):
    """A record as it was written; a change makes another one."""

    kind: Kind
    category: str
    name: str
    value: bytes | StoredKey
    tags: Tags = NO_TAGS
    expires: int | None = None
    """Unix time in whole seconds from which on the record is not found; None: it always is."""
    position: int = 0
    """Its place among the records of its profile, in the order in which they were inserted."""

    @property
    def id(self) -> RecordId:
        """What no other record of the profile has."""
        return self.kind, self.category, self.name

    def has_expired(self, now: int) -> bool:
        """Whether the record is still there but not to be found any more."""
        return self.expires is not None and self.expires <= now


def value_of(value: str | bytes | memoryview | None, value_json: Any) -> bytes:
    """What is stored for the arguments of ``insert``. Raises TypeError for another type, as Askar does."""
    if value is None:
        return b"" if value_json is None else json.dumps(value_json).encode()
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    if isinstance(value, memoryview):
        return value.tobytes()
    raise TypeError(f"Expected str or bytes value, got {type(value)}")


def tags_of(tags: Mapping[str, Any] | None) -> Tags:
    """What is stored for the tags of ``insert``. Raises AskarError INPUT when a value is neither text nor a list of
    texts."""
    if not tags:
        return NO_TAGS
    stored: dict[str, str | frozenset[str]] = {}
    for name, value in tags.items():
        if not name:
            raise AskarError(AskarErrorCode.INPUT, "invalid tag name: empty string")
        values = list(value) if isinstance(value, list | tuple | set) else [value]
        if not all(isinstance(each, str) for each in values):
            raise AskarError(
                AskarErrorCode.INPUT, f"the tag {name!r} is {value!r}; it must be text or a list of texts"
            )
        if values:
            stored[sys.intern(name)] = values[0] if len(values) == 1 else frozenset(values)
    return stored


def expiry(milliseconds: int | None, now: float) -> int | None:
    """When a record expires that is to be kept for so long; Askar takes a negative time as none."""
    return None if milliseconds is None or milliseconds < 0 else int(now + milliseconds / 1000)
