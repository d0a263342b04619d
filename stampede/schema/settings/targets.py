"""Which hosts may be loaded: this machine itself, and those that the user named in ``stampede_allowed_targets``.

Names are compared as names, without asking any DNS: who names a host vouches for the addresses that it has.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

import base58
import idna
from yarl import URL

from stampede.schema.errors import BadInput

LOOPBACK = ("localhost", "127.0.0.0/8", "::1")
"""What may always be loaded."""
VARIABLE = "stampede_allowed_targets"
LONGEST_DID = 20_000
"""Characters of a DID that holds a document; decoding base58 takes the square of them."""

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ENTRY = re.compile(r"(?:\[([^\]]+)\]|([^:]+))(?::([0-9]{1,5}))?|(.*:.*)")  # [IPv6], a name or IPv4, a port; IPv6
_NAME = re.compile(r"([a-z0-9_*?-]+\.)*(?=[^.]*[a-z])[a-z0-9_-]+")
_RIGHT = (
    "it must be a host (issuer.example.org), a pattern (*.test.example.org), an address (192.0.2.7) or a network "
    "(192.0.2.0/24), and not all there are; a port may follow, as in issuer.example.org:8443"
)


class Targets:
    """The hosts that may be loaded. Raises BadInput for an entry that is none, or that would allow any host."""

    def __init__(self, entries: Iterable[str]) -> None:
        rules = [_rule(entry) for entry in (*LOOPBACK, *entries)]
        self._names = [(what, port) for what, port in rules if isinstance(what, str)]
        self._networks = [(what, port) for what, port in rules if not isinstance(what, str)]

    def allows(self, host: str, port: int | None = None) -> bool:
        """Whether a host, by name or address, may be loaded at a port."""
        host = host.lower().removesuffix(".")
        address = _address(host)
        if address is not None:
            return any(address in network and wanted in (None, port) for network, wanted in self._networks)
        return any(fnmatchcase(host, name) and wanted in (None, port) for name, wanted in self._names)

    def refusal(self, url: str | URL) -> str:
        """Why a URL may not be requested, as the end of a sentence; empty when it may."""
        parsed = readable(url)
        if parsed is None:
            return "but no host can be read in it, so that it is not requested"
        host = str(parsed.raw_host)
        if self.allows(host, parsed.port):
            return ""
        named = parsed.host_port_subcomponent if parsed.explicit_port else host
        return f"but {named} is not among the hosts that may be loaded; if it is yours to load, add it to {VARIABLE}"

    def check(self, what: str, url: str | URL) -> None:
        """Raise BadInput, with ``what`` as the sentence's beginning, when a URL may not be requested."""
        if refusal := self.refusal(url):
            raise BadInput(f"{what}, {refusal}")


def readable(url: str | URL) -> URL | None:
    """A URL; None when no host can be read in it."""
    with contextlib.suppress(ValueError):
        parsed = URL(url)
        if parsed.raw_host and parsed.raw_host.isprintable():
            return parsed
    return None


def _rule(entry: str) -> tuple[str | Network, int | None]:
    """An entry as a pattern of names, or as a network, and its port. Raises BadInput."""
    match = _ENTRY.fullmatch(entry.strip().lower())
    if match:
        text, port = (match[1] or match[2] or match[4]).removesuffix("."), int(match[3] or 0)
        with contextlib.suppress(ValueError):
            network = ipaddress.ip_network(text)
            if network.prefixlen and port <= 65535:
                return network, port or None
        if _NAME.fullmatch(text) and port <= 65535:
            return text, port or None
    if ascii_form := _in_ascii(entry):
        raise BadInput(f"{VARIABLE} has {entry!r}; it must be written as requests have it: {ascii_form}")
    raise BadInput(f"{VARIABLE} has {entry!r}; {_RIGHT}")


def _in_ascii(entry: str) -> str:
    """An internationalized host name in its ASCII form (punycode, RFC 5891); empty for anything else."""
    if entry.isascii():
        return ""
    host, colon, port = entry.strip().partition(":")
    labels = re.split("[.\u3002\uff0e\uff61]", host)  # all the dots of IDNA
    try:
        encoded = [label if label.isascii() else idna.encode(label, uts46=True).decode() for label in labels]
    except idna.IDNAError:
        return ""
    name = ".".join(encoded).lower()
    return f"{name}{colon}{port}" if _NAME.fullmatch(name) and re.fullmatch("[0-9]*", port) else ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


# ------------------------------------------- what a DID or an invitation would have the holder's agent request


def did_web_url(did: str) -> str:
    """Where the document of a ``did:web`` lies (https://w3c-ccg.github.io/did-method-web/).

    >>> did_web_url("did:web:example.org%3A8443:mediator")
    'https://example.org:8443/mediator/did.json'
    """
    host, *path = (unquote(part) for part in did.removeprefix("did:web:").split(":"))
    return f"https://{host}/{'/'.join(path) if path else '.well-known'}/did.json"


def did_urls(did: str) -> list[str]:
    """The URLs that a DID names by itself: where its document lies (did:web), or the endpoints written in it."""
    return [did_web_url(did.split("#")[0].split("?")[0])] if did.startswith("did:web:") else written_in(did)


def written_in(did: str) -> list[str]:
    """The endpoints that are written in a DID itself (did:peer:2 and did:peer:4,
    https://identity.foundation/peer-did-method-spec/); none where a document has to be fetched."""
    did = did.split("#")[0].split("?")[0]
    try:
        if did.startswith("did:peer:2"):
            services = [json.loads(_base64url(part[1:])) for part in did.split(".")[1:] if part.startswith("S")]
            return list(endpoints(services))
        if did.startswith("did:peer:4") and did.count(":") == 3 and len(did) < LONGEST_DID:
            document = json.loads(base58.b58decode(did.rsplit(":", 1)[1][1:])[2:])  # multibase z, multicodec json
            return list(endpoints(document.get("service")))
    except (ValueError, AttributeError, RecursionError):
        pass  # no DID that an agent could make anything of
    return []


def invitation_urls(invitation: dict[str, Any]) -> list[str]:
    """The URLs that an invitation (Aries RFCs 0434, 0160) names: endpoints of services that stand in it, and what
    its DIDs name. What else an agent comes to request, its own egress guard looks at (``controller.agents``)."""
    urls = list(endpoints([invitation.get("services"), invitation]))
    return urls + did_urls(str(invitation.get("did") or ""))


def endpoints(service: Any, of_did: Callable[[str], list[str]] = did_urls) -> Iterator[str]:
    """Endpoints within services of all forms: DIDs, mappings by their long or short names, lists of those."""
    if isinstance(service, str):
        yield from of_did(service) if service.startswith("did:") else [service] if "://" in service else []
    elif isinstance(service, list):
        for item in service:
            yield from endpoints(item, of_did)
    elif isinstance(service, dict):
        for key in ("serviceEndpoint", "s", "uri"):
            yield from endpoints(service.get(key), of_did)


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
