"""Makes SQLite stores bear many holders at once: enough connections, and writers that take turns.

Without, tens of holders in flight make steps stall for tens of seconds. A store's pool has 4 to 8 connections,
and ACA-Py opens sessions within sessions, each with a connection: they wait for each other until a time-out
ends it. And SQLite lets writers poll for the lock, so that under load some starve.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

PARAMETERS = "max_connections=100&busy_timeout=60000&journal_mode=wal&synchronous=off"


class TurnTaking:
    """A fair lock around everything that writes to one SQLite store.

    A transaction holds it from begin to end, a single write for that write only. A task that holds it may
    write again, as a session within its own transaction does. It is a courtesy, SQLite itself keeps writers
    apart: who has waited for PATIENCE seconds goes on without, which ends a deadlock of tasks that wait for
    each other.
    """

    PATIENCE = 8.0

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None

    async def acquire(self) -> bool:
        """Take the turn; False when this task already has it, or waited in vain."""
        task = asyncio.current_task()
        if self._owner is task:
            return False
        if self._lock.locked():
            try:
                async with asyncio.timeout(self.PATIENCE):
                    await self._lock.acquire()
            except TimeoutError:
                return False
        else:
            await self._lock.acquire()
        self._owner = task
        return True

    def release(self) -> None:
        """End the turn."""
        self._owner = None
        self._lock.release()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The turn as a context."""
        taken = await self.acquire()
        try:
            yield
        finally:
            if taken:
                self.release()


def tune_stores() -> None:
    """Open SQLite stores with enough connections: ACA-Py opens sessions within sessions, and those wait for
    each other for ever (10 s, in effect) when the pool is as small as the number of cores. The wallets
    end with the run, so nothing is gained by waiting for the disk."""
    from acapy_agent.askar.store import AskarStoreConfig

    build_uri = AskarStoreConfig._build_sqlite_uri

    def with_parameters(self: Any, in_memory: bool | None, create: bool) -> str:
        return f"{build_uri(self, in_memory, create)}?{PARAMETERS}"

    AskarStoreConfig._build_sqlite_uri = with_parameters


def take_turns_writing() -> None:
    """Put TurnTaking around transactions and writes of askar sessions (one lock per store)."""
    from acapy_agent.askar import profile, profile_anon
    from aries_askar import store as askar

    turns: dict[int, TurnTaking] = {}

    def turn_of(store_handle: Any) -> TurnTaking:
        return turns.setdefault(store_handle.value, TurnTaking())

    def whole_transaction_in_turn(session_class: Any) -> None:
        setup, teardown = session_class._setup, session_class._teardown

        async def begin(self: Any) -> None:
            turn = turn_of(self._profile.store.handle) if self.is_transaction else None
            self._turn = turn if turn is not None and await turn.acquire() else None
            try:
                await setup(self)
            except BaseException:
                end_turn(self)
                raise

        async def end(self: Any, commit: bool | None = None) -> None:
            try:
                await teardown(self, commit)
            finally:
                end_turn(self)

        session_class._setup, session_class._teardown = begin, end

    def end_turn(session: Any) -> None:
        turn, session._turn = session._turn, None
        if turn is not None:
            turn.release()

    whole_transaction_in_turn(profile.AskarProfileSession)
    whole_transaction_in_turn(profile_anon.AskarAnonCredsProfileSession)

    def in_turn(name: str) -> None:
        write = getattr(askar.Session, name)

        async def written(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self._is_txn:
                return await write(self, *args, **kwargs)
            async with turn_of(self._store).turn():
                return await write(self, *args, **kwargs)

        setattr(askar.Session, name, written)

    for name in ("insert", "replace", "remove", "remove_all", "insert_key", "update_key", "remove_key"):
        in_turn(name)
