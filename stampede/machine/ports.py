"""Free TCP ports of this machine."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

RANGE = range(20_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections (32768 and above on Linux)."""


class HeldPorts:
    """Ports in a row that nobody listens on, on any interface, held until they are released or forgotten.

    Nobody else finds them free meanwhile, in any process. A server that sets SO_REUSEADDR, as those of asyncio do,
    can listen on them. Raises OSError when there are none.
    """

    def __init__(self, count: int = 1) -> None:
        for _ in range(1000):
            self.first = random.choice(RANGE)
            with ExitStack() as stack:
                try:
                    self._sockets = [
                        stack.enter_context(_bound(port)) for port in range(self.first, self.first + count)
                    ]
                except OSError:
                    continue
                for held in self._sockets:  # not before: the binding was exclusive
                    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                stack.pop_all()
                return
        raise OSError(f"no {count} free ports in a row")

    def release(self) -> None:
        """Let others have them."""
        for held in self._sockets:
            held.close()


def free_ports(count: int = 1) -> int:
    """The first of ``count`` ports in a row that nobody listens on at this moment, on any interface.

    Raises OSError when there are none.
    """
    found = HeldPorts(count)
    found.release()
    return found.first


def _bound(port: int) -> socket.socket:
    opened = socket.socket()
    try:
        opened.bind(("", port))
    except OSError:
        opened.close()
        raise
    return opened
