"""Sends an agent's events to the controller over one WebSocket, many at a time, and not in an HTTP request each."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
from collections import deque
from typing import Any

import aiohttp

from controller.acapy_patches.patch import Patch
from controller.acapy_patches.speed.slim_events import UNHEARD

LOGGER = logging.getLogger(__name__)

SOCKET = "STAMPEDE_EVENT_SOCKET"
"""Environment variable with the controller's URL for webhooks, as ACA-Py has it. Without it nothing is changed."""
PATH = "socket"
"""Where the WebSocket is, below that URL."""
SENDER = "x-sender"
"""Header that tells one process of an agent from the next."""
LARGEST = 2**18
"""Bytes of the events that are sent at once. A larger event is sent in a request of its own."""
KEPT = 16 * 2**20
"""Bytes of events that are kept while the controller takes none."""
TRIES = 10
"""Connections that fail or break, one after the other, until the events that wait are given up: after about 20 s."""
LONGEST_PAUSE = 5.0
"""Seconds between two of them."""


class EventSender:
    """The events that the controller has not yet taken.

    They are numbered from 0 and sent in their order. The controller answers each batch with the number that it
    expects next; what it has not taken is sent again over the next connection. It passes over the numbers that it
    knows, and sees by those that are missing what was dropped here.
    """

    def __init__(self, webhook_url: str) -> None:
        """``webhook_url``: as in SOCKET."""
        address, _, key = webhook_url.partition("#")
        self._url = f"{address}/{PATH}"
        self._headers = {"x-api-key": key, SENDER: secrets.token_hex(8)}
        self._waiting: deque[str] = deque()
        self._first = 0
        self._size = 0
        self._told = False  # that events were dropped since the controller last took some
        self._more = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    def put(self, event: str) -> None:
        """Send an event, JSON of at most LARGEST bytes, with those that come in the same turn of the event loop."""
        self._waiting.append(event)
        self._size += len(event)
        while self._size > KEPT:
            self._forget(1)
            if not self._told:
                self._told = True
                LOGGER.error("the controller is too slow in taking events: the oldest of those that wait are dropped")
        self._more.set()
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        failures = 0
        async with aiohttp.ClientSession() as session:
            while True:
                await self._more.wait()
                reason = "it closed the connection"
                try:
                    async with session.ws_connect(self._url, headers=self._headers) as socket:
                        while await self._send_batch(socket):
                            failures = 0
                except (aiohttp.ClientError, OSError) as error:
                    reason = str(error)
                failures += 1
                if failures == TRIES:
                    LOGGER.error("the controller takes no events (%s): %d are dropped", reason, len(self._waiting))
                    self._forget(len(self._waiting))
                    failures = 0
                else:
                    await asyncio.sleep(min(LONGEST_PAUSE, 0.05 * 2**failures))

    async def _send_batch(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        """Send what waits, once there is something; returns False when the controller's end is closed."""
        await self._more.wait()
        await socket.send_str(f'{{"first":{self._first},"events":[{",".join(self._batch())}]}}')
        answer = await socket.receive()
        if answer.type is not aiohttp.WSMsgType.TEXT:
            return False
        self._told = False
        self._forget(int(answer.data) - self._first)
        return True

    def _batch(self) -> list[str]:
        batch: list[str] = []
        size = 0
        for event in self._waiting:
            size += len(event)
            if size > LARGEST:
                break
            batch.append(event)
        return batch

    def _forget(self, count: int) -> None:
        """Take the oldest from those that wait."""
        for _ in range(count):
            self._size -= len(self._waiting.popleft())
            self._first += 1
        if not self._waiting:
            self._more.clear()


def send_by_socket() -> None:
    """Hand what ACA-Py would post to the controller to an ``EventSender``, but for the topics in UNHEARD.

    Posts to other URLs and what else listens to events are as before.
    """
    from acapy_agent.transport.outbound.manager import OutboundTransportManager

    url = os.environ.get(SOCKET)
    if not url:
        return
    unheard = frozenset(os.environ.get(UNHEARD, "").split())
    sender = EventSender(url)
    post = OutboundTransportManager.enqueue_webhook

    def enqueue_webhook(
        self: Any,
        topic: str,
        payload: Any,
        endpoint: str,
        max_attempts: int | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        if endpoint != url:
            post(self, topic, payload, endpoint, max_attempts, metadata)
        elif topic not in unheard:
            event = json.dumps([(metadata or {}).get("x-wallet-id", ""), topic, payload])
            if len(event) > LARGEST:
                post(self, topic, payload, endpoint, max_attempts, metadata)
            else:
                sender.put(event)

    OutboundTransportManager.enqueue_webhook = enqueue_webhook


EVENT_SOCKET = Patch(
    name="event_socket",
    reason="ACA-Py sends each event to its controller in an HTTP request of its own, and in any order.",
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        "acapy_agent.transport.outbound.manager:OutboundTransportManager.enqueue_webhook": "a97fe0ac0e5193d6",
        "acapy_agent.core.conductor:Conductor.webhook_router": "118e1883d6bd4c20",
        "acapy_agent.admin.server:AdminServer.send_webhook": "3800c25c8e07a606",
        "acapy_agent.commands.start:shutdown_app": "23302e4968f1df88",
    },
    apply=send_by_socket,
)
