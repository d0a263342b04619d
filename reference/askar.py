"""Three repairs of the wallet (Askar 0.5) that many holders at once need.

Stalls: a SQLite store gets 4 to 8 connections, and who finds none waits for up to 30 s; but ACA-Py keeps a
session (one connection) open while it opens another, so a few tens of messages at once wait for each other.
With more connections than messages nobody waits; on tmpfs there is nothing to gain by waiting for the disk.

Unfairness: SQLite lets one connection write at a time, and who waits looks again only every 100 ms, so that
under load some wait for seconds. Within the process writers therefore queue in the order they came.

Wrong errors: a failed call leaves its error in one place for the whole process. When two fail in the same
moment one of them finds the place empty, and is reported with the code SUCCESS instead of, say, NOT_FOUND,
which ACA-Py then takes for a breakdown (`DELETE /credential/…` answers 400 or 500). The call's own error
code, which the library hands over beside, is always right.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from acapy_agent.askar.store import AskarStoreConfig
from aries_askar import AskarError, AskarErrorCode
from aries_askar.bindings.lib import LibLoad
from aries_askar.store import OpenSession, Session

OPTIONS = "busy_timeout=60000&max_connections=100&synchronous=OFF"


def repair() -> None:
    """Apply all to this process."""
    _open_with_options()
    WriteQueue().install()
    _keep_error_codes()


def _open_with_options() -> None:
    build = AskarStoreConfig._build_sqlite_uri

    def build_tuned(self: AskarStoreConfig, in_memory: bool | None, create: bool) -> str:
        uri = build(self, in_memory, create)
        return uri if in_memory else f"{uri}?{OPTIONS}"

    AskarStoreConfig._build_sqlite_uri = build_tuned


class WriteQueue:
    """One writer at a time, first come, first served: a transaction from its start to its end, or one call.

    A queue is only a courtesy, SQLite itself keeps writers apart: who has waited for PATIENCE seconds goes on
    without, which ends the deadlock of a task that writes by a second session inside its transaction.
    """

    PATIENCE = 8.0
    WRITES = ("insert", "replace", "remove", "remove_all", "insert_key", "update_key", "remove_key")
    ENDS = ("commit", "rollback", "close")

    def __init__(self) -> None:
        """Nobody writes."""
        self._lock = asyncio.Lock()

    def install(self) -> None:
        """Let all sessions of this process queue."""
        OpenSession._open = self._queued_open(OpenSession._open)
        for name in self.WRITES:
            setattr(Session, name, self._queued_write(getattr(Session, name)))
        for name in self.ENDS:
            setattr(Session, name, self._leaving(getattr(Session, name)))

    def _queued_open(self, opening: Callable[..., Any]) -> Callable[..., Any]:
        async def opened(pending: OpenSession) -> Session:
            mine = pending.is_transaction and await self._enter()
            try:
                session = await opening(pending)
            except BaseException:
                if mine:
                    self._lock.release()
                raise
            session.queued = mine
            return session

        return opened

    def _queued_write(self, write: Callable[..., Any]) -> Callable[..., Any]:
        async def written(session: Session, *args: Any, **kwargs: Any) -> Any:
            mine = not session.is_transaction and await self._enter()
            try:
                return await write(session, *args, **kwargs)
            finally:
                if mine:
                    self._lock.release()

        return written

    def _leaving(self, end: Callable[..., Any]) -> Callable[..., Any]:
        async def ended(session: Session) -> None:
            try:
                await end(session)
            finally:
                if getattr(session, "queued", False):
                    session.queued = False
                    self._lock.release()

        return ended

    async def _enter(self) -> bool:
        if not self._lock.locked():
            return await self._lock.acquire()
        try:
            return await asyncio.wait_for(self._lock.acquire(), self.PATIENCE)
        except TimeoutError:
            return False


def _keep_error_codes() -> None:
    def handle_callback(self: LibLoad, cb_id: int, code: int, result: Any = None) -> None:
        error = None
        if code:
            error = self.get_current_error(True)
            if error.code != code:
                known = AskarErrorCode(code)
                error = AskarError(known, f"{known.name} (the message was lost to another call)")
        callback = self._callbacks.pop(cb_id, None)
        if callback:
            loop, future, _name = callback
            loop.call_soon_threadsafe(self._fulfill_future, future, result, error)

    LibLoad._handle_callback = handle_callback
