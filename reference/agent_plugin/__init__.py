"""ACA-Py plugin of the reference services' agents: reports events to the gateway and adds admin routes."""

import logging
import os

from acapy_agent.config.injection_context import InjectionContext
from acapy_agent.core.event_bus import EventBus
from acapy_agent.core.protocol_registry import ProtocolRegistry

from .announcer import Announcer
from .forwards import ForwardCounts
from .issuing import IssuingGate
from .questions import install


async def setup(context: InjectionContext) -> None:
    """Subscribe to ACA-Py's events."""
    logging.getLogger("acapy_agent.core.conductor").addFilter(_is_relevant)
    events = context.inject(EventBus)
    topics = os.environ.get("REFERENCE_EVENTS", "").split()
    if topics:
        Announcer(os.environ["REFERENCE_EVENTS_URL"], os.environ["REFERENCE_EVENTS_TOKEN"]).listen(events, topics)
    counts = ForwardCounts()
    counts.listen(events)
    context.injector.bind_instance(ForwardCounts, counts)
    gate = IssuingGate()
    gate.install()
    context.injector.bind_instance(IssuingGate, gate)
    install(context.inject(ProtocolRegistry))


def _is_relevant(record: logging.LogRecord) -> bool:
    """Drops a warning: ACA-Py tries to send each connectionless proof request, which the invitation carries."""
    return "no supported transport" not in record.getMessage()
