"""A tenant of a multi-tenant ACA-Py agent: its admin requests, and the events that it awaits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping

from controller.agents.admin import AdminApi
from controller.agents.inbox import Event, Inbox, Topic
from controller.agents.remote_phone import RemotePhone
from controller.services.invitation import Json
from stampede.schema.errors import StepError, StepTimeout

AWAY = " (the holder is disconnected from its mediator, where messages wait until holder.reconnect())"


class Tenant:
    """What all protocols of a wallet share."""

    __slots__ = (
        "_admin",
        "_agent_up",
        "_connections",
        "_cut_off",
        "_mediation_id",
        "_phone",
        "_token",
        "_type",
        "inbox",
        "self_attested",
        "wallet_id",
    )

    def __init__(
        self,
        admin: AdminApi,
        inbox: Inbox,
        wallet_id: str,
        token: str,
        agent_up: Callable[[], Awaitable[None]],
        wallet_type: str = "askar-anoncreds",
        phone: RemotePhone | None = None,
    ) -> None:
        """``phone``: how the wallet is reached when nothing can connect to its agent."""
        self._admin = admin
        self.inbox = inbox
        self._token = token
        self._agent_up = agent_up
        self._mediation_id = ""
        self._connections: set[str] = set()
        """Ids of the connections that invitations have led to."""
        self._cut_off: StepError | None = None
        self._type = wallet_type
        self._phone = phone
        self.self_attested: Mapping[str, str] = {}
        """See Wallet."""
        self.wallet_id = wallet_id

    async def _get(self, path: str, **query: str) -> Json:
        return await self._admin.call("GET", path, query=query, token=self._token)

    async def _post(self, path: str, body: Json | None = None, **query: str) -> Json:
        return await self._admin.call("POST", path, body=body or {}, query=query, token=self._token)

    async def _expect(
        self, topic: Topic, *states: str, missing: type[StepError] = StepTimeout, **values: str | Collection[str]
    ) -> Event:
        """Await an event; when the step's timeout cuts that off, keep the reason as ``missing``."""
        try:
            async with self._phone.poked() if self._phone else contextlib.nullcontext():
                return await self.inbox.expect(topic.name, *states, **values)
        except asyncio.CancelledError:
            self._cut_off = missing(self.inbox.cut_off + (AWAY if self._phone and self._phone.is_away else ""))
            raise
