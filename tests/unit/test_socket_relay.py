"""WebSockets through the reference services' gateway: both directions, closing, limits, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from reference.socket_relay import MAX_MESSAGE, SocketRelay


class Agent:
    """The other end: says what it is told to, and keeps what it hears."""

    def __init__(self) -> None:
        self.sockets: list[web.WebSocketResponse] = []
        self.heard: asyncio.Queue[aiohttp.WSMessage] = asyncio.Queue()
        self.close_codes: asyncio.Queue[int | None] = asyncio.Queue()
        app = web.Application()
        app.router.add_get("/", self._socket)
        self.server = TestServer(app)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False, max_msg_size=0)
        await socket.prepare(request)
        self.sockets.append(socket)
        while (message := await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING):
            self.heard.put_nowait(message)
            if message.type == WSMsgType.PING:
                await socket.pong(message.data)
        self.close_codes.put_nowait(message.data if message.type == WSMsgType.CLOSE else None)
        return socket


@pytest_asyncio.fixture
async def agent() -> AsyncIterator[Agent]:
    agent = Agent()
    await agent.server.start_server()
    yield agent
    await agent.server.close()


@pytest_asyncio.fixture
async def url(agent: Agent) -> AsyncIterator[str]:
    """That of the gateway."""
    relay = SocketRelay(str(agent.server.make_url("/")))
    app = web.Application()
    app.router.add_get("/didcomm", relay.handle)
    app.on_shutdown.append(relay.stop)
    gateway = web.AppRunner(app, shutdown_timeout=1)
    await gateway.setup()
    await web.TCPSite(gateway, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{gateway.addresses[0][1]}/didcomm"
    await gateway.cleanup()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        yield client


async def test_messages_pass_in_both_directions_as_they_are(
    agent: Agent, url: str, client: aiohttp.ClientSession
) -> None:
    async with client.ws_connect(url) as socket:
        await socket.send_bytes(b"\0\xff")
        await socket.send_str("wörd")
        assert (await agent.heard.get()).data == b"\0\xff"
        heard = await agent.heard.get()
        assert (heard.type, heard.data) == (WSMsgType.TEXT, "wörd")
        await agent.sockets[0].send_bytes(b"")
        await agent.sockets[0].send_str("answer")
        assert await socket.receive_bytes() == b""
        assert await socket.receive_str() == "answer"


async def test_pings_reach_the_other_end(agent: Agent, url: str, client: aiohttp.ClientSession) -> None:
    async with client.ws_connect(url, autoping=False) as socket:
        await socket.ping(b"there?")
        assert (await agent.heard.get()).data == b"there?"
        answer = await socket.receive()
        assert (answer.type, answer.data) == (WSMsgType.PONG, b"there?")
        await agent.sockets[0].ping(b"and you?")
        asked = await socket.receive()
        assert (asked.type, asked.data) == (WSMsgType.PING, b"and you?")


@pytest.mark.parametrize("code", [1000, 1001, 4000])
async def test_each_side_hears_why_the_other_closes(
    agent: Agent, url: str, client: aiohttp.ClientSession, code: int
) -> None:
    socket = await client.ws_connect(url)
    await socket.send_str("hello")
    await agent.heard.get()
    await socket.close(code=code)
    assert await agent.close_codes.get() == code

    socket = await client.ws_connect(url)
    await socket.send_str("hello")
    await agent.heard.get()
    await agent.sockets[-1].close(code=code)
    assert (await socket.receive()).type == WSMsgType.CLOSE
    assert socket.close_code == code


async def test_a_phone_that_vanishes_is_told_to_the_agent(
    agent: Agent, url: str, client: aiohttp.ClientSession
) -> None:
    socket = await client.ws_connect(url)
    await socket.send_str("hello")
    await agent.heard.get()
    connection = socket._response.connection
    assert connection is not None and connection.transport is not None
    connection.transport.abort()
    async with asyncio.timeout(10):
        assert await agent.close_codes.get() is not None


async def test_an_agent_that_dies_closes_its_sockets(agent: Agent, url: str, client: aiohttp.ClientSession) -> None:
    socket = await client.ws_connect(url)
    await socket.send_str("hello")
    await agent.heard.get()
    request = agent.sockets[0]._req
    assert request is not None and request.transport is not None
    request.transport.abort()
    assert (await socket.receive(timeout=10)).type == WSMsgType.CLOSE
    assert socket.close_code in (1000, 1001)


async def test_without_its_agent_no_socket_is_opened(agent: Agent, url: str, client: aiohttp.ClientSession) -> None:
    await agent.server.close()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect(url)
    assert refused.value.status == 502


async def test_what_is_no_upgrade_is_told_so(url: str, client: aiohttp.ClientSession) -> None:
    async with client.get(url) as answer:
        assert answer.status == 426
        assert answer.headers["Upgrade"] == "websocket"
        assert "WebSocket" in await answer.text()


async def test_a_message_that_is_too_large_ends_the_socket(
    agent: Agent, url: str, client: aiohttp.ClientSession
) -> None:
    socket = await client.ws_connect(url, max_msg_size=0)
    with suppress(ConnectionError):
        await socket.send_bytes(bytes(MAX_MESSAGE + 1))
    assert await agent.close_codes.get() == 1009
    assert agent.heard.empty()


async def test_a_phone_that_does_not_read_stops_its_sender(
    agent: Agent, url: str, client: aiohttp.ClientSession
) -> None:
    sent, amount, message = 0, 200, bytes(1024**2)

    async def flood() -> None:
        nonlocal sent
        while sent < amount:
            await agent.sockets[0].send_bytes(message)
            sent += 1

    async with client.ws_connect(url, max_msg_size=0) as socket:
        await socket.send_str("hello")
        await agent.heard.get()
        flooding = asyncio.create_task(flood())
        before = -1
        while sent > before:  # until it is stuck
            before = sent
            await asyncio.sleep(0.5)
        assert not flooding.done() and sent < amount
        for _ in range(amount):
            assert len(await socket.receive_bytes(timeout=20)) == len(message)
        await flooding


async def test_many_sockets_at_once(agent: Agent, url: str, client: aiohttp.ClientSession) -> None:
    sockets = await asyncio.gather(*(client.ws_connect(url) for _ in range(300)))
    await asyncio.gather(*(socket.send_str(f"{number}") for number, socket in enumerate(sockets)))
    heard = {int((await agent.heard.get()).data) for _ in sockets}
    assert heard == set(range(300))
    await asyncio.gather(*(socket.send_str("back") for socket in agent.sockets))
    assert [await socket.receive_str() for socket in sockets] == ["back"] * 300
    await asyncio.gather(*(socket.close() for socket in sockets))
    assert {await agent.close_codes.get() for _ in sockets} == {1000}
