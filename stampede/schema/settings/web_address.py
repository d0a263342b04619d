"""Addresses of web servers, as settings name them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Host names of this machine: what goes there is seen by nobody else, so it need not be encrypted."""


def web_address(url: str) -> SplitResult | None:
    """The parts of an http or https URL with a host and, if any, a valid port; None for all else."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        return None
    return parts if good else None
