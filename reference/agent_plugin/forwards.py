"""The number of messages that the mediator forwarded, by connection."""

from collections import Counter

from acapy_agent.core.event_bus import Event, EventBus
from acapy_agent.core.profile import Profile


class ForwardCounts:
    """Counts ACA-Py's `acapy::forward::received` events."""

    def __init__(self) -> None:
        """Nothing forwarded yet."""
        self.by_connection: Counter[str] = Counter()

    def listen(self, events: EventBus) -> None:
        """Count from now on."""
        events.subscribe("^acapy::forward::received$", self._on_forward)

    async def _on_forward(self, profile: Profile, event: Event) -> None:
        self.by_connection[event.payload["connection_id"]] += 1
