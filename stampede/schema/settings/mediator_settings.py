"""``stampede_mediator_invitation``: how holders come by the invitation of their mediator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stampede.schema.errors import BadInvitation
from stampede.schema.invitation_urls import carries_message, expiry, from_url
from stampede.schema.settings.request_reader import check_placeholders, read_request
from stampede.schema.settings.service_settings import MEDIATOR, Service
from stampede.schema.settings.targets import endpoints
from stampede.schema.settings.variable_reader import VariableReader, shown

VARIABLE = "stampede_mediator_invitation"
SCHEMES = ("https://", "http://", "wss://", "ws://")
"""How the endpoints begin that agents can reach."""


@dataclass(frozen=True, slots=True)
class MediatorInvitation:
    """The invitation itself, or the service that is asked for one."""

    message: Mapping[str, Any] | None = None
    service: Service | None = None


def read_mediator_invitation(reader: VariableReader) -> MediatorInvitation | None:
    """How the mediator's invitation is come by; None when there is none. What is wrong with it is noted."""
    value = reader.read("mediator_invitation")
    if not value:
        return None
    if did := reader.read("mediator_did"):
        reader.complain(
            f"{VARIABLE} is set, but stampede_mediator_did is {shown(did)} too; one of them must be left out"
        )
    if isinstance(value, str):
        if carries_message(value):
            return _carried(reader, value)
        value = {"url": value, "method": "GET"}
    if isinstance(value, Mapping) and ("@type" in value or carries_message(str(value.get("url", "")))):
        reader.complain(
            f"{VARIABLE} is a mapping with an invitation in it; it must be the URL that carries the invitation in "
            "oob= or c_i=, an https URL that leads to it, or a request"
        )
        return None
    request = read_request(reader, VARIABLE, "invitation", value)
    if request is None:
        return None
    if given := sorted(request.given()):
        reader.complain(
            f"{VARIABLE} uses ${{given:{given[0]}}}, but no script gives values to it; it must do without"
        )
    check_placeholders(reader, VARIABLE, "invitation", request, 0, False)
    return MediatorInvitation(service=Service(MEDIATOR, request))


def _carried(reader: VariableReader, url: str) -> MediatorInvitation | None:
    """The invitation that a URL carries."""
    try:
        message = from_url(url)
    except BadInvitation as error:
        reader.complain(f"{VARIABLE} is no invitation: {error.detail}")
        return None
    if message is None or "/invitation" not in str(message.get("@type") or message.get("type")):
        reader.complain(f"{VARIABLE} carries no invitation, but {shown(message)}; it must carry one in oob= or c_i=")
        return None
    if expired := expiry(message):
        reader.complain(f"{VARIABLE} carries an invitation that expired at {expired}; it must be one that has not")
    if "/out-of-band/" in str(message.get("@type")) and not _offers_connection(message.get("handshake_protocols")):
        reader.complain(
            f"{VARIABLE} carries an invitation without handshake_protocols that holders speak; it must offer a "
            "connection by didexchange or connections"
        )
    if wrong := _leads_nowhere(message):
        reader.complain(
            f"{VARIABLE} carries an invitation {wrong}; it must name a DID, or keys and an endpoint that starts with "
            f"{', '.join(SCHEMES)}"
        )
    return MediatorInvitation(message=message)


def _offers_connection(protocols: Any) -> bool:
    known = ("/didexchange/", "/connections/")
    return isinstance(protocols, list) and any(name in str(each) for each in protocols for name in known)


def _leads_nowhere(message: Mapping[str, Any]) -> str:
    """Why there is nobody to whom an invitation could be answered, to follow its name; empty when there may be."""
    services = message.get("services")
    named = [message, *(services if isinstance(services, list) else ())]
    if any(str(each).startswith("did:") for each in (*named, message.get("did"))):
        return ""
    found = list(endpoints(named))
    if not found:
        return "without a service"
    if not any(url.lower().startswith(SCHEMES) for url in found):
        return f"to {' and '.join(found)}"
    return ""
