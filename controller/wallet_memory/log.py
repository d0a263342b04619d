"""The file of a profile: frames that are appended, each encrypted, and whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

from controller.wallet_memory.cipher import Cipher

LENGTH_BYTES = 4
"""Before each frame, the number of bytes that follow, most significant byte first."""
SLACK = 32 * 1024
"""Bytes to which a file may grow before it is written anew, in addition to twice what it then had."""


class Log:
    """A file to which frames are appended.

    A frame has reached the file when ``append`` returns: it outlives the process. It is not synced to a disk, since
    a run's wallets do not outlive the machine.
    """

    __slots__ = ("_cipher", "_frames", "_path", "_rewrite_at", "size")

    def __init__(self, path: Path, cipher: Cipher) -> None:
        self._path = path
        self._cipher = cipher
        self._frames = 0
        self._rewrite_at = SLACK
        self.size = 0
        """Bytes in the file."""

    @property
    def has_outgrown(self) -> bool:
        """Whether the file has much that is not needed any more, and is to be written anew."""
        return self.size > self._rewrite_at

    def append(self, data: bytes) -> None:
        """Append a frame. Raises OSError; the file is then as it was before."""
        frame = self._frame(self._frames, data)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            if os.write(descriptor, frame) != len(frame):
                raise OSError(f"{self._path} takes no more bytes")
        except OSError:
            os.ftruncate(descriptor, self.size)
            raise
        finally:
            os.close(descriptor)
        self._frames += 1
        self.size += len(frame)

    def rewrite(self, data: bytes) -> None:
        """Replace all frames by one. Raises OSError; the file is then as it was before, and to grow further."""
        frame = self._frame(0, data)
        new = self._path.with_suffix(".new")
        try:
            new.touch(mode=0o600)
            new.write_bytes(frame)
            new.replace(self._path)
        except OSError:
            self._rewrite_at *= 2
            new.unlink(missing_ok=True)
            raise
        self._frames, self.size = 1, len(frame)
        self._rewrite_at = 2 * self.size + SLACK

    def read(self) -> list[bytes]:
        """The frames in the file, up to the first that is not whole: the file ends there from now on."""
        content, start = self._path.read_bytes(), 0
        frames: list[bytes] = []
        while True:
            body = start + LENGTH_BYTES
            end = body + int.from_bytes(content[start:body])
            frame = None
            if body < end <= len(content):
                frame = self._cipher.decrypt(content[body:end], self._context(len(frames)))
            if frame is None:
                break
            frames.append(frame)
            start = end
        self._frames, self.size = len(frames), start
        self._rewrite_at = 2 * self.size + SLACK
        return frames

    def cut_off_rest(self) -> int:
        """After ``read``: remove what follows the last whole frame from the file; returns how many bytes it was."""
        rest = self._path.stat().st_size - self.size
        if rest:
            os.truncate(self._path, self.size)
        return rest

    def remove(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)

    def _frame(self, number: int, data: bytes) -> bytes:
        encrypted = self._cipher.encrypt(data, self._context(number))
        return len(encrypted).to_bytes(LENGTH_BYTES) + encrypted

    def _context(self, number: int) -> bytes:
        """A frame is good in its own place in its own file only."""
        return f"{self._path.name} {number}".encode()
