"""Virtual time: an event loop in which waiting takes no time, for dry runs and pacing tests."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _Skipping(selectors.DefaultSelector):
    """A selector that advances the loop's clock instead of waiting."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout > 0:
            self.skipped += timeout
            timeout = 0
        return super().select(timeout)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The clock stands still while code runs and jumps to the next timer when everything waits."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Seconds skipped so far."""
        return self._skipping.skipped
