"""The phases of a load host in a run, as ``state.json`` and ``event`` records name them."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Where a host's controller is in its run, in the order in which it gets there."""

    STARTING = "starting"
    ARMING = "arming"
    """Agents start and wallets are created."""
    ARMED = "armed"
    """Everything is ready; the host waits for the start signal."""
    RUNNING = "running"
    DRAINING = "draining"
    """No step begins any more; those in flight may end."""
    PUSHING = "pushing"
    """Nothing is left to do but to wait for InfluxDB; in the state only, the journal has ended before."""
    DONE = "done"
    STOPPED = "stopped"
    """Ended before its time, because it was asked to."""
    FAILED = "failed"


ENDED = frozenset({Phase.DONE, Phase.STOPPED, Phase.FAILED})
"""Phases after which a host records nothing more."""
BEFORE_START = frozenset({Phase.STARTING, Phase.ARMING, Phase.ARMED})
