"""Invitations as ACA-Py takes them (Aries RFC 0434): what services send is close to it, and made to fit here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from controller.services.invitation import Json, as_out_of_band, attached_message, did_keys
from stampede.schema.errors import BadInvitation, UnsupportedProtocol
from stampede.schema.invitation_urls import expiry
from stampede.schema.settings.targets import endpoints, written_in

OFFER, REQUEST = "/issue-credential/2.", "/present-proof/2."
"""Within the types of the messages that an invitation may carry: a credential offer, a presentation request."""
ELDER = {"/issue-credential/1.": "issue-credential 1.0", "/present-proof/1.": "present-proof 1.0"}
SCHEMES = ("https", "http", "wss", "ws")
"""The transports that agents have, the preferred ones first."""


def for_agent(message: Json, schemes: Sequence[str] = SCHEMES) -> Json:
    """An invitation as ACA-Py takes it; a connectionless message becomes one (see ``as_out_of_band``).

    Of several services the one with the first of ``schemes`` is chosen. Messages attached to it name it as the parent
    of their thread, without which ACA-Py drops them. A goal is left out that lacks its code, and so are images.
    Raises BadInvitation when it has expired or nobody could answer it, UnsupportedProtocol.
    """
    invitation = {name: value for name, value in as_out_of_band(message).items() if value is not None}
    for unused in ("imageUrl", "image_url", "profileUrl"):  # ACA-Py refuses an invitation for a picture of no URL
        invitation.pop(unused, None)
    if expired := expiry(invitation):
        raise BadInvitation(f"the invitation expired at {expired}")
    if "/out-of-band/" not in str(invitation.get("@type")):
        return invitation
    invitation["@id"] = str(invitation.get("@id") or uuid.uuid4())
    code = invitation.get("goal_code")
    invitation |= {"goal": invitation.get("goal") or code} if code else {}
    if not code:
        invitation.pop("goal", None)
    if isinstance(services := invitation.get("services"), list) and services:
        invitation["services"] = [_in_full(_chosen(services, schemes))]
    if attached := invitation.get("requests~attach"):
        invitation["requests~attach"] = _answerable(attached, str(invitation["@id"]))
    return invitation


def attached_thread(invitation: Json, kind: str) -> str | None:
    """The thread of the first message of a ``kind`` (OFFER, REQUEST) that an invitation carries, if any."""
    if "/out-of-band/" not in str(invitation.get("@type")):
        return None
    for attachment in invitation.get("requests~attach") or []:
        message = attachment["data"]["json"]
        if kind in str(message.get("@type")):
            return str(message["~thread"].get("thid") or message["@id"])
    return None


def needs_connections_plugin(invitation: Json) -> bool:
    """Whether an invitation can be accepted by Aries RFC 0160 only."""
    if "/connections/" in str(invitation.get("@type")):
        return True
    protocols = invitation.get("handshake_protocols")
    return isinstance(protocols, list) and bool(protocols) and "didexchange" not in str(protocols)


def _chosen(services: list[Any], schemes: Sequence[str]) -> Any:
    """The service with the most preferred transport; a DID, whose endpoint only the agent finds, is preferred."""
    ranked = [(rank, service) for service in services if (rank := _rank(service, schemes)) is not None]
    if not ranked:
        why = (
            "for which agents have no transport"
            if schemes == SCHEMES
            else "which stampede_mediator_pickup does not use"
        )
        raise BadInvitation(
            f"the invitation's services are at {', '.join(endpoints(services))}, {why}; it must be one of "
            f"{', '.join(schemes)}"
        )
    return min(ranked, key=lambda each: each[0])[1]


def _rank(service: Any, schemes: Sequence[str]) -> int | None:
    found = [url.partition("://")[0].lower() for url in endpoints(service, written_in)]
    ranks = [schemes.index(scheme) for scheme in found if scheme in schemes]
    return min(ranks) if ranks else None if found else 0


def _in_full(service: Any) -> Any:
    """A service with the form that ACA-Py expects: keys as did:key, one endpoint as text."""
    if not isinstance(service, dict):
        return service
    kept = {name: value for name, value in service.items() if value is not None}
    for name in ("recipientKeys", "routingKeys"):
        if kept.get(name):
            kept[name] = did_keys(kept, name, "its services")
    if not isinstance(kept.get("serviceEndpoint"), str) and (found := next(endpoints(service), None)):
        kept["serviceEndpoint"] = found
    return {"id": "#inline", "type": "did-communication"} | kept


def _answerable(attached: Any, parent: str) -> list[Json]:
    """The attached messages that a holder can answer, all of the thread ``parent``; when there is none of these, all.
    Raises UnsupportedProtocol when there are messages of an elder version only."""
    messages = [attached_message(each) for each in (attached if isinstance(attached, list) else [attached]) if each]
    kinds = [str(message.get("@type")) for message in messages]
    known = [message for message, kind in zip(messages, kinds, strict=True) if OFFER in kind or REQUEST in kind]
    if not known:
        for mark, name in ELDER.items():
            if any(mark in kind for kind in kinds):
                raise UnsupportedProtocol(
                    f"the invitation carries a message of {name}, which holders do not speak; it must be of 2.0"
                )
    return [
        {"@id": f"request-{number}", "mime-type": "application/json", "data": {"json": _of_thread(message, parent)}}
        for number, message in enumerate(known or messages)
    ]


def _of_thread(message: Json, parent: str) -> Json:
    thread = message.get("~thread")
    threaded = (thread if isinstance(thread, dict) else {}) | {"pthid": parent}
    return message | {"@id": str(message.get("@id") or uuid.uuid4()), "~thread": threaded}
