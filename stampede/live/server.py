"""The server of the page: for this machine alone, and for who has the address that was printed.

Other users of this machine can connect to it, and pages of other sites can make a browser do so. So:

- the address holds a token, which is exchanged for a cookie; the page and its cookie lie under a path that nobody can
  guess, because a browser sends cookies to all ports of a host;
- a host name other than that of the loopback interface is refused (DNS rebinding);
- what controls the run needs a key besides, which stands in the page, in a header that only a script of the same
  origin can send.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web

from stampede.live.page import LivePage
from stampede.schema.errors import BadInput

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost")
"""Of the loopback interface; any port, so that one forwarded by ssh is as good."""
COOKIE = "stampede"
KEY_HEADER = "X-Stampede-Key"
MOST_CONNECTIONS = 32
LONGEST_REQUEST = 4096
"""Bytes, of which none of ours has many."""
IDLE = 30.0
"""Seconds after which a connection without a request is closed."""
HEADERS = {
    # The page says more by itself (see report/template.py); a browser keeps to both.
    "Content-Security-Policy": "frame-ancestors 'none'; form-action 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "stampede",
}
FORBIDDEN = "Open the address that stampede watch --web has printed; this one does not let you in."

type Action = Callable[[], Awaitable[str]]
"""Does something to the run and returns a sentence about it."""


class PageServer:
    """Serves one page while it is entered."""

    def __init__(self, page: LivePage, actions: dict[str, Action], port: int = 0) -> None:
        """``actions`` by the last part of their path. ``port``: 0 for any that is free."""
        self._page = page
        self._port = port
        self._token, self._session, self._key = (secrets.token_urlsafe(24) for _ in range(3))
        self._place = f"/{secrets.token_urlsafe(12)}/"
        app = web.Application(middlewares=[self._guard], client_max_size=LONGEST_REQUEST)
        app.router.add_get("/", self._let_in)
        app.router.add_get(self._place, self._show)
        app.router.add_get(f"{self._place}data", self._data)
        for name, action in actions.items():
            app.router.add_post(f"{self._place}{name}", self._controlled(action))
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=IDLE,
            max_line_size=LONGEST_REQUEST,
            max_field_size=LONGEST_REQUEST,
        )
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where the page is, with the token that lets in."""
        return f"http://{LOOPBACK}:{self._port}/?token={self._token}"

    async def __aenter__(self) -> PageServer:
        """Raises BadInput when the port is taken."""
        await self._runner.setup()
        try:
            self._listener = await asyncio.get_running_loop().create_server(self._protocol, LOOPBACK, self._port)
        except OSError as error:
            await self._runner.cleanup()
            raise BadInput(f"--port is {self._port}, which cannot be used: {error.strerror or error}") from None
        self._port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listener:
            self._listener.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None
        return server() if len(server.connections) < MOST_CONNECTIONS else _Refusal()

    # ------------------------------------------------------------- who may

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Let only a browser of this machine's user pass."""
        try:
            if _name(request.host) not in NAMES:
                raise web.HTTPForbidden(text=f"The host must be {' or '.join(NAMES)}.")
            if request.path != "/" and not _equal(request.cookies.get(COOKIE, ""), self._session):
                raise web.HTTPForbidden(text=FORBIDDEN)
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        response.headers.update(HEADERS)
        return response

    async def _let_in(self, request: web.Request) -> web.StreamResponse:
        """Exchange the token for a cookie, so that the page's address shows none."""
        if not _equal(request.query.get("token", ""), self._token):
            raise web.HTTPForbidden(text=FORBIDDEN)
        response = web.HTTPSeeOther(self._place)
        response.set_cookie(COOKIE, self._session, path=self._place, httponly=True, samesite="Strict")
        raise response

    def _controlled(self, action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
        """An action that only the page itself can ask for."""

        async def handle(request: web.Request) -> web.Response:
            is_ours = request.headers.get("Origin", "") == f"http://{request.host}"
            if not is_ours or not _equal(request.headers.get(KEY_HEADER, ""), self._key):
                raise web.HTTPForbidden(text="Only the page can do that.")
            return web.Response(text=await action())

        return handle

    # ------------------------------------------------------------- what

    async def _show(self, request: web.Request) -> web.Response:
        return web.Response(text=self._page.html(self._key), content_type="text/html")

    async def _data(self, request: web.Request) -> web.Response:
        response = web.Response(text=self._page.data(request.query.get("host", "")), content_type="application/json")
        response.enable_compression()
        return response


class _Refusal(asyncio.Protocol):
    """Closes a connection of which there are too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def _name(host: str) -> str:
    """A host without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _equal(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode())
