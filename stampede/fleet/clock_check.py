"""How far a load host's clock is off, and whether that is too much."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

COMMAND = "date +%s.%N; nproc"
"""What a host is asked; a POSIX shell runs it."""
ATTEMPTS = 5
"""The answer with the shortest round trip is the most accurate one."""


@dataclass(frozen=True)
class ClockReading:
    """A host's clock, compared with the control node's."""

    offset: float
    """Seconds by which the host's clock is ahead."""
    uncertainty: float
    """Seconds: half of the round trip."""
    cores: int

    def refusal(self, host: str, limit: float) -> str:
        """A sentence when the clock is certainly off by more than ``limit`` seconds, or else the empty string."""
        if abs(self.offset) - self.uncertainty <= limit:
            return ""
        return (
            f"The clock of {host} is {abs(self.offset):.2f} s {'ahead of' if self.offset > 0 else 'behind'} the "
            f"control node's (measured to within {self.uncertainty:.2f} s), more than stampede_max_clock_offset, "
            f"which is {limit:g} s; let chrony set it, as playbooks/provision.yml --tags clock does"
        )


def read_clock(ask: Callable[[], str]) -> ClockReading:
    """Compare a host's clock with this machine's, as NTP does (RFC 5905): the host is taken to have read its clock in
    the middle of the round trip. ``ask`` returns COMMAND's output. Raises ValueError for any other answer."""
    readings = []
    for _ in range(ATTEMPTS):
        before = time.time()
        words = ask().split()
        after = time.time()
        if len(words) != 2:
            raise ValueError(f"it said {' '.join(words)!r}")
        readings.append(ClockReading(float(words[0]) - (before + after) / 2, (after - before) / 2, int(words[1])))
    return min(readings, key=lambda reading: reading.uncertainty)
