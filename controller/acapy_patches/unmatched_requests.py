"""Leaves a presentation request to the holder that the agent cannot answer by itself."""

from __future__ import annotations

from typing import Any

from controller.acapy_patches.patch import Patch


def leave_to_holder() -> None:
    """Announce such a request by a webhook with the state ``unmatched``, instead of refusing it."""
    from acapy_agent.messaging.base_handler import HandlerException
    from acapy_agent.protocols.present_proof.v2_0.manager import V20PresManager

    original = V20PresManager.create_pres

    async def create_pres(
        self: Any, pres_ex_record: Any, request_data: dict[str, Any] | None = None, *, comment: str | None = None
    ) -> Any:
        try:
            return await original(self, pres_ex_record, request_data, comment=comment)
        except Exception as error:
            if request_data or not pres_ex_record.auto_present:
                raise
            event = {
                "state": "unmatched",
                "pres_ex_id": pres_ex_record.pres_ex_id,
                "thread_id": pres_ex_record.thread_id,
                "connection_id": pres_ex_record.connection_id,
                "error_msg": str(error),
            }
            await self._profile.notify("acapy::webhook::present_proof_v2_0", event)
            # The handler refuses the request upon the errors that it knows; this is none of them.
            raise HandlerException(f"left to the holder: {error}") from error

    V20PresManager.create_pres = create_pres


UNMATCHED_REQUESTS = Patch(
    name="unmatched_requests",
    reason=(
        "With --auto-respond-presentation-request ACA-Py refuses a request with attributes that the holder may say "
        "by itself, and falls silent at one that it cannot make sense of, such as a group of attributes without "
        "restrictions."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        "acapy_agent.protocols.present_proof.v2_0.manager:V20PresManager.create_pres": "f509b57d0a0b94ed",
        "acapy_agent.protocols.present_proof.v2_0.handlers.pres_request_handler": "70708c7457daf653",
    },
    apply=leave_to_holder,
)
