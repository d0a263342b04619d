"""Requests of the control node before a run: bounded in time and size, and every failure one sentence.

They are made on the terms of those of load hosts: the same certificate authorities are trusted, and neither proxies
nor logins are taken from this machine's environment and files (HTTPS_PROXY, REQUESTS_CA_BUNDLE, ~/.netrc).
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import Any

import requests
import urllib3

from stampede.machine.web_session import WebSession
from stampede.prepare.ca_checks import tls_advice

TIMEOUT = 10.0
"""Seconds for each request, its answer included."""
MAX_ANSWER = 2**20
"""Bytes of an answer, unpacked."""
CHUNK = 65_536


class NotFetched(Exception):
    """Why there was no usable answer, to follow "but" in a sentence."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server answered; of a HEAD request no body."""

    status: int
    location: str
    """Where a redirect leads; empty when it is none."""
    body: bytes


def fetch(url: str, *ca_files: str, method: str = "GET") -> Fetched:
    """One request, without following redirects. Raises NotFetched.

    It is sent in a thread of its own, which is left alone when the time is over: neither the resolving of names nor
    an answer that comes byte by byte could be cut off otherwise.
    """
    results: queue.SimpleQueue[Fetched | Exception] = queue.SimpleQueue()

    def put_result() -> None:
        try:
            results.put(_request(url, ca_files, method))
        except Exception as error:
            results.put(error)

    threading.Thread(target=put_result, daemon=True).start()
    try:
        result = results.get(timeout=TIMEOUT)
    except queue.Empty:
        raise NotFetched(f"it did not answer within {TIMEOUT:g} s") from None
    if isinstance(result, Exception):
        raise result
    return result


def _request(url: str, ca_files: tuple[str, ...], method: str) -> Fetched:
    try:
        with (
            WebSession(*ca_files) as control_node,
            control_node.request(method, url, timeout=TIMEOUT, allow_redirects=False, stream=True) as answer,
        ):
            location = answer.headers.get("Location", "") if answer.is_redirect else ""
            return Fetched(answer.status_code, location, _body(answer))
    except requests.exceptions.SSLError as error:
        advice = tls_advice(_cause(error), "name the CA's PEM file in stampede_ca_file or the service's ca_file")
        raise NotFetched(f"its certificate is not trusted ({_cause(error)}); {advice}") from error
    except (requests.exceptions.Timeout, TimeoutError) as error:
        raise NotFetched(f"it did not answer within {TIMEOUT:g} s") from error
    except requests.exceptions.ContentDecodingError as error:
        raise NotFetched(f"what it answered cannot be unpacked ({_cause(error)})") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(_innermost(error), TimeoutError | urllib3.exceptions.ReadTimeoutError):
            raise NotFetched(f"it did not answer within {TIMEOUT:g} s") from error
        raise NotFetched(f"it cannot be reached ({_cause(error)})") from error
    except ValueError as error:  # a host or port that none can be, which libraries tell in many ways
        raise NotFetched(f"it cannot be requested ({_cause(error)})") from error


def _body(answer: requests.Response) -> bytes:
    """The body of an answer. Raises NotFetched when there is no end to it."""
    body = bytearray()
    for piece in answer.iter_content(CHUNK):
        body += piece
        if len(body) > MAX_ANSWER:
            raise NotFetched(f"it answered with more than {MAX_ANSWER:,} bytes, the most that are taken")
    return bytes(body)


def _innermost(error: BaseException) -> BaseException:
    """The innermost reason of an exception of requests or urllib3."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or (reason.args[0] if getattr(reason, "args", None) else None)
        if not isinstance(inner, BaseException):
            return reason  # type: ignore[no-any-return]
        reason = inner


def _cause(error: BaseException) -> str:
    """The innermost reason, in a few words."""
    reason: Any = _innermost(error)
    text = str(getattr(reason, "strerror", None) or reason).rsplit("] ", 1)[-1].split(" (_ssl")[0].split(": ", 1)[-1]
    text = " ".join((text if "(" in text else text.rstrip(")")).split())
    return text[:200] or type(reason).__name__
