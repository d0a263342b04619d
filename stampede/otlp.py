"""An OpenTelemetry collector, as control node and load hosts see it: requests to it, and its answers in words.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import requests
import urllib3

from stampede.influxdb.client import CONNECT_TIMEOUT, READ_TIMEOUT, Response, answer, in_words, no_answer
from stampede.machine.web_session import WebSession
from stampede.schema.errors import BadInput
from stampede.schema.masking import Mask
from stampede.schema.settings.otlp_settings import Otlp

PROTOBUF, JSON = "application/x-protobuf", "application/json"
MEDIA_TYPE = re.compile(r"[a-z0-9.+_-]{1,60}/[a-z0-9.+_-]{1,60}")
LONGEST_ANSWER = 65_536
"""Bytes of an answer that are read."""
PATH = "the path of stampede_otlp_url usually ends with /v1/metrics"
MEANINGS = {
    401: "what stampede_otlp_headers has does not let anybody in",
    403: "who stampede_otlp_headers stands for may not write there",
    404: f"nothing takes metrics there; {PATH}",
}


def failure_message(target: Otlp, response: Response) -> str:
    """The text, without a full stop, of an error message about a response that is not ok."""
    return in_words(target.name, response, MEANINGS) + (f"; {PATH}" if response.foreign else "")


@dataclass(frozen=True)
class Message:
    """What a receiver answers with, which is for whom knows the messages of OpenTelemetry."""

    body: bytes = b""
    is_json: bool = False


def judged(status: int, content: bytes, headers: Mapping[str, str]) -> tuple[Response, Message]:
    """What an answer is, and its message; the response has none when that is in protobuf.

    A page of a login or of a proxy is no acknowledgement, though its status is 200. An empty body is one: the message
    that says that all was taken is empty in protobuf, and some send it without a type.
    """
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if 200 <= status < 300 and content and kind not in (PROTOBUF, JSON):
        found = kind if MEDIA_TYPE.fullmatch(kind) else "a body without a valid content type"
        why = f"it sent {found}, where an OTLP receiver sends {PROTOBUF}, {JSON} or nothing"
        return Response(status, why, foreign=True), Message()
    response = answer(status, b"" if kind == PROTOBUF else content, headers)
    return response, Message(content, kind == JSON) if kind in (PROTOBUF, JSON) else Message()


class OtlpSession(WebSession):
    """A session that remembers how its newest request went, and reads no more of an answer than is of use.

    Redirects are not followed: headers with secrets would go along.
    """

    def __init__(self, target: Otlp) -> None:
        """Raises BadInput when the CA file cannot be used."""
        try:
            super().__init__(target.ca_file)
        except OSError:
            raise BadInput(
                f"stampede_otlp_ca_file is {target.ca_file!r}; it must be a PEM file that can be read"
            ) from None
        self.response = Response(0, "nothing was sent")
        self.message = Message()
        """Of that response."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: otherwise requests reads all of a redirect's body even when it is not to follow it."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """See requests."""
        self.message = Message()
        try:
            found = super().send(request, **options | {"stream": True})
            content = _beginning(found)
        except Exception as error:
            self.response = no_answer(error)
            raise
        self.response, self.message = judged(found.status_code, content, found.headers)
        found.raw = io.BytesIO(content)
        found.reason = ""  # OpenTelemetry's exporter logs it, and a server may repeat a header in it
        return found


def post_nothing(target: Otlp, secrets: Mapping[str, str]) -> Response:
    """The answer to a request without any metrics, which is an empty message of protobuf.

    Raises BadInput when the CA file cannot be used, or no request can be sent to the URL.
    """
    headers = {"Content-Type": PROTOBUF, "User-Agent": "Stampede"} | target.headers_with(secrets)
    with OtlpSession(target) as session, contextlib.suppress(OSError, urllib3.exceptions.HTTPError):
        try:
            session.post(target.url, data=b"", headers=headers, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
        except ValueError:  # a host that none can be, which requests tells in several ways
            raise BadInput(f"stampede_otlp_url is {target.url!r}, which no request can be sent to") from None
    return replace(session.response, message=Mask(secrets.values())(session.response.message))


def _beginning(found: requests.Response) -> bytes:
    """As much of an answer as is read. Raises TimeoutError when it comes too slowly."""
    deadline, body = time.monotonic() + READ_TIMEOUT, bytearray()
    with contextlib.closing(found.raw) as raw:
        while len(body) < LONGEST_ANSWER and (piece := raw.read1(LONGEST_ANSWER - len(body), decode_content=True)):
            body += piece
            if time.monotonic() > deadline:
                raise TimeoutError
    return bytes(body)
