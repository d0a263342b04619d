"""A file of the run's folder by which the control node orders something."""

from __future__ import annotations

import contextlib
from pathlib import Path

from stampede.schema.orders import LONGEST


class OrderFile:
    """Told once: what was read before is no news."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        self._seen = b""

    def news(self) -> bytes | None:
        """What stands in it, one byte beyond LONGEST at most; None when that is what it was, or there is none."""
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            text = file.read(LONGEST + 1)
            if text != self._seen:
                self._seen = text
                return text
        return None
