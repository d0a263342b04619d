"""Who may write to a profile: one transaction at a time, and writes outside of transactions between them."""

from __future__ import annotations

import asyncio

from aries_askar import AskarError, AskarErrorCode

WAIT = 10.0
"""Seconds that a write waits for its turn; ACA-Py waits as long for a transaction to begin. What needs longer waits
for itself: a session that is opened within a transaction of the same profile, and writes."""


class WriteLock:
    """A fair lock, which is released by what taking it returned, and by nothing else."""

    __slots__ = ("_lock", "_name", "_turn")

    def __init__(self, name: str) -> None:
        self._lock = asyncio.Lock()
        self._name = name
        self._turn: object | None = None

    @property
    def is_free(self) -> bool:
        """Whether somebody who takes it now need not wait."""
        return not self._lock.locked()

    async def acquire(self) -> object:
        """Wait for one's turn; returns what ends it. Raises AskarError BUSY after WAIT seconds."""
        try:
            async with asyncio.timeout(WAIT):
                await self._lock.acquire()
        except TimeoutError:
            raise AskarError(
                AskarErrorCode.BUSY, f"a transaction of {self._name} did not end within {WAIT:g} s"
            ) from None
        self._turn = object()
        return self._turn

    def release(self, turn: object) -> None:
        """End one's turn. Raises RuntimeError when it is not the present one."""
        if turn is not self._turn:
            raise RuntimeError(f"this is another's turn to write to {self._name}")
        self._turn = None
        self._lock.release()
