"""Reads a journal in batches of whole lines while it is being written."""

from __future__ import annotations

from pathlib import Path

MAX_BYTES = 4_000_000
"""Maximum size of a batch; far more than any line of a journal."""


class JournalTail:
    """Gives the lines after ``offset``. A last line without a newline is left until it has one: it may still change.

    Raises OSError when the file cannot be read.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._file = path.open("rb")
        self.offset = offset

    def batch(self, lines: int) -> bytes:
        """The next whole lines, at most ``lines``; empty if there are none yet. The same again until ``advance``."""
        self._file.seek(self.offset)
        found = self._file.read(MAX_BYTES)
        end = 0
        for _ in range(lines):
            newline = found.find(b"\n", end)
            if newline < 0:
                break
            end = newline + 1
        if not end and len(found) == MAX_BYTES:
            return found  # not a journal: the server is to reject it, instead of waiting for a newline
        return found[:end]

    def advance(self, batch: bytes) -> None:
        """Go on after ``batch``."""
        self.offset += len(batch)

    @property
    def behind(self) -> int:
        """Bytes from the offset to the end of the file."""
        return max(0, self._file.seek(0, 2) - self.offset)
