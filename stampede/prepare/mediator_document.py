"""The DID document of the mediator, as the control node sees it before a run."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from stampede.prepare.fetching import Fetched, NotFetched, fetch
from stampede.schema.settings.request_settings import MAX_REDIRECTS
from stampede.schema.settings.targets import Targets, did_web_url, endpoints

DIDCOMM = frozenset({"did-communication", "DIDCommMessaging"})
"""Types of services that a holder's agent can send messages to."""

PICKUP_SCHEMES = {"websocket": ("ws", "wss"), "http": ("http", "https")}
"""By ``stampede_mediator_pickup``: one of these must be the scheme of an endpoint."""


def mediator_problem(did: str, targets: Targets, *ca_files: str, pickup: str = "none") -> str:
    """Why the mediator's DID cannot be used, or leads to a host that may not be put under load; empty when all is
    well, or when only the agents can tell. ``pickup``: how holders get their messages from it."""
    if not did.startswith("did:web:"):
        return ""
    url = did_web_url(did)
    try:
        url, answer = _follow(url, targets, *ca_files)
    except NotFetched as error:
        return f"{url}: {error}"
    if answer.status != 200:
        return f"{url} answered {answer.status}; it must hold the DID's document"
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return f"{url} does not hold JSON"
    if not isinstance(document, dict) or not _is_of(document, did):
        return f"the document at {url} is not that of this DID"
    services = didcomm_services(document)
    if not services:
        return f"the document at {url} has no service of type did-communication"
    named = list(endpoints(services))
    for endpoint in named:
        if refusal := targets.refusal(endpoint):
            return f"its document names the endpoint {endpoint}, {refusal}"
    return unfit_for_pickup(named, pickup)


def unfit_for_pickup(named: Collection[str], pickup: str) -> str:
    """Why none of a mediator's endpoints can be used in the way that the setting wants; empty when one can."""
    schemes = PICKUP_SCHEMES.get(pickup)
    if not schemes or any(endpoint.partition(":")[0].lower() in schemes for endpoint in named):
        return ""
    found = " and ".join(named) or "none"
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    return (
        f"the endpoint that its document names is {found}, but stampede_mediator_pickup is {pickup}; one must start "
        f"with {wanted}"
    )


def didcomm_services(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The services of a DID document that take messages. DID Core (https://www.w3.org/TR/did-1.0/#services) has them
    in a list, each with one type or several; some documents have a single one without the list."""
    found = document.get("service")
    services = found if isinstance(found, list) else [found]
    return [service for service in services if isinstance(service, dict) and DIDCOMM & _types(service)]


def _types(service: dict[str, Any]) -> set[str]:
    kinds = service.get("type")
    return {kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)}


def _is_of(document: dict[str, Any], did: str) -> bool:
    """Whether a document is that of a DID, however the DID's percent-encoding is written."""
    subject = document.get("id")
    return isinstance(subject, str) and unquote(subject.rstrip("#")) == unquote(did)


def _follow(url: str, targets: Targets, *ca_files: str) -> tuple[str, Fetched]:
    """The answer at the end of the redirects, and where that is. Raises NotFetched."""
    for _ in range(MAX_REDIRECTS + 1):
        answer = fetch(url, *ca_files)
        if not answer.location:
            return url, answer
        try:
            leads_to = urljoin(url, answer.location)
            scheme = urlsplit(leads_to).scheme
        except ValueError:
            raise NotFetched(f"it is redirected to {answer.location!r}, which is no URL") from None
        if scheme != "https":
            raise NotFetched(f"it is redirected to {leads_to}, which is not an https URL")
        if refusal := targets.refusal(leads_to):
            raise NotFetched(f"its document is redirected to {leads_to}, {refusal}")
        url = leads_to
    raise NotFetched(f"it redirects more than {MAX_REDIRECTS} times")
