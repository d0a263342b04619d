"""Keeps the wallet's error codes apart.

In Askar 0.5 a failed call leaves its error in one place for the whole process. When two fail in the same
moment, one of them finds the place empty and is reported with the code SUCCESS instead of, say, NOT_FOUND,
which ACA-Py then takes for a breakdown. The call's own code, handed over beside, is always right.
"""

from typing import Any

from aries_askar import AskarError, AskarErrorCode
from aries_askar.bindings.lib import LibLoad


def keep_error_codes() -> None:
    """Report each failed call with its own code, and with its message when that was not lost."""

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
