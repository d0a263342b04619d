"""Gives connections the time that they need before a message is processed that came with their invitation."""

from __future__ import annotations

from typing import Any

from controller.acapy_patches.patch import Patch

MANAGER = "acapy_agent.protocols.out_of_band.v1_0.manager:OutOfBandManager"
PATIENCE = 600
"""Seconds; the step's timeout ends the wait before."""


def wait_longer() -> None:
    """Wait as long as a step may take."""
    from acapy_agent.protocols.out_of_band.v1_0.manager import OutOfBandManager

    original = OutOfBandManager._wait_for_conn_rec_active

    async def wait_for_conn_rec_active(self: Any, connection_id: str, timeout: int = PATIENCE) -> Any:  # noqa: ASYNC109
        return await original(self, connection_id, timeout)

    OutOfBandManager._wait_for_conn_rec_active = wait_for_conn_rec_active


ATTACHED_MESSAGES = Patch(
    name="attached_messages",
    reason=(
        "ACA-Py gives a connection 7 seconds to come about before it processes the message that its invitation "
        "carries, then it answers 500; under load services take longer."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={f"{MANAGER}._wait_for_conn_rec_active": "f9794c1ac2c36df6"},
    apply=wait_longer,
)
