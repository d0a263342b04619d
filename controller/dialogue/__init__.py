"""ACA-Py plugin of the holders' agents: what others say over a connection, menus and questions among it, is told to
the controller, and so is what cannot be read.

ACA-Py loads it with ``--plugin controller.dialogue``. Action Menu and basic messages (Aries RFCs 0509, 0095) are
ACA-Py's own; their messages are read by its classes. What the plugin makes of them besides:

- A message that cannot be read is not only answered by a problem report: the controller is told why.
- A menu is not stored in the wallet, where two that come at the same moment keep all later ones out; its event names
  its thread, in which the chosen action is then sent, as the RFC has it.
- Question and answer (Aries RFC 0113), which ACA-Py does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acapy_agent.config.injection_context import InjectionContext


async def setup(context: InjectionContext) -> None:
    """Called by ACA-Py once, before any wallet is open."""
    from acapy_agent.core.protocol_registry import ProtocolRegistry
    from acapy_agent.protocols.didcomm_prefix import DIDCommPrefix

    from controller.dialogue.heard import HEARD

    context.inject(ProtocolRegistry).register_message_types(DIDCommPrefix.qualify_all(dict(HEARD)))
