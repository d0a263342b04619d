"""Runs one ACA-Py agent of the reference services: `python -m reference.agent_main PARENT_PID ARGUMENT…`.

ACA-Py itself is unchanged; before it starts, the process asks the kernel to be killed with its parent, and
leaves out what makes it slow (see `askar` and below).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Be killed when the process `parent`, which started this one, dies in whatever way."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we could ask
        sys.exit(1)


def run(arguments: list[str]) -> None:
    """Run `aca-py start` with these arguments."""
    import gc

    import nest_asyncio
    import uvloop

    # ACA-Py's JSON-LD loader applies nest_asyncio when imported, which makes every task of the process
    # pure Python (and cannot work with uvloop). Nothing here needs nested loops.
    nest_asyncio.apply = lambda loop=None: None
    from acapy_agent.commands import start

    from . import askar

    askar.repair()
    gc.set_threshold(20_000, 50, 100)
    uvloop.run(start.run_app(arguments))


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    run(sys.argv[2:])
