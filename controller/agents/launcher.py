"""Starts ACA-Py as a holders' agent: ``python -m controller.agents.launcher start ...``.

It is the same agent with the same cryptography and the same messages, made cheaper and more robust for a process
that holds hundreds of wallets. What differs from ``aca-py start``:

- the patches of ``controller.acapy_patches`` that the environment variable STAMPEDE_PATCHES names;
- the egress guard, when STAMPEDE_ALLOWED_TARGETS is set; without a working guard the agent does not start;
- the event loop is uvloop;
- the process dies with the controller, so that kill -9 leaves nothing behind, and has a lower priority, so that
  busy agents do not delay holders.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path

from controller.acapy_patches import registry
from controller.acapy_patches.nested_loops import NESTED_LOOPS
from controller.agents.egress_guard import GuardNotInstalled, install_egress_guard
from stampede.machine.processes import die_with_parent, lower_priority
from stampede.schema.settings.targets import Targets


def main() -> None:
    """Prepare the process and hand over to ACA-Py."""
    die_with_parent()
    lower_priority()
    if "STAMPEDE_ALLOWED_TARGETS" in os.environ:  # a holders' agent; reference services respond to anyone
        guard_egress(Targets(json.loads(os.environ["STAMPEDE_ALLOWED_TARGETS"])))
    patches = registry.apply(os.environ.get("STAMPEDE_PATCHES", "").split())
    for name, reason in patches.left_out.items():
        log(f"the patch {name} was left out: {reason}")
    from acapy_agent.commands import start

    gc.set_threshold(50_000, 20, 50)
    gc.freeze()
    if NESTED_LOOPS.name in patches.applied:  # nest_asyncio refuses to work with uvloop
        import uvloop

        uvloop.install()
    start.execute(sys.argv[2:])


def guard_egress(targets: Targets) -> None:
    """Install the egress guard, or exit with a sentence in the agent's log."""
    try:
        notice = install_egress_guard(targets, Path.cwd())
    except GuardNotInstalled as error:
        sys.exit(f"stampede: {error}")
    if notice:
        log(notice)


def log(text: str) -> None:
    """Write a line to the agent's log, which is this process's standard error."""
    print(f"stampede: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
