"""Receives the events of this host's agents, on loopback, and hands each to its wallet's inbox."""

from __future__ import annotations

import hmac
import json
import logging
import secrets
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

from controller.acapy_patches.speed.event_socket import LARGEST, PATH, SENDER
from controller.agents.inbox import Inbox, Overflow

LOGGER = logging.getLogger(__name__)

EARLY = 100
"""Wallets whose events are kept until they are registered: an agent may be quicker than its own answer."""
EARLY_EVENTS = 20
"""Events that are kept of each of them."""
FORGOTTEN = 10_000
"""Wallets of which is remembered that they were forgotten."""
SENDERS = 10_000
"""Processes of agents of which is remembered how many events were taken."""


class WebhookReceiver:
    """One HTTP server for all agents. Their events come over a WebSocket each (see the patch ``event_socket``), or as
    ACA-Py sends them: in a request each, which names the wallet in the header ``x-wallet-id``."""

    def __init__(
        self, topics: Collection[str], ignored: Collection[str] = (), overflow: Overflow | None = None
    ) -> None:
        """``topics`` are delivered, ``ignored`` ones dropped; any other is named once in a warning, and dropped."""
        self._overflow = overflow or Overflow()
        self._expected: dict[str, int] = {}
        self._topics = frozenset(topics)
        self._ignored = set(ignored)
        self._inboxes: dict[str, Inbox] = {}
        self._early: dict[str, list[tuple[str, Any]]] = {}
        self._forgotten: dict[str, None] = {}
        self._key = secrets.token_urlsafe(24)
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """For ACA-Py's ``--webhook-url``; the part behind ``#`` becomes the header ``x-api-key``."""
        return f"http://127.0.0.1:{self._port}/webhooks#{self._key}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_post("/webhooks/topic/{topic}/", self._receive)
        app.router.add_get(f"/webhooks/{PATH}", self._receive_many)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=120, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner:
            await self._runner.cleanup()

    def register(self, wallet_id: str, inbox: Inbox) -> None:
        """Deliver to ``inbox`` what the wallet announces, and what it has announced already."""
        self._inboxes[wallet_id] = inbox
        for topic, payload in self._early.pop(wallet_id, ()):
            inbox.deliver(topic, payload)

    def forget(self, wallet_id: str) -> None:
        """Drop what the wallet still announces."""
        self._inboxes.pop(wallet_id, None)
        _remember(self._forgotten, wallet_id, None, FORGOTTEN)

    async def _receive(self, request: web.Request) -> web.Response:
        self._check_key(request)
        wallet_id, topic = request.headers.get("x-wallet-id", ""), request.match_info["topic"]
        self._sort(wallet_id, topic, json.loads(await request.read()) if topic in self._topics else None)
        return web.Response()

    async def _receive_many(self, request: web.Request) -> web.WebSocketResponse:
        """Batch by batch: the next is read when this one is in the inboxes, and until then the agent waits."""
        self._check_key(request)
        socket = web.WebSocketResponse(max_msg_size=2 * LARGEST, compress=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                expected = self._take(request.headers[SENDER], **json.loads(message.data))
                await socket.send_str(str(expected))
        return socket

    def _check_key(self, request: web.Request) -> None:
        if not hmac.compare_digest(request.headers.get("x-api-key", ""), self._key):
            raise web.HTTPUnauthorized

    def _take(self, sender: str, first: int, events: Sequence[tuple[str, str, Any]]) -> int:
        """Take the events with the numbers from ``first`` on, each once; returns the number that is expected next."""
        expected = self._expected.get(sender, 0)
        if first > expected:
            self._overflow.missing(first - expected)
        for wallet_id, topic, payload in events[max(0, expected - first) :]:
            self._sort(wallet_id, topic, payload)
        expected = max(expected, first + len(events))
        _remember(self._expected, sender, expected, SENDERS)
        return expected

    def _sort(self, wallet_id: str, topic: str, payload: Any) -> None:
        if topic not in self._topics:
            self._drop(topic)
        elif isinstance(payload, Mapping):  # as all of ACA-Py's own are
            self._deliver(wallet_id, topic, payload)

    def _deliver(self, wallet_id: str, topic: str, payload: Mapping[str, Any]) -> None:
        if inbox := self._inboxes.get(wallet_id):
            inbox.deliver(topic, payload)
        elif wallet_id and wallet_id not in self._forgotten:
            if wallet_id not in self._early:
                _remember(self._early, wallet_id, [], EARLY)
            if len(early := self._early[wallet_id]) < EARLY_EVENTS:
                early.append((topic, payload))

    def _drop(self, topic: str) -> None:
        if topic not in self._ignored:
            self._ignored.add(topic)
            LOGGER.warning(
                "agents send webhooks of topic %r, which no step awaits; they are dropped. A step that needs "
                "them must declare the topic in controller/agents/protocols/topics.py",
                topic,
            )


def _remember[V](entries: dict[str, V], key: str, value: V, most: int) -> None:
    """Add an entry; of more than ``most`` the oldest goes."""
    entries[key] = value
    if len(entries) > most:
        del entries[next(iter(entries))]
