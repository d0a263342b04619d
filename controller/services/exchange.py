"""One HTTP request to a service and its answer: redirects, limits, cookies, and what may go to which server.

Whatever a service does, what comes of it is an answer or a StepError.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from controller.services.answer import Answer
from controller.services.invitation import from_url
from controller.services.request import Request
from stampede.schema.errors import BadInput, BadInvitation, ServiceRefused, ServiceUnreachable, TlsError
from stampede.schema.settings.request_settings import MAX_REDIRECTS
from stampede.schema.settings.targets import Targets
from stampede.schema.settings.web_address import is_loopback

MAX_ANSWER = 4 * 2**20
"""Bytes of an answer, unpacked; a longer one is refused."""
ACCEPT = "application/json, text/plain;q=0.9, */*;q=0.5"
"""What answers are asked for, unless the settings say otherwise."""
PORTABLE = frozenset({"accept", "accept-language", "user-agent"})
"""Headers that go to every server to which a redirect leads. Any other may be meant for the first one alone."""
ABOUT_LATER = ("Location", "Retry-After", "Date")
"""Headers of an answer that say where and when there is more."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Exchange:
    """Sends requests to services, over connections that all holders share."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Make the session; to be called within the event loop."""
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_reused)
        trace.on_connection_create_end.append(_created)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),  # holders share no cookies
            headers={"User-Agent": "stampede", "Accept": ACCEPT},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),  # the step's limit is that of the whole
            trace_configs=[trace],
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    async def send(self, request: Request, cookies: aiohttp.CookieJar | None = None) -> Answer:
        """The answer at the end of at most ``MAX_REDIRECTS`` redirects. ``cookies`` are kept for further requests.

        Raises ServiceRefused, ServiceUnreachable, TlsError or BadInvitation; BadInput instead of sending anything to
        a host that must not be load-tested.
        """
        try:
            return await self._follow(request, cookie_jar() if cookies is None else cookies)
        except BadInput:
            raise
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
            raise TlsError(f"{request.service}: {error}") from error
        except aiohttp.ClientConnectorError as error:
            reason = error.os_error.strerror or error.os_error
            raise ServiceUnreachable(
                f"{request.service}: no connection to {error.host}:{error.port}, {reason}"
            ) from error
        except aiohttp.ClientResponseError as error:  # of a status that is aiohttp's own: 400
            raise ServiceUnreachable(f"{request.service} gave no answer that HTTP knows: {_why(error)}") from error
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError, HttpProcessingError) as error:
            raise ServiceUnreachable(f"{request.service}: {_why(error)}") from error
        except ValueError as error:  # such as a header with a newline in it
            raise ServiceUnreachable(f"the request to {request.service} cannot be sent: {error}") from error

    async def _follow(self, request: Request, cookies: aiohttp.CookieJar) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            async with await self._open(request, cookies) as response:
                cookies.update_cookies(response.cookies, response.url)
                if not 100 <= response.status < 600:
                    raise ServiceUnreachable(
                        f"{request.service} answered with the status {response.status:03}, which HTTP does not have"
                    )
                if response.status not in REDIRECTS:
                    return await _read(request, response)
                location = response.headers.get("Location", "")
                if request.for_invitation and (found := _carried(request, response.status, location)):
                    return Answer(request.service, response.status, invitation=found)
                said = f"{request.service} answered {response.status}"
                request = self.leading_to(request, location, said, sent_again=response.status in (307, 308))
        raise ServiceRefused(f"{request.service} redirected more than {MAX_REDIRECTS} times")

    async def _open(self, request: Request, cookies: aiohttp.CookieJar) -> aiohttp.ClientResponse:
        """Send a request. Once more, when the server had closed a kept connection before it saw the request: what
        had no answer at all was not processed (RFC 9112, 9.3.1, leaves that to who knows the service)."""
        assert self._session is not None, "use HttpServices as a context manager"
        connection = _Connection()
        for last in (False, True):
            try:
                return await self._session.request(
                    request.method,
                    request.url,
                    headers=_with_cookies(request, cookies),
                    data=request.body,
                    ssl=request.tls,
                    allow_redirects=False,
                    trace_request_ctx=connection,
                )
            except (
                aiohttp.ServerDisconnectedError,
                aiohttp.ClientConnectionResetError,
                aiohttp.ClientOSError,
            ) as error:
                if last or not connection.reused or _has_answered(error):
                    raise
        raise AssertionError("the second attempt returns or raises")

    def leading_to(self, request: Request, location: str, said: str, *, sent_again: bool = False) -> Request:
        """The request that another one leads to: a GET, or itself ``sent_again`` elsewhere. ``said`` begins sentences
        about the answer that leads there.

        Raises ServiceRefused, BadInput for a host that may not be loaded.
        """
        if not location:
            raise ServiceRefused(f"{said} without a Location")
        try:
            url = request.url.join(URL(location)).with_fragment(None)
            elsewhere = url.origin() != request.url.origin()
            url = url.with_user(None)
        except ValueError:
            raise ServiceRefused(f"{said} with a Location that is no http or https URL: {location}") from None
        if url.scheme not in ("http", "https"):
            raise ServiceRefused(f"{said} with a Location that is no http or https URL: {location}")
        if url.scheme == "http" and (request.url.scheme == "https" or not is_loopback(url.host)):
            raise ServiceRefused(
                f"{said} and leads to {location}, which is not encrypted, so that it is not followed"
            )
        self._targets.check(f"{request.where}, which redirects", url)
        method, body, headers = request.method, request.body, request.headers.copy()
        if not sent_again:
            method, body = "GET", None
        if elsewhere and body is not None:
            raise ServiceRefused(
                f"{said} and leads to another server, {url.origin()}, to which the body of the request is not sent"
            )
        for name in list(headers):
            about_body = name.lower().startswith("content-")
            portable = name.lower() in PORTABLE and name.lower() not in request.secret_headers
            if (about_body and body is None) or (elsewhere and not portable):
                headers.popall(name, None)
        return replace(request, method=method, url=url, headers=headers, body=body)


def cookie_jar() -> aiohttp.CookieJar:
    """The cookies of one step of one holder, also those of addresses."""
    return aiohttp.CookieJar(unsafe=True)


def _carried(request: Request, status: int, location: str) -> dict[str, Any] | None:
    """The invitation in the URL of a redirect, if any."""
    try:
        return from_url(location)
    except BadInvitation as error:
        raise BadInvitation(f"{request.service} answered {status}: {error.detail}") from None


async def _read(request: Request, response: aiohttp.ClientResponse) -> Answer:
    """The whole answer. Raises ServiceRefused when it is too long, ServiceUnreachable when it breaks off."""
    said = f"{request.service} answered {response.status}"
    body = bytearray()
    try:
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > MAX_ANSWER:
                raise ServiceRefused(f"{said} with more than {MAX_ANSWER:,} bytes, the most that are taken")
    except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError, HttpProcessingError) as error:
        raise ServiceUnreachable(f"{said}, but its answer broke off: {_why(error)}") from error
    finally:
        if not response.content.at_eof():
            response.close()
    headers = {name: response.headers[name] for name in ABOUT_LATER if name in response.headers}
    return Answer(request.service, response.status, bytes(body), _charset(response), None, request, headers)


def _why(error: BaseException) -> str:
    """What an error of aiohttp says, in one line, without the status that it gives to answers that it cannot read."""
    if isinstance(error, aiohttp.ClientPayloadError) and error.__cause__:
        error = error.__cause__
    message = getattr(error, "message", None)
    return " ".join((message if isinstance(message, str) else str(error)).split()) or type(error).__name__


def _charset(response: aiohttp.ClientResponse) -> str:
    try:
        return response.charset or ""
    except ValueError:  # a Content-Type that cannot be read
        return ""


def _with_cookies(request: Request, cookies: aiohttp.CookieJar) -> CIMultiDict[str]:
    """A request's headers, and the cookies that redirects to it have set."""
    found = [f"{name}={cookie.coded_value}" for name, cookie in cookies.filter_cookies(request.url).items()]
    if not found:
        return request.headers
    headers = request.headers.copy()
    headers["Cookie"] = "; ".join([*headers.getall("Cookie", []), *found])
    return headers


@dataclass(slots=True)
class _Connection:
    """What a request was sent over."""

    reused: bool = False


async def _reused(session: aiohttp.ClientSession, context: SimpleNamespace, _: Any) -> None:
    context.trace_request_ctx.reused = True


async def _created(session: aiohttp.ClientSession, context: SimpleNamespace, _: Any) -> None:
    context.trace_request_ctx.reused = False


def _has_answered(error: aiohttp.ClientError) -> bool:
    """Whether the connection was lost in the middle of an answer's head."""
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
