"""Announces offers and requests that holders leave out: those of elder protocols, and of formats they do not take."""

from __future__ import annotations

from typing import Any

from controller.acapy_patches.patch import Patch

ELDER = {
    "issue-credential/1.0/offer-credential": ("issue_credential", "credential_exchange_id", "offer_received"),
    "present-proof/1.0/request-presentation": ("present_proof", "thread_id", "request_received"),
}
"""By type of message: topic, name of the exchange's id, and state of the webhook that ACA-Py's plugins for these
protocols (Aries RFCs 0036 and 0037) send."""
FORMATS = {"vc_di"}
"""The formats of offers that no wallet of a holder takes to the end."""


def announce() -> None:
    """Send a webhook for each such message, besides what the agent makes of it."""
    _announce_elder_messages()
    _announce_formats()


def _announce_elder_messages() -> None:
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


def _announce_formats() -> None:
    from acapy_agent.protocols.issue_credential.v2_0.manager import V20CredManager
    from acapy_agent.protocols.issue_credential.v2_0.messages.cred_format import V20CredFormat

    original = V20CredManager.receive_offer

    async def receive_offer(self: Any, cred_offer_message: Any, connection_id: str | None) -> Any:
        record = await original(self, cred_offer_message, connection_id)
        known = [V20CredFormat.Format.get(each.format) for each in cred_offer_message.formats]
        formats = {each.api for each in known if each}
        if formats and formats <= FORMATS:
            event = {"state": "left-out", "cred_ex_id": record.cred_ex_id, "format": ", ".join(sorted(formats))}
            await self.profile.notify("acapy::webhook::issue_credential_v2_0", event)
        return record

    V20CredManager.receive_offer = receive_offer


LEFT_OUT_MESSAGES = Patch(
    name="left_out_messages",
    reason=(
        "ACA-Py answers a message of a protocol that it does not speak with a problem report, and begins an exchange "
        "in the format vc_di that it cannot complete; it tells nobody of either."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        "acapy_agent.core.dispatcher:Dispatcher.handle_v1_message": "577ec98fd42a6cad",
        "acapy_agent.protocols.issue_credential.v2_0.manager:V20CredManager.receive_offer": "cc597a66e1464484",
    },
    apply=announce,
)
