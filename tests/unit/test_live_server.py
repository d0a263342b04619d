"""Who gets at the page of a run in progress, and who does not."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from fleet_views import NOW, host

from stampede.live.page import LivePage
from stampede.live.server import COOKIE, KEY_HEADER, MOST_CONNECTIONS, PageServer
from stampede.schema.errors import BadInput


class Served:
    """A page that is served, what was asked of the run, and a client that keeps no cookies of its own accord."""

    def __init__(self, server: PageServer, asked: list[str], client: aiohttp.ClientSession) -> None:
        self.server, self.asked, self.client = server, asked, client
        self.origin = server.url.split("/?")[0]
        self.cookie: dict[str, str] = {}
        self.home = self.key = ""

    async def let_in(self) -> None:
        async with self.client.get(self.server.url, allow_redirects=False) as answer:
            assert answer.status == 303
            self.home = self.origin + answer.headers["Location"]
            self.cookie = {COOKIE: answer.cookies[COOKIE].value}
        async with self.client.get(self.home, cookies=self.cookie) as answer:
            assert answer.status == 200
            found = re.search(r'id="chart-data">(.*?)</script>', await answer.text())
            assert found
            self.key = json.loads(found.group(1))["key"]

    async def status(self, method: str, url: str, **options: Any) -> int:
        async with self.client.request(method, url, allow_redirects=False, **options) as answer:
            return answer.status


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    page, asked = LivePage("r1", [host("h1", NOW)]), []
    page.note([], NOW)

    async def stop() -> str:
        asked.append("stop")
        return "All load hosts were asked to end the run."

    jar = aiohttp.DummyCookieJar()
    async with PageServer(page, {"stop": stop}) as server, aiohttp.ClientSession(cookie_jar=jar) as client:
        yield Served(server, asked, client)


async def test_it_listens_on_loopback_alone(served: Served) -> None:
    assert served.origin.startswith("http://127.0.0.1:")
    assert [each.getsockname()[0] for each in served.server._listener.sockets] == ["127.0.0.1"]


async def test_nobody_gets_in_without_the_token(served: Served) -> None:
    await served.let_in()
    for url in (f"{served.origin}/", f"{served.origin}/?token=", f"{served.origin}/?token={'x' * 32}", served.home):
        assert await served.status("GET", url) == 403
    for cookie in ("", "x" * 32, served.key, "é"):
        assert await served.status("GET", f"{served.home}data", cookies={COOKIE: cookie}) == 403
    assert await served.status("GET", f"{served.origin}/other", cookies=served.cookie) == 404
    assert await served.status("GET", f"{served.home}data", cookies=served.cookie) == 200


async def test_the_cookie_is_for_the_page_alone(served: Served) -> None:
    async with served.client.get(served.server.url, allow_redirects=False) as answer:
        cookie = answer.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["domain"]) == (True, "Strict", "")
    # Browsers send cookies to all ports of a host: servers of other users get none of a path that they do not know.
    assert cookie["path"] == answer.headers["Location"] and len(cookie["path"]) > 16
    assert "token" not in answer.headers["Location"]


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::1]", ""])
async def test_a_host_name_of_somebody_else_is_refused(served: Served, name: str) -> None:
    await served.let_in()
    for url in (served.server.url, f"{served.home}data"):
        assert await served.status("GET", url, headers={"Host": name}, cookies=served.cookie) == 403


async def test_a_port_that_is_forwarded_is_as_good(served: Served) -> None:
    await served.let_in()
    headers = {"Host": "localhost:8000"}
    assert await served.status("GET", f"{served.home}data", headers=headers, cookies=served.cookie) == 200
    headers |= {"Origin": "http://localhost:8000", KEY_HEADER: served.key}
    assert await served.status("POST", f"{served.home}stop", headers=headers, cookies=served.cookie) == 200


async def test_only_the_page_itself_controls_the_run(served: Served) -> None:
    await served.let_in()
    stop, ours = f"{served.home}stop", {"Origin": served.origin, KEY_HEADER: served.key}
    for headers, cookies in (
        (ours, {}),
        (ours | {"Origin": "http://evil.example"}, served.cookie),
        (ours | {"Origin": "http://127.0.0.1:1"}, served.cookie),
        (ours | {"Origin": "null"}, served.cookie),
        ({KEY_HEADER: served.key}, served.cookie),
        ({"Origin": served.origin}, served.cookie),
        (ours | {KEY_HEADER: served.cookie[COOKIE]}, served.cookie),
    ):
        assert await served.status("POST", stop, headers=headers, cookies=cookies) == 403
    assert await served.status("GET", stop, headers=ours, cookies=served.cookie) == 405
    assert served.asked == []
    assert await served.status("POST", stop, headers=ours, cookies=served.cookie) == 200
    assert served.asked == ["stop"]


async def test_every_answer_says_what_a_browser_may_do(served: Served) -> None:
    await served.let_in()
    for url, cookies in ((served.home, served.cookie), (served.home, {}), (f"{served.origin}/x", served.cookie)):
        async with served.client.get(url, cookies=cookies) as answer:
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Server"] == "stampede"
    async with served.client.get(served.home, cookies=served.cookie) as answer:
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', await answer.text())
    assert policy
    assert "default-src &#39;none&#39;" in policy[1] and "unsafe" not in policy[1]
    assert "connect-src &#39;self&#39;" in policy[1]


async def test_there_are_never_many_connections(served: Served) -> None:
    port = int(served.origin.rsplit(":", 1)[1])
    kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionError):  # it is closed without an answer
        if await reader.read() == b"":
            raise ConnectionResetError
    writer.close()
    for _, each in kept:
        each.close()
        await each.wait_closed()
    await served.let_in()


async def test_a_long_request_is_refused(served: Served) -> None:
    assert await served.status("GET", f"{served.origin}/?token={'x' * 10_000}") == 400


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=rf"^--port is {port}, which cannot be used: .*in use"):
            async with PageServer(LivePage("r1", [host("h1", NOW)]), {}, port):
                pass
