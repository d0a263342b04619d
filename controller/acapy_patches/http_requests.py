"""Intercepts every HTTP request of a process, each redirect included: for the egress guard.

ACA-Py and its plugins send requests with aiohttp and with requests, and with nothing else (a test watches that).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from controller.acapy_patches.patch import Patch

PROBE = "http://stampede-egress-probe.invalid/"
"""Never resolves (RFC 2606)."""

type Check = Callable[[Any], None]
"""Takes a URL before a connection is made or a name resolved; raises to prevent that."""


class NotIntercepted(Exception):
    """Requests of this process do not pass the check."""


class _ProbeIntercepted(Exception):
    pass


def intercept(check: Check) -> None:
    """Call ``check`` with the URL of every further request, and prove with a probe that it is called.

    Raises NotIntercepted.
    """

    def check_url(url: Any) -> None:
        if str(url) == PROBE:
            raise _ProbeIntercepted
        check(url)

    try:
        _intercept_aiohttp(check_url)
        _intercept_requests(check_url)
    except (AttributeError, ImportError) as error:
        raise NotIntercepted(str(error)) from error
    with ThreadPoolExecutor(1) as thread:  # which may start an event loop, where this one may have one
        thread.submit(_probe).result()


def _intercept_aiohttp(check: Check) -> None:
    from aiohttp.connector import BaseConnector

    connect = BaseConnector.connect

    async def checked_connect(self: BaseConnector, req: Any, *args: Any, **kwargs: Any) -> Any:
        check(req.url)
        return await connect(self, req, *args, **kwargs)

    BaseConnector.connect = checked_connect  # type: ignore[method-assign]


def _intercept_requests(check: Check) -> None:
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def checked_send(self: HTTPAdapter, request: Any, *args: Any, **kwargs: Any) -> Any:
        check(request.url)
        return send(self, request, *args, **kwargs)

    HTTPAdapter.send = checked_send  # type: ignore[method-assign]


def _probe() -> None:
    """Send a request with either library; both must be intercepted."""
    import aiohttp
    import requests

    async def request_by_aiohttp() -> None:
        async with aiohttp.ClientSession() as session:
            await session.get(PROBE)

    probes: dict[str, Callable[[], object]] = {
        "aiohttp": lambda: asyncio.run(request_by_aiohttp()),
        "requests": lambda: requests.get(PROBE, timeout=5),
    }
    for library, request in probes.items():
        try:
            request()
        except _ProbeIntercepted:
            continue
        except Exception as error:
            raise NotIntercepted(f"a request of {library} was not intercepted, it failed with {error!r}") from error
        raise NotIntercepted(f"a request of {library} was not intercepted")


HTTP_REQUESTS = Patch(
    name="http_requests",
    reason="ACA-Py has no setting that limits the hosts to which it sends requests.",
    upstream="not reported upstream",
    written_for={"aiohttp": "3.14.5", "requests": "2.34.2"},
    originals={
        "aiohttp.connector:BaseConnector.connect": "ae3b40d0f93d8ffe",
        "requests.adapters:HTTPAdapter.send": "8b12f2e9fe4db2b7",
    },
    apply=intercept,
)
