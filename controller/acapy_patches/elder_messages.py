"""Announces offers and requests of elder protocols that the agent does not speak."""

from __future__ import annotations

from typing import Any

from controller.acapy_patches.patch import Patch

ELDER = {
    "issue-credential/1.0/offer-credential": ("issue_credential", "credential_exchange_id", "offer_received"),
    "present-proof/1.0/request-presentation": ("present_proof", "thread_id", "request_received"),
}
"""By type of message: topic, name of the exchange's id, and state of the webhook that ACA-Py's plugins for these
protocols (Aries RFCs 0036 and 0037) send."""


def announce() -> None:
    """Send the webhook that the protocol's plugin would send, after the agent has refused the message."""
    from acapy_agent.core.dispatcher import Dispatcher
    from acapy_agent.core.protocol_registry import ProtocolRegistry
    from acapy_agent.protocols.didcomm_prefix import DIDCommPrefix

    original = Dispatcher.handle_v1_message

    async def handle_v1_message(self: Any, profile: Any, inbound_message: Any, send_outbound: Any) -> Any:
        result = await original(self, profile, inbound_message, send_outbound)
        payload = inbound_message.payload
        kind = str(payload.get("@type")) if isinstance(payload, dict) else ""
        if known := ELDER.get(DIDCommPrefix.unqualify(kind)):
            registry = self.profile.inject(ProtocolRegistry)
            if registry.resolve_message_class(kind) is None:
                topic, exchange, state = known
                event = {
                    "state": state,
                    exchange: inbound_message.receipt.thread_id,
                    "connection_id": inbound_message.connection_id,
                }
                await profile.notify(f"acapy::webhook::{topic}", event)
        return result

    Dispatcher.handle_v1_message = handle_v1_message


ELDER_MESSAGES = Patch(
    name="elder_messages",
    reason="ACA-Py answers a message of a protocol that it does not speak with a problem report, and tells nobody.",
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={"acapy_agent.core.dispatcher:Dispatcher.handle_v1_message": "577ec98fd42a6cad"},
    apply=announce,
)
