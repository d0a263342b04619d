"""Starts ACA-Py as a holders' agent: ``python -m controller.agents.launcher start ...``.

The same agent with the same cryptography and the same messages, made cheaper and steadier for a process that
holds hundreds of wallets. ``remedies`` and ``sqlite`` say what differs from ``aca-py start``, and why; beside
that the event loop is uvloop, the process dies with the controller, so that kill -9 leaves nothing behind, and
it gives way to the controller, so that busy agents do not make holders late. ``guard`` keeps it from hosts that
may not be loaded.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path

from controller.acapy_patches import remedies, sqlite
from controller.agents.egress_guard import stand_guard
from stampede.machine.processes import die_with_parent, give_way
from stampede.schema.targets import Targets


def main() -> None:
    """Apply the remedies and hand over to ACA-Py."""
    die_with_parent()
    give_way()
    if "STAMPEDE_ALLOWED_TARGETS" in os.environ:  # a holders' agent; reference services answer whoever asks them
        stand_guard(Targets(json.loads(os.environ["STAMPEDE_ALLOWED_TARGETS"])), Path.cwd())
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
