"""Remedies for what ACA-Py 1.7.0 and Askar 0.5 do badly in a process with hundreds of wallets.

- ``nest_asyncio``, which ACA-Py's JSON-LD loader applies at import, is left out: it makes every asyncio task
  pure Python.
- The in-memory cache looks for expired entries once a second, not at each access.
- A tails file whose download failed is removed, where ACA-Py keeps the empty file and fails ever after.
- Askar's error codes are kept apart: two calls that fail in the same moment share one place for their error,
  and one of them is reported with the code SUCCESS instead of, say, NOT_FOUND.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


def apply() -> None:
    """Apply all to this process, before ACA-Py is imported."""
    leave_out_nest_asyncio()
    scan_cache_once_a_second()
    remove_broken_tails_files()
    keep_error_codes()


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


def keep_error_codes() -> None:
    """Report each failed call with its own code, and with its message when that was not lost."""
    from aries_askar import AskarError, AskarErrorCode
    from aries_askar.bindings.lib import LibLoad

    def handle_callback(self: Any, callback_id: int, code: int, result: Any = None) -> None:
        error = None
        if code:
            error = self.get_current_error(True)
            if error.code != code:
                known = AskarErrorCode(code)
                error = AskarError(known, f"{known.name} (the message was lost to another call)")
        callback = self._callbacks.pop(callback_id, None)
        if callback:
            loop, future, _name = callback
            loop.call_soon_threadsafe(self._fulfill_future, future, result, error)

    LibLoad._handle_callback = handle_callback
