"""A small mediator, and the agent of a wallet, for tests of phones. Messages are JSON: from, to, message."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from controller.pickup.correspondence import DELIVERY, PICKUP, STATUS, Received
from controller.pickup.figures import Figures
from controller.pickup.link import Payload
from controller.pickup.phone import PING, Phone
from controller.pickup.phones import Phones

KEY = "the mediator's key"


def packed(message: dict[str, Any], sender: str = KEY) -> str:
    """A message for the holder."""
    return json.dumps({"from": sender, "to": "the holder's key", "message": message})


def answer(question: dict[str, Any], kind: str, **fields: Any) -> str:
    """The mediator's answer to a message."""
    return packed({"@type": kind, "@id": "a", "~thread": {"thid": question["@id"]}, **fields})


class HoldersAgent:
    """See Agent. ``taken`` are the texts of the messages that came for the wallet."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.phone: Phone | None = None
        self.taken: list[str] = []

    async def send(self, connection_id: str, message: dict[str, Any]) -> None:
        assert self.phone is not None
        self.phone.meet("c", self.url, frozenset({KEY}))
        self.phone.send(json.dumps(message))

    async def decipher(self, payload: Payload) -> Received:
        found = json.loads(payload)
        message = found["message"]
        thread = message.get("~thread", {}).get("thid") or message.get("@id", "")
        return Received(message, found.get("from", ""), found.get("to", ""), thread)

    def take(self, received: Received) -> None:
        self.taken.append(received.message["text"])


class SmallMediator:
    """Speaks as its ``kind``: ``live`` and ``queue`` (pickup 2.0), ``implicit`` (as ACA-Py), or ``mute``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.kept: list[str] = []
        """What it has for the phone, as it would send it."""
        self.said: list[str] = []
        """The types of the messages that came from phones, without the pickup protocol's address."""
        self.sockets: set[web.WebSocketResponse] = set()
        self.port = 0
        self.delay = 0.0
        """Seconds until it answers a POST."""
        self._runner: web.AppRunner | None = None
        self._handler: Callable[[web.Request], Any] = self._serve

    @property
    def url(self) -> str:
        return f"://127.0.0.1:{self.port}/"

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_get("/", self._handler)
        app.router.add_post("/", self._post)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        for socket in list(self.sockets):
            if socket._req is not None and socket._req.transport is not None:
                socket._req.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()

    async def push(self, *messages: str) -> None:
        """Send over all sockets at once."""
        for socket in self.sockets:
            for message in messages:
                await socket.send_str(message)

    def answers(self, question: dict[str, Any]) -> list[str]:
        kind, pickup = question["@type"], question["@type"].removeprefix(PICKUP)
        self.said.append(pickup)
        if self.kind == "mute":
            return []
        if kind == PING:
            if question["response_requested"]:
                return [answer(question, PING + "_response")]
            return [self.kept.pop(0)] if self.kept else []
        if self.kind == "implicit":
            return [answer(question, "https://didcomm.org/notification/1.0/problem-report")]
        match pickup:
            case "live-delivery-change" if self.kind == "queue":
                code = {"code": "e.m.live-mode-not-supported"}
                return [answer(question, PICKUP + "problem-report", description=code)]
            case "delivery-request" if self.kept:
                attached = [
                    {"@id": str(number), "data": {"base64": base64.urlsafe_b64encode(each.encode()).decode()}}
                    for number, each in enumerate(self.kept[: question["limit"]])
                ]
                return [answer(question, DELIVERY, **{"~attach": attached})]
            case "messages-received":
                self.kept = self.kept[len(question["message_id_list"]) :]
                return []
        return [answer(question, STATUS, message_count=len(self.kept))]

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=3)
        await socket.prepare(request)
        self.sockets.add(socket)
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    for each in self.answers(json.loads(message.data)):
                        await socket.send_bytes(each.encode())
        finally:
            self.sockets.discard(socket)
        return socket

    async def _post(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.delay)
        found = self.answers(json.loads(await request.read()))
        return web.Response(body=found[0].encode() if found else b"")


@asynccontextmanager
async def small_mediator(kind: str) -> AsyncIterator[SmallMediator]:
    mediator = SmallMediator(kind)
    await mediator.start()
    try:
        yield mediator
    finally:
        await mediator.stop()


@asynccontextmanager
async def all_phones(mode: str, polls_every: float = 0.05) -> AsyncIterator[Phones]:
    phones = Phones(mode, polls_every)
    await phones.start()
    try:
        yield phones
    finally:
        await phones.stop()


async def joined(phones: Phones, mediator: SmallMediator, wallet_id: str = "w") -> tuple[Phone, HoldersAgent]:
    """A phone that has met the mediator and was granted mediation."""
    phone, agent = await met(phones, mediator, wallet_id)
    await asyncio.wait_for(phone.come(), 20)
    return phone, agent


async def met(phones: Phones, mediator: SmallMediator, wallet_id: str = "w") -> tuple[Phone, HoldersAgent]:
    """A phone that has met the mediator, and is about to ask it for mediation."""
    agent = HoldersAgent(("ws" if phones.mode == "websocket" else "http") + mediator.url)
    phone = agent.phone = phones.add(wallet_id, agent)
    phone.meet("c", agent.url, frozenset({KEY}))
    await asyncio.wait_for(phone.reached(), 20)
    return phone, agent


async def until(condition: Callable[[], Any], limit: float = 20) -> None:
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.01)


def counts(figures: Figures) -> dict[str, int]:
    """The figures that are not zero, without times."""
    names = (name for name in Figures.__slots__ if not name.startswith("reconnect_"))  # type: ignore[attr-defined]
    return {name: getattr(figures, name) for name in names if getattr(figures, name)}
