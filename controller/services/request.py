"""A request to a service as it is sent."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from dataclasses import dataclass

from multidict import CIMultiDict
from yarl import URL


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is sent, its placeholders filled in."""

    service: str
    where: str
    """The setting that it comes from and its value, for messages."""
    method: str
    url: URL
    headers: CIMultiDict[str]
    body: bytes | None
    tls: ssl.SSLContext
    for_invitation: bool = False
    """Whether a redirect to a URL that carries an invitation is the answer."""
    secret_headers: Collection[str] = ()
    """Headers, in lower case, that hold secrets: they go to no other server, whatever their name."""
