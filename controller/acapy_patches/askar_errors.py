"""Reports each failed call to Askar with its own error code."""

from __future__ import annotations

from typing import Any

from controller.acapy_patches.patch import Patch


def keep_error_codes() -> None:
    """Take the code from the callback, and the message where it was not lost to another call."""
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


ASKAR_ERRORS = Patch(
    name="askar_errors",
    reason=(
        "Askar keeps the last error in one place for all threads: of two calls that fail at the same moment, one is "
        "reported with the code SUCCESS instead of, say, NOT_FOUND."
    ),
    upstream="not reported upstream",
    written_for={"aries-askar": "0.5.0"},
    originals={
        "aries_askar.bindings.lib:LibLoad._handle_callback": "31ab31f99fe9ddab",
        "aries_askar.bindings.lib:LibLoad._fulfill_future": "1f807ee213a8db38",
        "aries_askar.bindings.lib:LibLoad.get_current_error": "a945b57f81af3961",
        "aries_askar.bindings.lib:LibLoad.invoke_async": "5e74b24472fc4658",
        "aries_askar.error": "cec37929256b9c04",
    },
    apply=keep_error_codes,
)
