"""A WebSocket that lasts (RFC 6455)."""

from __future__ import annotations

import asyncio

import aiohttp

from controller.pickup.figures import Figures
from controller.pickup.link import ATTEMPT, LONGEST_MESSAGE, End, Link, LinkFailed

HEARTBEAT = 30.0
"""Seconds between two pings of ours: they keep a NAT's entry alive, and tell of a mediator that is gone silently."""
CLOSING = 2.0
"""Seconds within which a mediator may answer that we close."""
LONGEST_REASON = 123
"""Characters of why a mediator closes a socket."""
MESSAGES = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)


class WebSocketLink(Link):
    """One socket at a time. It is only ever read here, so that the other side's pings are answered at once."""

    __slots__ = ("_closing", "_sending", "_session", "_socket")

    def __init__(self, url: str, end: End, figures: Figures, session: aiohttp.ClientSession) -> None:
        super().__init__(url, end, figures)
        self._session = session
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._sending: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[bool] | None = None

    def drop(self) -> None:
        """See Link."""
        if self._socket is not None:
            self._figures.unanswered += 1
            self._closing = asyncio.create_task(self._socket.close())

    async def _use(self) -> None:
        async with asyncio.timeout(ATTEMPT):
            socket = await self._session.ws_connect(
                self.url,
                heartbeat=HEARTBEAT,
                max_msg_size=LONGEST_MESSAGE,
                compress=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSING),
            )
        try:
            self._socket = socket
            self._opened()
            self._send_soon()
            while (message := await socket.receive()).type in MESSAGES:
                self._end.arrived(message.data)
            raise LinkFailed(_ended_by(message, socket.exception()))
        finally:
            self._socket = None
            await asyncio.shield(socket.close())

    def _send_soon(self) -> None:
        if self._unsent and self._socket is not None and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send_all(self._socket))

    async def _send_all(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while self._unsent and socket is self._socket:
            payload = self._unsent[0]
            try:
                async with asyncio.timeout(ATTEMPT):
                    await socket.send_bytes(payload.encode() if isinstance(payload, str) else payload)
            except (aiohttp.ClientError, OSError):
                await socket.close()  # the message is sent on the next one
                return
            self._unsent.popleft()


def _ended_by(message: aiohttp.WSMessage, error: BaseException | None) -> str:
    """Why a socket has ended whose last message this is."""
    if message.type == aiohttp.WSMsgType.CLOSE:
        reason = "".join(sign for sign in message.extra or "" if sign.isprintable())[:LONGEST_REASON]
        return f"it was closed by the mediator, with the code {message.data}" + (f" ({reason})" if reason else "")
    if message.type == aiohttp.WSMsgType.CLOSING:  # by ourselves
        return "it did not answer in time"
    if message.type == aiohttp.WSMsgType.ERROR:
        error = message.data
    return str(error or "") or (type(error).__name__ if error else "it was closed by the mediator")
