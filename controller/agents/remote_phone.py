"""The phone of a wallet, as the controller reaches it: requests to the plugin ``controller.pickup`` in the agent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from controller.agents.admin import AdminApi
from stampede.schema.errors import AgentError, BadInvitation, ServiceUnreachable, StepError

FIRST_POKE = 2.0
"""Seconds for which something may be awaited until the phone is to see whether the mediator holds it back; then twice
as long each time."""


class RemotePhone:
    """How a holder is reached that opens no port."""

    __slots__ = ("_admin", "_token", "is_away", "schemes")

    def __init__(self, admin: AdminApi, token: str, pickup: str) -> None:
        """``pickup``: see ``stampede_mediator_pickup``."""
        self._admin = admin
        self._token = token
        self.schemes = ("wss", "ws") if pickup == "websocket" else ("https", "http")
        """Of the endpoints of a mediator that can be used, the preferred one first."""
        self.is_away = False
        """Whether the app is in the background."""

    @contextlib.asynccontextmanager
    async def meets(self, known_by: str) -> AsyncIterator[None]:
        """Around the request that connects the wallet to its mediator, whose DID, or whose invitation's ``@id``,
        ``known_by`` is. Returns when the link is open. Raises BadInvitation when the mediator has no endpoint for it,
        ServiceUnreachable when it cannot be opened."""
        await self._admin.call("POST", "/pickup/expect", query={"known_by": known_by}, token=self._token)
        try:
            yield
        except AgentError as error:
            if " answered 409 " in error.detail:
                raise BadInvitation(error.detail.partition(" answered 409 ")[2]) from error
            raise
        await self._post("reached")

    async def come(self) -> None:
        """Pick up, from now on or again; await the mediator's answer. Raises ServiceUnreachable."""
        self.is_away = False
        why = "nothing was heard of it yet"
        try:
            while waits_for := (await self._post("come")).get("waits_for"):
                why = str(waits_for)
        except asyncio.CancelledError as error:
            error.add_note(f"waited for the mediator to answer: {why}")
            raise

    async def go(self) -> None:
        """Close the link; what comes in the meantime waits at the mediator."""
        self.is_away = True
        await self._post("go")

    async def end(self) -> None:
        """Close the link for good."""
        await self._post("end")

    @contextlib.asynccontextmanager
    async def poked(self) -> AsyncIterator[None]:
        """While something is awaited: have the mediator poked when nothing comes for a while."""
        poking = asyncio.create_task(self._poke_again_and_again())
        try:
            yield
        finally:
            poking.cancel()

    async def _poke_again_and_again(self) -> None:
        pause = FIRST_POKE
        while True:
            await asyncio.sleep(pause)
            with contextlib.suppress(StepError):  # the step that awaits something tells of it
                await self._post("poke")
            pause *= 2

    async def _post(self, what: str) -> dict[str, Any]:
        answer = await self._admin.call("POST", f"/pickup/{what}", token=self._token)
        if problem := answer.get("problem"):
            raise ServiceUnreachable(f"the mediator cannot be reached: {problem}")
        return answer
