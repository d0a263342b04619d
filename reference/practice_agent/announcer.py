"""Tells the gateway of events, many in one request: a webhook for each would cost more than the event."""

import asyncio
import logging
import re
from collections.abc import Iterable
from typing import Any

import aiohttp
from acapy_agent.core.event_bus import Event, EventBus
from acapy_agent.core.profile import Profile

LOGGER = logging.getLogger(__name__)
COLLECT = 0.01  # seconds during which further events join a request
FIELDS = (
    "connection_id",
    "their_did",
    "invitation_msg_id",
    "cred_ex_id",
    "rev_reg_id",
    "cred_rev_id",
    "pres_ex_id",
    "verified",
    "error_msg",
)


class Announcer:
    """Posts `[{"topic": …, "payload": …}, …]` in the events' order; tries again until it was heard."""

    def __init__(self, url: str, token: str) -> None:
        """Where to post, and the bearer token to show there."""
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._waiting: list[dict[str, Any]] = []
        self._sender: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    def listen(self, events: EventBus, topics: Iterable[str]) -> None:
        """Announce records' events, given as `record` or `record::state`."""
        for topic in topics:
            events.subscribe(re.compile(f"^acapy::record::{re.escape(topic)}$"), self._on_event)

    async def _on_event(self, profile: Profile, event: Event) -> None:
        payload = {name: event.payload[name] for name in FIELDS if event.payload.get(name) is not None}
        self._waiting.append({"topic": event.topic.removeprefix("acapy::record::"), "payload": payload})
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def _send(self) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        while self._waiting:
            await asyncio.sleep(COLLECT)
            batch, self._waiting = self._waiting, []
            while not await self._post(self._session, batch):
                await asyncio.sleep(0.5)

    async def _post(self, session: aiohttp.ClientSession, batch: list[dict[str, Any]]) -> bool:
        try:
            async with session.post(self._url, json=batch) as response:
                if response.status == 200:
                    return True
                LOGGER.warning("the gateway answered %s to %d events", response.status, len(batch))
        except aiohttp.ClientError as err:
            LOGGER.warning("the gateway does not hear %d events: %s", len(batch), err)
        return False
