"""ACA-Py plugin of the holders' agents: holders are reached as phones are, through a link to their mediator alone.

ACA-Py loads it with ``--plugin controller.pickup``. A phone opens its link and nothing ever connects to it: it asks
its mediator for return route (Aries RFC 0092), so that what is for it comes back on the WebSocket, or in the answer
to a POST. No message to anyone else asks for that or takes that way.

From the outside in: ``link`` and its two kinds carry packed messages; ``phone`` greets, picks up and takes what
comes; ``phones`` knows all phones of the agent; ``agent``, ``transports`` and ``routes`` are what ACA-Py sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acapy_agent.config.injection_context import InjectionContext


async def setup(context: InjectionContext) -> None:
    """Called by ACA-Py once, before any wallet is open."""
    from controller.pickup.agent import install

    await install(context)
