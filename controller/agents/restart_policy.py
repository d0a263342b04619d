"""When an agent that has exited is restarted, and when it is given up."""

from __future__ import annotations

MAX_RESTARTS = 10
PAUSE_STEP = 0.5
"""Seconds by which the pause before a restart grows from one restart to the next."""
MAX_PAUSE = 10.0


class RestartPolicy:
    """Allows ``limit`` restarts, each after a longer pause: an agent that cannot run must not use up the CPU."""

    def __init__(self, limit: int = MAX_RESTARTS) -> None:
        self.limit = limit
        self.restarts = 0
        """How often the agent has been restarted so far."""

    @property
    def exhausted(self) -> bool:
        """Whether the agent is given up when it exits once more."""
        return self.restarts >= self.limit

    def next_pause(self) -> float:
        """Count a restart; returns the seconds to wait before it. Call it only when not ``exhausted``."""
        self.restarts += 1
        return min(MAX_PAUSE, PAUSE_STEP * self.restarts)
