"""How far a load host's clock is off, and whether that is too much."""

from __future__ import annotations

import re
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
            f"which is {limit:g} s; let chrony set it, as stampede provision --tags clock does"
        )


def read_clock(ask: Callable[[], str]) -> ClockReading:
    """Compare a host's clock with this machine's, as NTP does (RFC 5905): the host is taken to have read its clock in
    the middle of the round trip. ``ask`` returns COMMAND's output. Raises ValueError for any other answer."""
    readings = []
    for _ in range(ATTEMPTS):
        before, began = time.time(), time.monotonic()
        said = ask()
        lasted = time.monotonic() - began  # also where this machine's clock is set meanwhile
        answer = re.fullmatch(r"\s*(\d{1,12}\.?\d{0,9})\s+(\d{1,4})\s*", said, re.ASCII)
        if not answer or int(answer[2]) == 0:
            raise ValueError(f"it said {ascii(said)[:100]}")
        readings.append(ClockReading(float(answer[1]) - before - lasted / 2, lasted / 2, int(answer[2])))
    return min(readings, key=lambda reading: reading.uncertainty)
