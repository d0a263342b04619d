"""Writing line protocol to InfluxDB: by the API of InfluxDB 1, or by the v2 API of 1.8, 2 and 3.

https://docs.influxdata.com/influxdb/v1/tools/api/#write-http-endpoint
https://docs.influxdata.com/influxdb/v2/api/v2/#operation/PostWrite
"""

from __future__ import annotations

import contextlib
import gzip
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

import urllib3

from stampede.schema.errors import BadInput
from stampede.schema.settings.influxdb_settings import Influxdb

CONNECT_LIMIT = 5.0
"""Seconds in which a connection must come about."""
ANSWER_LIMIT = 20.0
"""Seconds that the server may take to answer."""
MOST_PATIENCE = 300
"""Seconds for which a server may ask to be left alone."""
MOST_WORDS = 200
"""Characters of an answer that are told."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request."""

    status: int
    """HTTP status; 0 when there was no answer."""
    words: str = ""
    """What the server said of it, or why there was no answer."""
    retry_after: float = 0.0
    """Seconds for which the server asked to be left alone."""
    untrusted: bool = False
    """Whether there was no answer because the server's certificate is not trusted."""

    @property
    def in_short(self) -> str:
        """The first of its words."""
        return self.words if len(self.words) <= MOST_WORDS else f"{self.words[:MOST_WORDS]} ..."

    @property
    def ok(self) -> bool:
        """Whether all was taken."""
        return 200 <= self.status < 300

    @property
    def passing(self) -> bool:
        """Whether it may soon be another by itself; for the others somebody must do something."""
        return (self.status in (0, 429) or self.status >= 500) and not self.untrusted


class Server(Protocol):
    """An InfluxDB that lines can be written to."""

    def write(self, lines: bytes) -> Answer:
        """Write lines of line protocol, each with its newline and with a timestamp in nanoseconds. Raises nothing
        because of what the server does."""


def connect(target: Influxdb, secret: str) -> Server:
    """The server, by the API that its settings say; ``secret`` is the password or the token. Sends nothing yet.

    Raises BadInput when the CA file cannot be used.
    """
    context = ssl.create_default_context()
    if target.ca_file:
        try:
            context.load_verify_locations(target.ca_file)
        except OSError:
            raise BadInput(
                f"stampede_influxdb_ca_file is {target.ca_file!r}; it must be a PEM file that can be read"
            ) from None
    return InfluxdbV2(target, secret, context) if target.bucket else InfluxdbV1(target, secret, context)


def describe(target: Influxdb) -> str:
    """The server and where in it points go, in words."""
    where = f"bucket {target.bucket}" if target.bucket else f"database {target.database}"
    return f"InfluxDB at {target.url} ({where})"


def complaint(target: Influxdb, answer: Answer) -> str:
    """A sentence's worth about an answer that is not ok."""
    name = describe(target)
    if not answer.status:
        return f"{name} cannot be reached: {answer.in_short}"
    meaning = {
        401: "user, password or token is wrong",
        403: "the user or token may not write there",
        404: "there is no such database, bucket or organization, or no InfluxDB",
    }.get(answer.status)
    said = ": ".join(part for part in (meaning, answer.in_short) if part)
    return f"{name} answered {answer.status}" + (f": {said}" if said else "")


class InfluxdbV1:
    """``POST /write`` of InfluxDB 1, user and password by HTTP basic authentication."""

    def __init__(self, target: Influxdb, password: str, context: ssl.SSLContext) -> None:
        self._url = f"{target.url}/write?{urlencode({'db': target.database, 'precision': 'ns'})}"
        self._headers = {"Content-Encoding": "gzip", "User-Agent": "Stampede"}
        if target.user:
            self._headers |= urllib3.make_headers(basic_auth=f"{target.user}:{password}")
        self._pool = urllib3.PoolManager(
            ssl_context=context,
            retries=False,  # neither retries nor redirects: what it means is not decided here
            timeout=urllib3.Timeout(connect=CONNECT_LIMIT, read=ANSWER_LIMIT),
        )

    def write(self, lines: bytes) -> Answer:
        """See ``Server``."""
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=gzip.compress(lines, compresslevel=1),
                headers=self._headers,
            )
        except urllib3.exceptions.HTTPError as error:
            return _no_answer(error)
        return _answer(response.status, response.data, response.headers)


class InfluxdbV2:
    """``POST /api/v2/write`` by InfluxData's own client."""

    def __init__(self, target: Influxdb, token: str, context: ssl.SSLContext) -> None:
        from influxdb_client.client.influxdb_client import InfluxDBClient
        from influxdb_client.client.write_api import SYNCHRONOUS

        self._bucket = target.bucket
        self._api = InfluxDBClient(
            target.url,
            token,
            org=target.org,
            enable_gzip=True,
            ssl_context=context,
            timeout=(CONNECT_LIMIT * 1e3, ANSWER_LIMIT * 1e3),
        ).write_api(SYNCHRONOUS)

    def write(self, lines: bytes) -> Answer:
        """See ``Server``."""
        from influxdb_client.rest import ApiException

        try:
            self._api.write(self._bucket, record=lines)
        except ApiException as error:
            if not error.status:
                return _no_answer(error)
            return _answer(error.status, error.body, error.headers)
        except urllib3.exceptions.HTTPError as error:
            return _no_answer(error)
        return Answer(204)


def _answer(status: int, body: bytes | str | None, headers: Mapping[str, str] | None) -> Answer:
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    with contextlib.suppress(ValueError):
        document: Any = json.loads(text)
        if isinstance(document, dict):
            text = str(document.get("error") or document.get("message") or text)
    wait = (headers or {}).get("Retry-After")
    seconds = 0.0
    if wait:
        with contextlib.suppress(urllib3.exceptions.InvalidHeader):
            seconds = urllib3.Retry(retry_after_max=MOST_PATIENCE).parse_retry_after(wait)
    return Answer(status, " ".join(text.split()), seconds)


def _no_answer(error: BaseException) -> Answer:
    """What the innermost cause of an error of urllib3 says."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        words = f"its certificate is not trusted ({error.verify_message.rstrip('.')})"
        return Answer(0, words, untrusted=True)
    if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError):
        return Answer(0, "it did not answer in time")
    return Answer(0, getattr(error, "strerror", None) or str(error) or type(error).__name__)
