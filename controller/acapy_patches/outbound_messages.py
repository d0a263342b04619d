"""Lets a plugin see, and change, each message before ACA-Py chooses the transport that it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from controller.acapy_patches.patch import Patch


def intercept(before: Callable[[Any, Any], Awaitable[None]]) -> None:
    """Await ``before(profile, outbound message)`` ahead of the choice; what it raises goes to the sender."""
    from acapy_agent.transport.outbound.manager import OutboundTransportManager

    enqueue = OutboundTransportManager.enqueue_message

    async def changed(self: Any, profile: Any, outbound: Any) -> None:
        await before(profile, outbound)
        await enqueue(self, profile, outbound)

    OutboundTransportManager.enqueue_message = changed


OUTBOUND_MESSAGES = Patch(
    name="outbound_messages",
    reason=(
        "ACA-Py has no hook between a message's recipient being known and its being packed: where return route is "
        "asked for, and which of a recipient's endpoints is used, cannot be decided by a plugin."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        "acapy_agent.transport.outbound.manager:OutboundTransportManager.enqueue_message": "27c185311f11cf5c",
        "acapy_agent.transport.outbound.message:OutboundMessage": "64d7daa440cb1879",
        "acapy_agent.connections.models.connection_target:ConnectionTarget": "dbf94bce92c8ab48",
    },
    apply=intercept,
)
