"""Addresses of web servers and hosts, as settings name them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

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


def holds_login(url: str) -> bool:
    """Whether an http or https URL has a user or password in it."""
    parts = web_address(url)
    return parts is not None and bool(parts.username or parts.password)


def is_loopback(host: str | None) -> bool:
    """Whether a URL's host is this machine: what goes there is seen by nobody else, so it need not be encrypted."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def bare_host(text: str) -> str:
    """A host's name or IP address; an IPv6 address may be given in brackets, as in a URL.

    Raises ValueError for all else, such as a host with a port, or an address that needs a zone (``%eth0``).
    """
    if "%" in text:
        raise ValueError(text)
    if text.startswith("[") and text.endswith("]"):
        return str(ipaddress.IPv6Address(text[1:-1]))
    if ":" in text:
        return str(ipaddress.IPv6Address(text))
    if re.fullmatch(r"[0-9.]+", text):
        return str(ipaddress.IPv4Address(text))
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
        raise ValueError(text)
    return text


def is_reached_at(host: str, bind: str) -> bool:
    """Whether ``host`` leads to a server that listens at ``bind``; of names, and of addresses beyond this machine,
    which may be translated on their way, only the network can tell.

    >>> is_reached_at("::1", "127.0.0.1")
    False
    """
    try:
        wanted, listening = ipaddress.ip_address(host), ipaddress.ip_address(bind)
    except ValueError:
        return True
    all_addresses = listening.is_unspecified and listening.version == wanted.version
    return not wanted.is_loopback or wanted == listening or all_addresses


def in_url(host: str) -> str:
    """A host as a URL has it: an IPv6 address in brackets.

    >>> in_url("::1")
    '[::1]'
    """
    return f"[{host}]" if ":" in host else host
