"""Lets a plugin decide where the answer to a message without a connection is to be sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from controller.acapy_patches.patch import Patch


def intercept(before: Callable[[Any, Any], Awaitable[None]]) -> None:
    """Await ``before(profile, out-of-band record)`` ahead of the handling of a message attached to an invitation."""
    from acapy_agent.protocols.out_of_band.v1_0.manager import OutOfBandManager

    process = OutOfBandManager._process_request_attach

    async def changed(self: Any, oob_record: Any) -> None:
        await before(self.profile, oob_record)
        await process(self, oob_record)

    OutOfBandManager._process_request_attach = changed


CONNECTIONLESS = Patch(
    name="connectionless",
    reason=(
        "In an exchange without a connection ACA-Py names its own endpoint for the answers (~service), even where "
        "the wallet can be reached through a mediator only."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        "acapy_agent.protocols.out_of_band.v1_0.manager:OutOfBandManager._process_request_attach": "907fcd2bd142d0a6",
        "acapy_agent.protocols.out_of_band.v1_0.manager:OutOfBandManager.receive_invitation": "2deebf0272cfb11b",
    },
    apply=intercept,
)
