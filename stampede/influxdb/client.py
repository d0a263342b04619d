"""Writes line protocol to InfluxDB through the API of InfluxDB 1, or the v2 API of 1.8, 2 and 3.

https://docs.influxdata.com/influxdb/v1/tools/api/#write-http-endpoint
https://docs.influxdata.com/influxdb/v2/api/v2/#operation/PostWrite
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urlencode

import urllib3

from stampede.machine.trust import tls_context
from stampede.schema.errors import BadInput
from stampede.schema.masking import Mask
from stampede.schema.settings.influxdb_settings import Influxdb
from stampede.schema.settings.secret_settings import no_token

CONNECT_TIMEOUT = 5.0
"""Seconds within which a connection must be established."""
READ_TIMEOUT = 20.0
"""Seconds within which the server must respond."""
MAX_RETRY_AFTER = 300
"""Upper limit of the seconds that a server can request with Retry-After."""
MAX_MESSAGE = 200
"""Characters of a response that are shown."""


@dataclass(frozen=True, slots=True)
class Response:
    """The result of a request."""

    status: int
    """HTTP status; 0 if there was no response."""
    message: str = ""
    """The server's error message, or why there was no response."""
    retry_after: float = 0.0
    """Seconds that the server asked to wait before the next attempt."""
    untrusted: bool = False
    """Whether there was no response because the server's certificate is not trusted."""
    foreign: bool = False
    """Whether something else than such a server answered, whatever the status; ``message`` says how that shows."""

    @property
    def excerpt(self) -> str:
        """The message, shortened if it is long."""
        return self.message if len(self.message) <= MAX_MESSAGE else f"{self.message[:MAX_MESSAGE]} ..."

    @property
    def ok(self) -> bool:
        """Whether everything was accepted."""
        return 200 <= self.status < 300 and not self.foreign

    @property
    def temporary(self) -> bool:
        """Whether a later attempt may succeed without anybody fixing something."""
        return (self.status in (0, 429) or self.status >= 500) and not self.untrusted


class Server(Protocol):
    """An InfluxDB that lines can be written to."""

    def write(self, lines: bytes) -> Response:
        """Write lines of line protocol, each with its newline and a timestamp in nanoseconds. Never raises an
        exception because of what the server does."""


def connect(target: Influxdb, secret: str) -> Server:
    """A client of the API that the settings imply; ``secret`` is the password or the token. Sends nothing yet.

    Raises BadInput if the CA file or the token cannot be used.
    """
    if target.bucket and (problems := no_token(secret)):
        raise BadInput(*problems)
    try:
        context = tls_context(target.ca_file)
    except OSError:
        raise BadInput(
            f"stampede_influxdb_ca_file is {target.ca_file!r}; it must be a PEM file that can be read"
        ) from None
    server = InfluxdbV2(target, secret, context) if target.bucket else InfluxdbV1(target, secret, context)
    return _Discreet(server, Mask([secret]))


def describe(target: Influxdb) -> str:
    """The server, and the bucket or database to which points are written, in words."""
    where = f"bucket {target.bucket}" if target.bucket else f"database {target.database}"
    return f"InfluxDB at {target.url} ({where})"


def failure_message(target: Influxdb, response: Response) -> str:
    """The text, without a full stop, of an error message about a response that is not ok."""
    meanings = {
        401: "user, password or token is wrong",
        403: "the user or token may not write there",
        404: "there is no such database, bucket or organization, or no InfluxDB",
    }
    return in_words(describe(target), response, meanings)


def in_words(name: str, response: Response, meanings: Mapping[int, str]) -> str:
    """What a server called ``name`` answered; ``meanings`` is what a status means there."""
    if not response.status:
        return f"{name} cannot be reached: {response.excerpt}"
    said = ": ".join(part for part in (meanings.get(response.status), response.excerpt) if part)
    return f"{name} answered {response.status}" + (f": {said}" if said else "")


class _Discreet:
    """A server whose messages do not repeat the password or token."""

    def __init__(self, server: Server, mask: Mask) -> None:
        self._server = server
        self._mask = mask

    def write(self, lines: bytes) -> Response:
        """See ``Server``."""
        response = self._server.write(lines)
        return replace(response, message=self._mask(response.message))


class InfluxdbV1:
    """``POST /write`` of InfluxDB 1, with HTTP basic authentication."""

    def __init__(self, target: Influxdb, password: str, context: ssl.SSLContext) -> None:
        self._url = f"{target.url}/write?{urlencode({'db': target.database, 'precision': 'ns'})}"
        self._headers = {"Content-Encoding": "gzip", "User-Agent": "Stampede"}
        if target.user:  # in UTF-8, as InfluxDB reads it: make_headers(basic_auth=...) of urllib3 takes Latin-1 alone
            login = base64.b64encode(f"{target.user}:{password}".encode()).decode()
            self._headers["authorization"] = f"Basic {login}"
        self._pool = urllib3.PoolManager(
            ssl_context=context,
            retries=False,  # neither retries nor redirects: the caller decides
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
        )

    def write(self, lines: bytes) -> Response:
        """See ``Server``."""
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=gzip.compress(lines, compresslevel=1),
                headers=self._headers,
            )
        except urllib3.exceptions.HTTPError as error:
            return no_answer(error)
        return answer(response.status, response.data, response.headers)


class InfluxdbV2:
    """``POST /api/v2/write`` with InfluxData's own client."""

    def __init__(self, target: Influxdb, token: str, context: ssl.SSLContext) -> None:
        from influxdb_client.client.influxdb_client import InfluxDBClient
        from influxdb_client.client.write_api import SYNCHRONOUS

        self._bucket = target.bucket
        self._api = InfluxDBClient(
            target.url,
            token.encode().decode("latin-1"),  # http.client sends headers in Latin-1, and InfluxDB reads UTF-8
            org=target.org,
            enable_gzip=True,
            ssl_context=context,
            timeout=(CONNECT_TIMEOUT * 1e3, READ_TIMEOUT * 1e3),
        ).write_api(SYNCHRONOUS)

    def write(self, lines: bytes) -> Response:
        """See ``Server``."""
        from influxdb_client.rest import ApiException

        try:
            self._api.write(self._bucket, record=lines)
        except ApiException as error:
            if not error.status:
                return no_answer(error)
            return answer(error.status, error.body, error.headers)
        except urllib3.exceptions.HTTPError as error:
            return no_answer(error)
        return Response(204)


def answer(status: int, body: bytes | str | None, headers: Mapping[str, str] | None) -> Response:
    """What a server answered."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    with contextlib.suppress(ValueError, RecursionError):
        document: Any = json.loads(text)
        if isinstance(document, dict):
            text = str(document.get("error") or document.get("message") or text)
    wait = (headers or {}).get("Retry-After")
    seconds = 0.0
    if wait:
        with contextlib.suppress(urllib3.exceptions.InvalidHeader):
            seconds = urllib3.Retry(retry_after_max=MAX_RETRY_AFTER).parse_retry_after(wait)
    return Response(status, " ".join(text.split()), seconds)


def no_answer(error: BaseException) -> Response:
    """Why there was none: the innermost cause of an error of urllib3, or of requests, which is made of it."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        message = f"its certificate is not trusted ({error.verify_message.rstrip('.')})"
        return Response(0, message, untrusted=True)
    if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError):
        return Response(0, "it did not answer in time")
    return Response(0, getattr(error, "strerror", None) or str(error) or type(error).__name__)
