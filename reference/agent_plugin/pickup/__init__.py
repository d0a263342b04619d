"""ACA-Py plugin of the mediator: messages wait for recipients, who get them by a socket or by pickup 2.0 (RFC 0685).

The idea of pickup 2.0 as a plugin of ACA-Py is that of acapy-plugins' message pickup.
"""

import logging

from acapy_agent.config.injection_context import InjectionContext
from acapy_agent.core.protocol_registry import ProtocolRegistry

from .messages import RECEIVED
from .sessions import POST_OFFICE

LOGGER = logging.getLogger(__name__)


async def setup(context: InjectionContext) -> None:
    """Take over ACA-Py's sessions, unless they are other code than the post office was written for."""
    if reason := POST_OFFICE.why_not():
        LOGGER.warning("messages do not wait for recipients: %s", reason)
        return
    POST_OFFICE.apply()
    context.inject(ProtocolRegistry).register_message_types(RECEIVED)
    logging.getLogger("acapy_agent.transport.inbound.ws").addFilter(_is_relevant)


def _is_relevant(record: logging.LogRecord) -> bool:
    """Drops what ACA-Py logs as an error whenever a recipient closes its WebSocket."""
    return "Unexpected Websocket message type" not in record.getMessage()
