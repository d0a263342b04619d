"""Reports events to the gateway in batches: one webhook per event would cost more than the event."""

import asyncio
import logging
import re
from collections.abc import Iterable
from typing import Any

import aiohttp
from acapy_agent.core.event_bus import Event, EventBus
from acapy_agent.core.profile import Profile

LOGGER = logging.getLogger(__name__)
BATCH_WINDOW = 0.01  # seconds during which further events join a request
PREFIX = "acapy::(record::)?"
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
    "action_name",
    "action_params",
    "content",
    "response",
)


class Announcer:
    """Posts `[{"topic": …, "payload": …}, …]` in the order of the events; retries until they are accepted."""

    def __init__(self, url: str, token: str) -> None:
        """`url` takes the posts; `token` is its bearer token."""
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._queue: list[dict[str, Any]] = []
        self._sender: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    def listen(self, events: EventBus, topics: Iterable[str]) -> None:
        """Announce events, given as `record::state` or by what else follows `acapy::` in ACA-Py's name for them."""
        for topic in topics:
            events.subscribe(re.compile(f"^{PREFIX}{re.escape(topic)}$"), self._on_event)

    async def _on_event(self, profile: Profile, event: Event) -> None:
        payload = {name: event.payload[name] for name in FIELDS if event.payload.get(name) is not None}
        self._queue.append({"topic": re.sub(PREFIX, "", event.topic, count=1), "payload": payload})
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def _send(self) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        while self._queue:
            await asyncio.sleep(BATCH_WINDOW)
            batch, self._queue = self._queue, []
            while not await self._post(self._session, batch):
                await asyncio.sleep(0.5)

    async def _post(self, session: aiohttp.ClientSession, batch: list[dict[str, Any]]) -> bool:
        try:
            async with session.post(self._url, json=batch) as response:
                if response.status == 200:
                    return True
                LOGGER.warning("the gateway responded %s to %d events", response.status, len(batch))
        except aiohttp.ClientError as err:
            LOGGER.warning("%d events could not be reported to the gateway: %s", len(batch), err)
        return False
