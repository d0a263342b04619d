"""What can go wrong with a load host during a run: the entries of ``faults`` in ``results/RUN/run.json``."""

from __future__ import annotations

from dataclasses import dataclass

from stampede.schema.records import EventKind

CLOUD_FAULT = "cloud_fault"
"""The variable by which an inventory of a cloud says why its hosts could not be listed."""
NOTED = (EventKind.LEFT_OUT, EventKind.UNREACHABLE, EventKind.LOST, EventKind.DIED, EventKind.NOT_COLLECTED)
"""The kinds that run.json may hold."""
FINAL = (EventKind.LOST, EventKind.DIED)
"""The kinds after which nothing more is heard of a host."""


@dataclass(frozen=True)
class Fault:
    """One fault of a host.

    ``since`` and ``until`` are seconds since 1970, None where they are not known; ``until`` is None as well for a
    fault that did not end. ``text`` is a sentence for people.
    """

    host: str
    kind: EventKind
    since: float | None = None
    until: float | None = None
    text: str = ""
