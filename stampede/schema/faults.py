"""What can go wrong with a load host during a run: the entries of ``faults`` in ``results/RUN/run.json``."""

from __future__ import annotations

from dataclasses import dataclass

LEFT_OUT = "left_out"
"""It took no part: unreachable, not armed in time, or its clock was refused."""
UNREACHABLE = "unreachable"
"""The control node could not reach it for a while."""
LOST = "lost"
"""The control node could not reach it any more and gave it up."""
DIED = "died"
"""Its controller ended before its run did."""
NOT_COLLECTED = "not_collected"
"""Its journal has not been collected."""
BROKE_OFF = "broke_off"
"""Found by the report alone: its journal ends while the host was still running."""

NOTED = (LEFT_OUT, UNREACHABLE, LOST, DIED, NOT_COLLECTED)
"""The kinds that run.json may hold."""
FINAL = (LOST, DIED)
"""The kinds after which nothing more is heard of a host."""


@dataclass(frozen=True)
class Fault:
    """One fault of a host.

    ``since`` and ``until`` are seconds since 1970, None where they are not known; ``until`` is None as well for a
    fault that did not end. ``text`` is a sentence for people.
    """

    host: str
    kind: str
    since: float | None
    until: float | None
    text: str
