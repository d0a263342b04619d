"""Addresses of web servers, as settings name them."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Host names of this machine: what goes there is seen by nobody else, so it need not be encrypted."""

_UNFIT = re.compile(r"[\s\\\x00-\x1f\x7f]")
"""What no URL may hold: urlsplit would drop some of it without a word, clients take it for different things."""


def web_address(url: str) -> SplitResult | None:
    """The parts of an http or https URL with a host and, if any, a valid port; None for all else."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not _UNFIT.search(url)
    except ValueError:
        return None
    return parts if good else None
