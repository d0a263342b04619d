"""Reading a journal in batches of whole lines while it is written."""

from __future__ import annotations

from pathlib import Path

MOST_BYTES = 4_000_000
"""Of a batch. No line of a journal comes near it."""


class Tail:
    """Gives what follows ``offset``. A last line without its newline is left until it has one: it may still change.

    Raises OSError when the file cannot be read.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._file = path.open("rb")
        self.offset = offset

    def batch(self, lines: int) -> bytes:
        """The next whole lines, at most so many; empty when there are none now. Goes on when they are ``passed``."""
        self._file.seek(self.offset)
        found = self._file.read(MOST_BYTES)
        end = 0
        for _ in range(lines):
            newline = found.find(b"\n", end)
            if newline < 0:
                break
            end = newline + 1
        if not end and len(found) == MOST_BYTES:
            return found  # no journal: to be rejected as it is, instead of being waited for
        return found[:end]

    def passed(self, batch: bytes) -> None:
        """Go on after ``batch``."""
        self.offset += len(batch)

    @property
    def behind(self) -> int:
        """Bytes from the offset to the end of the file."""
        return max(0, self._file.seek(0, 2) - self.offset)
