"""Answers to connectionless messages name no invitation that was never there."""

from __future__ import annotations

import json
from typing import Any

from controller.acapy_patches.patch import Patch

MADE_UP = "connectionless:"
"""Begins the id of an invitation that holders wrapped around a connectionless message."""


def leave_out() -> None:
    """Leave the thread's parent out of what is sent, where it is an invitation of the holder's own making."""
    from acapy_agent.core.oob_processor import OobMessageProcessor

    original = OobMessageProcessor.find_oob_target_for_outbound_message

    async def find_oob_target_for_outbound_message(self: Any, profile: Any, outbound_message: Any) -> Any:
        target = await original(self, profile, outbound_message)
        if target:
            message = json.loads(outbound_message.payload)
            if str(message.get("~thread", {}).get("pthid")).startswith(MADE_UP):
                del message["~thread"]["pthid"]
                outbound_message.payload = json.dumps(message)
        return target

    OobMessageProcessor.find_oob_target_for_outbound_message = find_oob_target_for_outbound_message


MADE_UP_PARENTS = Patch(
    name="made_up_parents",
    reason=(
        "ACA-Py takes a connectionless message as an attachment of an invitation alone, and names that invitation in "
        "its answer; the sender of the message knows none of that id, and drops the answer."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        "acapy_agent.core.oob_processor:OobMessageProcessor.find_oob_target_for_outbound_message": "0c88b4a3446ad62f"
    },
    apply=leave_out,
)
