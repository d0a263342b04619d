"""Starts ACA-Py as a holders' agent: ``python -m controller.agents.launcher start ...``.

The same agent with the same cryptography and the same messages, made cheaper and steadier for a process that
holds hundreds of wallets. ``remedies`` and ``sqlite`` say what differs from ``aca-py start``, and why; beside
that the event loop is uvloop, and the process dies with the controller, so that kill -9 leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys

from controller.agents import remedies, sqlite

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux, prctl(2))."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent == 1 or os.getppid() != parent:
        sys.exit("the controller is gone")


def main() -> None:
    """Apply the remedies and hand over to ACA-Py."""
    die_with_parent()
    remedies.apply()
    if "STAMPEDE_SQLITE" in os.environ:
        sqlite.tune_stores()
        sqlite.take_turns_writing()
    from acapy_agent.commands import start

    gc.set_threshold(50_000, 20, 50)
    gc.freeze()
    import uvloop

    uvloop.install()
    start.execute(sys.argv[2:])


if __name__ == "__main__":
    main()
