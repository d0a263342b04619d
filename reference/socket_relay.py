"""WebSockets through the gateway: what comes from one side goes to the other, until either closes."""

import asyncio
import logging

import aiohttp
from aiohttp import WSMsgType, web

LOGGER = logging.getLogger(__name__)
MAX_MESSAGE = 4 * 1024**2  # bytes, as ACA-Py's
OPENING = 64  # sockets to the agent that are opened at the same time: its backlog is 128
OPEN_TIMEOUT = 30.0  # seconds
CLOSE_TIMEOUT = 5.0  # seconds that one side has to confirm that it closes
SENDABLE_CODES = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))  # RFC 6455, 7.4

type Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


class SocketRelay:
    """Relays any number of WebSockets to one agent. A slow reader slows down its sender: nothing piles up."""

    def __init__(self, url: str) -> None:
        """`url` is that of the agent."""
        self._url = url
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Semaphore(OPENING)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The whole life of one socket."""
        outside = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT, autoping=False, max_msg_size=MAX_MESSAGE, compress=False
        )
        if not outside.can_prepare(request):
            raise web.HTTPUpgradeRequired(headers={"Upgrade": "websocket"}, text="this takes POST, or a WebSocket")
        try:
            inside = await self._open()
        except (aiohttp.ClientError, TimeoutError) as err:
            raise web.HTTPBadGateway(text=f"the agent takes no WebSocket: {err or type(err).__name__}") from err
        try:
            await outside.prepare(request)
            await _relay(outside, inside)
        finally:
            await inside.close()
        return outside

    async def stop(self, app: web.Application) -> None:
        """Close the agent's side of all sockets, which ends the relays."""
        if self._session:
            await self._session.close()

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        async with self._opening, asyncio.timeout(OPEN_TIMEOUT):
            return await self._session.ws_connect(
                self._url,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
                autoping=False,
                max_msg_size=MAX_MESSAGE,
            )


async def _relay(outside: Socket, inside: Socket) -> None:
    """Both directions, until one side closes; the other is closed with the same code."""
    pumps = [asyncio.create_task(_pump(outside, inside)), asyncio.create_task(_pump(inside, outside))]
    try:
        ended, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
    code = ended.pop().result()
    await asyncio.gather(outside.close(code=code), inside.close(code=code))


async def _pump(source: Socket, target: Socket) -> int:
    """Pass on messages until the source closes; returns the code for closing the target.

    Pings and pongs are passed on, too, so that each end notices when the other is gone.
    """
    try:
        while True:
            message = await source.receive()
            match message.type:
                case WSMsgType.TEXT:
                    await target.send_str(message.data)
                case WSMsgType.BINARY:
                    await target.send_bytes(message.data)
                case WSMsgType.PING:
                    await target.ping(message.data)
                case WSMsgType.PONG:
                    await target.pong(message.data)
                case WSMsgType.CLOSE if message.data in SENDABLE_CODES:
                    return int(message.data)
                case WSMsgType.ERROR if isinstance(message.data, aiohttp.WebSocketError):
                    return message.data.code
                case _:
                    return aiohttp.WSCloseCode.GOING_AWAY
    except (ConnectionError, aiohttp.ClientError) as err:
        LOGGER.debug("a relayed socket ends: %s", err)
        return aiohttp.WSCloseCode.GOING_AWAY
