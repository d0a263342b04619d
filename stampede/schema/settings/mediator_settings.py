"""``stampede_mediator_invitation``: how holders come by the invitation of their mediator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stampede.schema.errors import BadInvitation
from stampede.schema.invitation_urls import carries_message, expiry, from_url
from stampede.schema.settings.request_reader import check_placeholders, read_request
from stampede.schema.settings.service_settings import MEDIATOR, Service
from stampede.schema.settings.variable_reader import VariableReader, shown

VARIABLE = "stampede_mediator_invitation"


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
    if message.get("handshake_protocols") in (None, []) and "/out-of-band/" in str(message.get("@type")):
        reader.complain(f"{VARIABLE} carries an invitation without handshake_protocols; it must offer a connection")
    return MediatorInvitation(message=message)
