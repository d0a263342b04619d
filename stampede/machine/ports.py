"""Free TCP ports of this machine."""

from __future__ import annotations

import random
import socket

RANGE = range(20_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections (32768 and above on Linux)."""


def free_ports(count: int = 1) -> int:
    """The first of ``count`` ports in a row that nobody listens on, on any interface.

    Raises OSError when there are none.
    """
    for _ in range(1000):
        first = random.choice(RANGE)
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise OSError(f"no {count} free ports in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
