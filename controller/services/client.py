"""HTTPS requests to the services under test: invitations and revocations."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from controller.services import invitation
from controller.services.invitation import Json
from stampede.machine.trust import tls_context
from stampede.schema.errors import BadInvitation, ServiceRefused, ServiceUnreachable, StepError, TlsError
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.service_settings import MAX_REDIRECTS, HttpRequest, fill_in
from stampede.schema.settings.targets import Targets


class Services(Protocol):
    """The HTTPS requests of a holder; ``values`` replace ``${name}`` in URL, headers and body."""

    async def request_invitation(self, service: str, values: Mapping[str, str]) -> Json:
        """An out-of-band invitation from ``service``."""

    async def request_revocation(self, service: str, values: Mapping[str, str]) -> None:
        """Ask ``service`` to revoke the credential that ``values`` identify."""


class HttpServices:
    """The services as configured in ``stampede_services``, reached over verified TLS."""

    def __init__(self, settings: Settings, secrets: Mapping[str, str]) -> None:
        self._services = settings.services
        self._ca_file = settings.ca_file
        self._secrets = {f"secret:{name}": value for name, value in secrets.items()}
        self._targets = Targets(settings.allowed_targets)
        self._tls_contexts: dict[str, ssl.SSLContext] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._tls_contexts = {
            name: tls_context(self._ca_file, service.ca_file) for name, service in self._services.items()
        }
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "stampede"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def request_invitation(self, service: str, values: Mapping[str, str]) -> Json:
        """See Services. Raises ServiceRefused, ServiceUnreachable, TlsError or BadInvitation."""
        request = self._services[service].invitation
        with self._secrets_hidden():
            text, redirected = await self._send(service, "invitation", request, values)
            if redirected is not None:
                return redirected
            if request.found_at == "redirect":
                raise BadInvitation(f"{request.url} did not redirect to a URL with oob=, c_i= or d_m=")
            return invitation.from_response(text, request.found_at)

    async def request_revocation(self, service: str, values: Mapping[str, str]) -> None:
        """See Services. Raises ServiceRefused, ServiceUnreachable or TlsError."""
        request = self._services[service].revocation
        if request is None:
            raise ServiceRefused(f"stampede_services.{service} has no revocation request")
        with self._secrets_hidden():
            await self._send(service, "revocation", request, values)

    @contextlib.contextmanager
    def _secrets_hidden(self) -> Iterator[None]:
        """Remove secrets from the details of errors: a service may repeat them in its response."""
        try:
            yield
        except StepError as error:
            detail = error.detail
            for value in filter(None, self._secrets.values()):
                detail = detail.replace(value, "***")
            raise type(error)(detail) from None

    async def _send(
        self, service: str, kind: str, request: HttpRequest, values: Mapping[str, str]
    ) -> tuple[str, Json | None]:
        """Send one request; returns the body, and the invitation when a redirect carried one.

        Raises BadInput instead of sending anything to a host that must not be load-tested.
        """
        assert self._session is not None, "use HttpServices as a context manager"
        replacements = {**values, **self._secrets}
        url, headers = fill_in(request.url, replacements), dict(fill_in(request.headers, replacements))
        body = fill_in(request.body, replacements)
        where = f"stampede_services.{service}.{kind}.url is {request.url!r}"
        self._targets.check(where, url)
        data: bytes | None = None
        if isinstance(body, str):
            data = body.encode()
        elif body is not None:
            data = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        method = request.method
        try:
            for _ in range(MAX_REDIRECTS):
                async with self._session.request(
                    method,
                    url,
                    headers=headers,
                    data=data,
                    ssl=self._tls_contexts[service],
                    allow_redirects=False,
                ) as response:
                    if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                        previous, url = URL(url), urljoin(url, response.headers["Location"])
                        found = invitation.from_url(url)
                        if found is not None:
                            return "", found
                        self._targets.check(f"{where}, which redirects", url)
                        if URL(url).origin() != previous.origin():
                            headers = {}  # they may contain secrets for the first server only
                        if response.status in (301, 302, 303):
                            method, data = "GET", None
                        continue
                    text = await response.text()
                    if response.status >= 400:
                        raise ServiceRefused(f"{service} answered {response.status} {_first_line(text)}".rstrip())
                    return text, None
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
            raise TlsError(f"{service}: {error}") from error
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise ServiceUnreachable(f"{service}: {error or type(error).__name__}") from error
        raise ServiceRefused(f"{service} redirected more than {MAX_REDIRECTS} times")


def _first_line(text: str) -> str:
    line = text.strip().split("\n", 1)[0]
    return line if len(line) <= 160 else line[:157] + "..."


def string_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Values for ``fill_in``: None becomes empty text."""
    return {key: "" if value is None else str(value) for key, value in values.items()}
