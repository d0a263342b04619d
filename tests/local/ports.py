"""Free TCP ports for tests."""

import os
import socket


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nothing listens at, below those that the system hands out."""
    for first in range(20000 + os.getpid() % 8000, 32000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as taker:
                    taker.bind(("", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")
