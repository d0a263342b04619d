"""Completes DID exchanges with agents that do not name the invitation in their response."""

from __future__ import annotations

from typing import Any

from controller.acapy_patches.patch import Patch


def fill_in() -> None:
    """Fill in the id of the invitation as the parent of the response's thread, where it lacks."""
    from acapy_agent.connections.models.conn_record import ConnRecord
    from acapy_agent.protocols.didexchange.v1_0.manager import DIDXManager
    from acapy_agent.storage.error import StorageNotFoundError

    original = DIDXManager.accept_response

    async def accept_response(self: Any, response: Any, receipt: Any) -> Any:
        if response._thread and not response._thread.pthid:
            async with self.profile.session() as session:
                try:
                    record = await ConnRecord.retrieve_by_request_id(session, response._thread_id)
                    response._thread.pthid = record.invitation_msg_id
                except StorageNotFoundError:
                    pass  # a response to nothing: refused by the original
        return await original(self, response, receipt)

    DIDXManager.accept_response = accept_response


MISSING_PARENTS = Patch(
    name="missing_parents",
    reason=(
        "ACA-Py takes the thread's parent of its DIDExchange complete from the response (RFC 0023 wants the "
        "invitation's id there); Credo's response names none, and the message cannot be serialised."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={"acapy_agent.protocols.didexchange.v1_0.manager:DIDXManager.accept_response": "18ddaf48a101eb1d"},
    apply=fill_in,
)
