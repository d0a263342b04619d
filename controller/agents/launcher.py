"""Starts ACA-Py as a holders' agent: ``python -m controller.agents.launcher start ...``.

The same agent with the same cryptography and the same messages, made cheaper for a process that holds
hundreds of wallets. What differs from ``aca-py start``, and why:

- the process dies with the controller (``PR_SET_PDEATHSIG``), so that kill -9 leaves nothing behind;
- ``nest_asyncio``, which ACA-Py's JSON-LD loader applies at import, is left out: it makes every asyncio task
  pure Python; the event loop is uvloop;
- the in-memory cache looks for expired entries once a second, not at each access;
- a tails file whose download failed is removed, where ACA-Py keeps the empty file and fails ever after;
- writers of the SQLite store take turns (a fair lock), where SQLite lets them poll and starve.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
SQLITE_PARAMETERS = "max_connections=100&busy_timeout=60000&journal_mode=wal&synchronous=off"


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux, prctl(2))."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent == 1 or os.getppid() != parent:
        sys.exit("the controller is gone")


def leave_out_nest_asyncio() -> None:
    """Make ``nest_asyncio.apply`` do nothing, before ACA-Py imports it."""
    import nest_asyncio

    nest_asyncio.apply = lambda loop=None: None


def scan_cache_once_a_second() -> None:
    """ACA-Py's InMemoryCache scans all its entries at each get and set; let it do so once a second."""
    from acapy_agent.cache.in_memory import InMemoryCache

    scan = InMemoryCache._remove_expired_cache_items
    last: dict[int, float] = {}

    def throttled(self: Any) -> None:
        now = time.monotonic()
        if now - last.get(id(self), 0.0) >= 1.0:
            last[id(self)] = now
            scan(self)

    InMemoryCache._remove_expired_cache_items = throttled


def remove_broken_tails_files() -> None:
    """Have a failed download of a tails file leave no file."""
    from acapy_agent.anoncreds.revocation.revocation import AnonCredsRevocation

    retrieve = AnonCredsRevocation.retrieve_tails

    async def retrieved(self: Any, rev_reg_def: Any) -> Any:
        try:
            return await retrieve(self, rev_reg_def)
        except BaseException:
            Path(self.get_local_tails_path(rev_reg_def)).unlink(missing_ok=True)
            raise

    AnonCredsRevocation.retrieve_tails = retrieved


class TurnTaking:
    """A fair lock around everything that writes to one SQLite store.

    A transaction holds it from begin to end, a single write for that write only. A task that holds it may
    write again, as a session within its own transaction does.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None

    async def acquire(self) -> bool:
        """Take the turn; False when this task already has it."""
        task = asyncio.current_task()
        if self._owner is task:
            return False
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


def tune_sqlite() -> None:
    """Open SQLite stores with enough connections: ACA-Py opens sessions within sessions, and those wait for
    each other for ever (10 s, in effect) when the pool is as small as the number of cores. The wallets
    end with the run, so nothing is gained by waiting for the disk."""
    from acapy_agent.askar.store import AskarStoreConfig

    build_uri = AskarStoreConfig._build_sqlite_uri

    def with_parameters(self: Any, in_memory: bool | None, create: bool) -> str:
        return f"{build_uri(self, in_memory, create)}?{SQLITE_PARAMETERS}"

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


def main() -> None:
    """Apply the above and hand over to ACA-Py."""
    die_with_parent()
    leave_out_nest_asyncio()
    from acapy_agent.commands import start

    scan_cache_once_a_second()
    remove_broken_tails_files()
    if "STAMPEDE_SQLITE" in os.environ:
        tune_sqlite()
        take_turns_writing()
    gc.set_threshold(50_000, 20, 50)
    gc.freeze()
    import uvloop

    uvloop.install()
    start.execute(sys.argv[2:])


if __name__ == "__main__":
    main()
