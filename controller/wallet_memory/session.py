"""Sessions, transactions and scans, as ACA-Py knows them of Askar."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from aries_askar import AskarError, AskarErrorCode

from controller.wallet_memory import queries
from controller.wallet_memory.database import Database
from controller.wallet_memory.entries import Entry, KeyEntry
from controller.wallet_memory.profile import Profile
from controller.wallet_memory.queries import Filter, Query
from controller.wallet_memory.records import (
    KEY_CATEGORY,
    Kind,
    Record,
    RecordId,
    StoredKey,
    expiry,
    tags_of,
    value_of,
)
from controller.wallet_memory.transaction import Transaction

type Clock = Callable[[], float]
"""Unix time in seconds."""


class OpenStore(Protocol):
    """What a session needs of its store."""

    clock: Clock

    def opened(self) -> Database:
        """The store's profiles. Raises AskarError WRAPPER when the store has been closed."""


class Session:
    """See ``aries_askar.Session``. Outside of a transaction each write is committed by itself."""

    __slots__ = (
        "_clock",
        "_database",
        "_is_open",
        "_is_transaction",
        "_loop",
        "_profile",
        "_turn",
        "_view",
        "autocommit",
    )

    def __init__(
        self, database: Database, profile: Profile, clock: Clock, is_transaction: bool, autocommit: bool | None
    ) -> None:
        """A transaction is open once it has begun."""
        self.autocommit = autocommit or False
        """Whether a transaction that is closed is committed; it is rolled back otherwise."""
        self._database = database
        self._profile = profile
        self._clock = clock
        self._is_transaction = is_transaction
        self._is_open = not is_transaction
        self._loop = asyncio.get_running_loop()
        self._turn: object = None
        self._view = Transaction(profile)

    async def begin(self) -> None:
        """Begin a transaction: wait for those that others have begun. Raises AskarError BUSY."""
        self._turn = await self._profile.lock.acquire()
        self._is_open = True

    @property
    def is_transaction(self) -> bool:
        """Whether it can be committed and rolled back."""
        return self._is_transaction

    @property
    def handle(self) -> Session | None:
        """Itself, until it is closed."""
        return self if self._is_open else None

    async def count(self, category: str | None = None, tag_filter: Filter = None) -> int:
        """How many records are selected."""
        self._check_open("count from")
        return len(self._select(Kind.ITEM, category, queries.parse(tag_filter)))

    async def fetch(self, category: str, name: str, *, for_update: bool = False) -> Entry | None:
        """The record of that category and name."""
        self._check_open("fetch from")
        record = self._get((Kind.ITEM, category, name))
        return Entry(record) if record else None

    async def fetch_all(
        self,
        category: str | None = None,
        tag_filter: Filter = None,
        limit: int | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        for_update: bool = False,
    ) -> list[Entry]:
        """The records that are selected."""
        self._check_open("fetch from")
        records = self._select(Kind.ITEM, category, queries.parse(tag_filter))
        return [Entry(record) for record in page(records, 0, limit, order_by, descending)]

    async def insert(
        self,
        category: str,
        name: str,
        value: str | bytes | memoryview | None = None,
        tags: dict[str, Any] | None = None,
        expiry_ms: int | None = None,
        value_json: Any = None,
    ) -> None:
        """Add a record. Raises AskarError DUPLICATE."""
        record = self._item(category, name, value, tags, expiry_ms, value_json)
        await self._write(lambda view: view.insert(record))

    async def replace(
        self,
        category: str,
        name: str,
        value: str | bytes | memoryview | None = None,
        tags: dict[str, Any] | None = None,
        expiry_ms: int | None = None,
        value_json: Any = None,
    ) -> None:
        """Change a record: value, tags and expiry. Raises AskarError NOT_FOUND."""
        record = self._item(category, name, value, tags, expiry_ms, value_json)
        await self._write(lambda view: view.replace(record))

    async def remove(self, category: str, name: str) -> None:
        """Remove a record. Raises AskarError NOT_FOUND."""
        self._check_open("update")
        await self._write(lambda view: view.remove((Kind.ITEM, category, name)))

    async def remove_all(self, category: str | None = None, tag_filter: Filter = None) -> int:
        """Remove the records that are selected; returns how many."""
        self._check_open("remove all for")
        query = queries.parse(tag_filter)
        return await self._write(lambda view: view.remove_all(Kind.ITEM, category, query))

    async def insert_key(
        self,
        name: str,
        key: Any,
        *,
        metadata: str | None = None,
        tags: dict[str, Any] | None = None,
        expiry_ms: int | None = None,
    ) -> str:
        """Add a key. Raises AskarError DUPLICATE."""
        self._check_open("insert key with")
        record = self._key(name, StoredKey(key, metadata), tags, expiry_ms)
        await self._write(lambda view: view.insert(record))
        return name

    async def fetch_key(self, name: str, *, for_update: bool = False) -> KeyEntry | None:
        """The key of that name."""
        self._check_open("fetch key from")
        record = self._get((Kind.KEY, KEY_CATEGORY, name))
        return KeyEntry(record) if record else None

    async def fetch_all_keys(
        self,
        *,
        alg: Any = None,
        thumbprint: str | None = None,
        tag_filter: Filter = None,
        limit: int | None = None,
        for_update: bool = False,
    ) -> list[KeyEntry]:
        """The keys that are selected, of an algorithm and with a thumbprint where these are given."""
        self._check_open("fetch key from")
        algorithm = getattr(alg, "value", alg)
        query = queries.parse(tag_filter)
        entries = [KeyEntry(record) for record in self._select(Kind.KEY, KEY_CATEGORY, query)]
        found = [
            entry
            for entry in entries
            if (not algorithm or entry.algorithm == algorithm)
            and (not thumbprint or entry.key.get_jwk_thumbprint() == thumbprint)
        ]
        return page(found, 0, limit, None, False)

    async def update_key(
        self,
        name: str,
        *,
        metadata: str | None = None,
        tags: dict[str, Any] | None = None,
        expiry_ms: int | None = None,
    ) -> None:
        """Change what is stored with a key. Raises AskarError NOT_FOUND."""
        self._check_open("update key with")

        def update(view: Transaction) -> None:
            record = self._get((Kind.KEY, KEY_CATEGORY, name))
            if record is None:
                raise AskarError(AskarErrorCode.NOT_FOUND, "Key entry not found")
            assert isinstance(record.value, StoredKey)
            view.replace(self._key(name, StoredKey(record.value.key, metadata), tags, expiry_ms))

        await self._write(update)

    async def remove_key(self, name: str) -> None:
        """Remove a key. Raises AskarError NOT_FOUND."""
        self._check_open("remove key with")
        await self._write(lambda view: view.remove((Kind.KEY, KEY_CATEGORY, name)))

    async def commit(self) -> None:
        """Commit the transaction and close the session."""
        self._check_transaction("commit")
        self._end(commit=True)

    async def rollback(self) -> None:
        """Undo the transaction and close the session."""
        self._check_transaction("rollback")
        self._end(commit=False)

    async def close(self) -> None:
        """Close the session; a transaction is committed if ``autocommit`` says so."""
        if self._is_open:
            self._end(commit=self.autocommit)

    def __del__(self) -> None:
        if self._is_open and self._is_transaction and not self._loop.is_closed():  # maybe in another thread
            self._loop.call_soon_threadsafe(self._profile.lock.release, self._turn)

    def _check_open(self, action: str) -> None:
        if not self._is_open:
            raise AskarError(AskarErrorCode.WRAPPER, f"Cannot {action} closed session")

    def _check_transaction(self, action: str) -> None:
        if not self._is_transaction:
            raise AskarError(AskarErrorCode.WRAPPER, "Session is not a transaction")
        if not self._is_open:
            raise AskarError(AskarErrorCode.WRAPPER, f"Cannot {action} closed transaction")

    def _end(self, *, commit: bool) -> None:
        self._is_open = False
        if self._is_transaction:
            try:
                if commit:
                    self._database.commit(self._profile, self._view.changes)
            finally:
                self._profile.lock.release(self._turn)

    async def _write[Result](self, write: Callable[[Transaction], Result]) -> Result:
        if self._is_transaction:
            return write(self._view)
        lock = self._profile.lock
        if lock.is_free:  # no other task can take it, since nothing is awaited here
            return self._write_now(write)
        turn = await lock.acquire()
        try:
            return self._write_now(write)
        finally:
            lock.release(turn)

    def _write_now[Result](self, write: Callable[[Transaction], Result]) -> Result:
        view = Transaction(self._profile)
        result = write(view)
        self._database.commit(self._profile, view.changes)
        return result

    def _get(self, record_id: RecordId) -> Record | None:
        record = self._view.get(record_id)
        return None if record is None or record.has_expired(int(self._clock())) else record

    def _select(self, kind: Kind, category: str | None, query: Query) -> list[Record]:
        now = int(self._clock())
        return [record for record in self._view.select(kind, category, query) if not record.has_expired(now)]

    def _item(
        self, category: str, name: str, value: Any, tags: dict[str, Any] | None, expiry_ms: int | None, json: Any
    ) -> Record:
        self._check_open("update")
        expires = expiry(expiry_ms, self._clock())
        return Record(Kind.ITEM, category, name, value_of(value, json), tags_of(tags), expires)

    def _key(self, name: str, key: StoredKey, tags: dict[str, Any] | None, expiry_ms: int | None) -> Record:
        return Record(Kind.KEY, KEY_CATEGORY, name, key, tags_of(tags), expiry(expiry_ms, self._clock()))


class OpenSession:
    """See ``aries_askar.store.OpenSession``: a session once it is awaited, or entered."""

    __slots__ = ("_autocommit", "_profile", "_session", "_store", "is_transaction")

    def __init__(
        self, store: OpenStore, profile: str | None, is_transaction: bool, autocommit: bool | None = None
    ) -> None:
        self.is_transaction = is_transaction
        self._store = store
        self._profile = profile
        self._autocommit = autocommit
        self._session: Session | None = None

    async def _open(self) -> Session:
        if self._session:
            raise AskarError(AskarErrorCode.WRAPPER, "Session already opened")
        database = self._store.opened()
        profile = database.profile(self._profile or database.default_profile)
        session = Session(database, profile, self._store.clock, self.is_transaction, self._autocommit)
        if self.is_transaction:
            await session.begin()
        return session

    def __await__(self) -> Generator[Any, Any, Session]:
        return self._open().__await__()

    async def __aenter__(self) -> Session:
        self._session = await self._open()
        return self._session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        assert session is not None
        if error:
            session.autocommit = False
        await session.close()


class Scan:
    """See ``aries_askar.store.Scan``: the committed records that are selected, as they are when the first is read."""

    __slots__ = ("_load", "_rows")

    def __init__(self, load: Callable[[], Iterator[Record]]) -> None:
        self._load = load
        self._rows: Iterator[Record] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Entry:
        if self._rows is None:
            self._rows = self._load()
        for record in self._rows:
            return Entry(record)
        raise StopAsyncIteration

    async def fetch_all(self) -> list[Entry]:
        """All entries that are left."""
        return [entry async for entry in self]


def page[Found](
    found: list[Found], offset: int | None, limit: int | None, order_by: str | None, descending: bool
) -> list[Found]:
    """Part of what was found, which is in the order of its positions. Raises AskarError UNSUPPORTED for another."""
    if order_by not in (None, "id"):
        raise AskarError(AskarErrorCode.UNSUPPORTED, f"order_by is {order_by!r}; it must be 'id'")
    if order_by and descending:
        found = found[::-1]
    start = max(offset or 0, 0)
    return found[start:] if limit is None or limit < 0 else found[start : start + limit]
