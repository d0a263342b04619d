"""The HTTPS port of all services, and the loopback port to which agents post their events."""

import asyncio
import logging
import secrets
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from .agent import Agent, AgentError
from .socket_relay import SocketRelay

LOGGER = logging.getLogger(__name__)
EventHandler = Callable[[str, dict[str, Any]], None]


class Gateway:
    """Terminates TLS, serves the services' routes, and forwards DIDComm messages to the agents."""

    def __init__(self, port: int, delays: Mapping[str, float]) -> None:
        """`port` is the HTTPS port on all interfaces; `delays` are the seconds by which DIDComm messages are
        delayed, by the agent's name."""
        self._port = port
        self._delays = delays
        self._runners: list[web.AppRunner] = []
        self._session: aiohttp.ClientSession | None = None
        self._handlers: dict[str, EventHandler] = {}
        self._events_port = 0
        self.events_token = secrets.token_urlsafe(24)

    async def start(self, routes: Iterable[web.RouteDef], agents: Iterable[Agent], tls: ssl.SSLContext) -> None:
        """Listen. Raises OSError when the port is in use."""
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200))
        public = web.Application(client_max_size=64 * 1024**2, middlewares=[_explain_errors])
        public.add_routes(routes)
        for agent in agents:
            public.router.add_post(f"/{agent.name}/didcomm", self._didcomm_handler(agent))
            if agent.has_sockets:
                relay = SocketRelay(f"http://127.0.0.1:{agent.sockets_port}/")
                public.router.add_get(f"/{agent.name}/didcomm", relay.handle, allow_head=False)
                public.on_shutdown.append(relay.stop)
        await self._listen(public, None, self._port, tls)
        internal = web.Application(client_max_size=64 * 1024**2)
        internal.router.add_post("/events/{agent}", self._on_events)
        self._events_port = await self._listen(internal, "127.0.0.1", 0, None)

    async def stop(self) -> None:
        """Stop listening."""
        for runner in self._runners:
            await runner.cleanup()
        if self._session:
            await self._session.close()

    def events_url(self, agent: str) -> str:
        """The URL to which this agent posts its events."""
        return f"http://127.0.0.1:{self._events_port}/events/{agent}"

    def on_event(self, agent: str, handler: EventHandler) -> None:
        """Call `handler(topic, payload)` for each event of this agent."""
        self._handlers[agent] = handler

    async def _listen(self, app: web.Application, host: str | None, port: int, tls: ssl.SSLContext | None) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, host, port, ssl_context=tls, backlog=1024).start()
        return int(runner.addresses[0][1])

    def _didcomm_handler(self, agent: Agent) -> Callable[[web.Request], Any]:
        url = f"http://127.0.0.1:{agent.inbound_port}/"
        delay = self._delays.get(agent.name, 0.0)

        async def forward(request: web.Request) -> web.StreamResponse:
            assert self._session is not None, "the gateway has not been started"
            body = await request.read()
            if delay:
                await asyncio.sleep(delay)
            headers = {"Content-Type": request.headers.get("Content-Type", "application/didcomm-envelope-enc")}
            try:
                async with self._session.post(url, data=body, headers=headers) as answer:
                    return web.Response(
                        status=answer.status,
                        body=await answer.read(),
                        content_type=answer.content_type if answer.content_length != 0 else None,
                    )
            except aiohttp.ClientError as err:
                raise web.HTTPBadGateway(text=f"the agent {agent.name} does not answer: {err}") from err

        return forward

    async def _on_events(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.events_token}":
            raise web.HTTPForbidden
        handler = self._handlers.get(request.match_info["agent"])
        for event in await request.json():
            if handler is not None:
                handler(event["topic"], event["payload"])
        return web.json_response({})


@web.middleware
async def _explain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond to errors with JSON that holds one sentence."""
    try:
        return await handler(request)
    except web.HTTPException as err:
        if err.status < 400:
            raise
        return web.json_response({"error": err.text or err.reason}, status=err.status)
    except AgentError as err:
        LOGGER.warning("%s %s: %s", request.method, request.path, err)
        return web.json_response({"error": str(err)}, status=502)
    except asyncio.CancelledError:
        raise
    except Exception as err:
        LOGGER.exception("%s %s", request.method, request.path)
        return web.json_response({"error": f"{type(err).__name__}: {err}"}, status=500)
