"""``push.json`` and ``push-otlp.json``: how far a host's journal has been pushed to InfluxDB, and to a collector."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1
FILE, OTLP_FILE = "push.json", "push-otlp.json"


@dataclass(frozen=True, slots=True)
class PushProgress:
    """Written by the pusher, which goes on from it when it is restarted. Times in seconds since 1970."""

    server: str = ""
    points: int = 0
    """Lines that InfluxDB took; data points, in all exports together, that a collector acknowledged."""
    offset: int = 0
    """Bytes of the journal that are dealt with: the next line to push begins there."""
    behind: int = 0
    """Bytes of the journal after that."""
    rejected: int = 0
    """The same of what it will not take."""
    first_rejected: str = ""
    """Why the first of that was."""
    lacking: str = ""
    """Why the server does not have all that is dealt with; empty when it has. A collector has when it acknowledged
    the newest export, whatever it refused before: sums and histograms are cumulative."""
    error: str = ""
    """Why nothing can be pushed now; empty when it can."""
    error_since: float | None = None
    complete: bool = False
    """Whether the journal has ended, nothing of it is left to push, and nothing is lacking."""
    time: float = 0.0
    version: int = VERSION
