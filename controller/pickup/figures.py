"""What has happened to the links of an agent's phones since it started."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Figures:
    """Counts, and the longest of the times in seconds."""

    opened: int = 0
    """Links that came up for the first time."""
    dropped: int = 0
    """Links that were lost without having been closed here."""
    reconnected: int = 0
    """Links that came up again, after a drop or because the phone came back."""
    reconnect_seconds: float = 0.0
    """All the time from a drop, or a phone's coming back, until the mediator answered again."""
    reconnect_longest: float = 0.0
    unanswered: int = 0
    """Greetings that the mediator did not answer in time; the link was opened anew."""
    waited: int = 0
    """Messages that had waited at the mediator while a phone was away."""
    poked: int = 0
    """Pokes: messages sent because something awaited did not come."""
    held_back: int = 0
    """Messages that the mediator sent only when it was poked."""
    refused: int = 0
    """Messages that were not taken: not decipherable, or pickup messages of someone else than the mediator."""

    def came_up(self, seconds: float | None) -> None:
        """A link works; ``seconds``: how long it was missed, None when it is the first time."""
        if seconds is None:
            self.opened += 1
            return
        self.reconnected += 1
        self.reconnect_seconds += seconds
        self.reconnect_longest = max(self.reconnect_longest, seconds)
