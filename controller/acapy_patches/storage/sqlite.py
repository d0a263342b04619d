"""Makes SQLite stores handle many holders at once: enough connections, and writers that take turns.

Without these patches, steps stall for tens of seconds once tens of holders are active.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from controller.acapy_patches.patch import Patch

PARAMETERS = "max_connections=100&busy_timeout=60000&journal_mode=wal&synchronous=off"


class TurnTaking:
    """A fair lock around everything that writes to one SQLite store.

    A transaction holds it from begin to end, a single write for that write only. A task that holds it may
    write again, as a session within its own transaction does. The lock is advisory, because SQLite itself
    serialises writers: a task that has waited for TIMEOUT seconds proceeds without it, which resolves a deadlock
    of tasks that wait for each other.
    """

    TIMEOUT = 8.0

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None

    async def acquire(self) -> bool:
        """Take the lock; False when this task already holds it, or the wait timed out."""
        task = asyncio.current_task()
        if self._owner is task:
            return False
        if self._lock.locked():
            try:
                async with asyncio.timeout(self.TIMEOUT):
                    await self._lock.acquire()
            except TimeoutError:
                return False
        else:
            await self._lock.acquire()
        self._owner = task
        return True

    def release(self) -> None:
        """Release the lock."""
        self._owner = None
        self._lock.release()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The lock as a context manager."""
        acquired = await self.acquire()
        try:
            yield
        finally:
            if acquired:
                self.release()


def open_with_parameters() -> None:
    """Add PARAMETERS to the URI of SQLite stores. The wallets end with the run, so writes need not be synced."""
    from acapy_agent.askar.store import AskarStoreConfig

    build_uri = AskarStoreConfig._build_sqlite_uri

    def with_parameters(self: Any, in_memory: bool | None, create: bool) -> str:
        return f"{build_uri(self, in_memory, create)}?{PARAMETERS}"

    AskarStoreConfig._build_sqlite_uri = with_parameters


def take_turns_writing() -> None:
    """Wrap transactions and writes of Askar sessions in TurnTaking, with one lock per store."""
    from acapy_agent.askar import profile, profile_anon
    from aries_askar import store as askar

    turns: dict[int, TurnTaking] = {}

    def turn_of(store_handle: Any) -> TurnTaking:
        return turns.setdefault(store_handle.value, TurnTaking())

    def wrap_transactions(session_class: Any) -> None:
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

    wrap_transactions(profile.AskarProfileSession)
    wrap_transactions(profile_anon.AskarAnonCredsProfileSession)

    def wrap_write(name: str) -> None:
        write = getattr(askar.Session, name)

        async def write_in_turn(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self._is_txn:
                return await write(self, *args, **kwargs)
            async with turn_of(self._store).turn():
                return await write(self, *args, **kwargs)

        setattr(askar.Session, name, write_in_turn)

    for name in ("insert", "replace", "remove", "remove_all", "insert_key", "update_key", "remove_key"):
        wrap_write(name)


SQLITE_CONNECTIONS = Patch(
    name="sqlite_connections",
    reason=(
        "A SQLite store has 4 to 8 connections, and ACA-Py opens sessions within sessions, each with a connection: "
        "they wait for each other until a timeout of 10 s. ACA-Py has no setting for the number of connections."
    ),
    upstream=(
        "https://github.com/openwallet-foundation/acapy/issues/1417 (closed), "
        "https://github.com/openwallet-foundation/acapy/issues/3492 (open), "
        "https://github.com/openwallet-foundation/askar/issues/115 (closed)"
    ),
    written_for={"acapy-agent": "1.7.0", "aries-askar": "0.5.0"},
    originals={"acapy_agent.askar.store:AskarStoreConfig._build_sqlite_uri": "13c878024f4ddf37"},
    apply=open_with_parameters,
)

SQLITE_WRITERS = Patch(
    name="sqlite_writers",
    reason="SQLite lets writers poll for its lock, so that under load some of them starve.",
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0", "aries-askar": "0.5.0"},
    originals={
        "acapy_agent.askar.profile:AskarProfileSession": "a37390399c839fac",
        "acapy_agent.askar.profile_anon:AskarAnonCredsProfileSession": "b6b6d7a0a2470a55",
        "acapy_agent.core.profile:ProfileSession": "4371d36505b364bc",
        "aries_askar.store:Session": "a7258e83f93ff143",
    },
    apply=take_turns_writing,
)
