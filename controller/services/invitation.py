"""Out-of-band invitations (Aries RFC 0434) in the forms in which services return them.

What comes from a service may have any shape: it is taken, or refused with BadInvitation, and nothing else is raised.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import base58

from controller.services.answer import at_pointer, json_or_text
from stampede.schema.errors import BadInvitation
from stampede.schema.invitation_urls import Json as Json
from stampede.schema.invitation_urls import carries_message as carries_message
from stampede.schema.invitation_urls import decoded, first_of
from stampede.schema.invitation_urls import from_url as from_url

MOST_VALUES = 10_000
"""Values of a response in which an invitation is looked for."""
DEEPEST_VALUE = 8
"""Levels below the whole response at which an invitation is looked for, JSON within a text counted."""

BASE64_JSON = "eyJ"
"""How base64 of a JSON object begins."""
LONGEST_KEY = 44
"""Characters of a key of 32 bytes in base58."""


class Invitation(dict[str, Any]):
    """An invitation, and what else its service answered with it."""

    answer: Mapping[str, Any]
    """What later requests to the service use of the answer, by the names of their placeholders."""

    def __init__(self, message: Json, answer: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.answer = answer


def answer_of(invitation: Json) -> Mapping[str, Any]:
    """What later requests may use of the answer that an invitation came with; nothing when it came otherwise."""
    return invitation.answer if isinstance(invitation, Invitation) else {}


def from_response(text: str, found_at: str = "") -> Json:
    """The invitation in a response body.

    ``found_at`` is '' to search for it (the body itself, then every value in it), a JSON pointer (RFC 6901) to an
    invitation or to a URL that carries one, or 'url' when the body is such a URL, as plain text or as a JSON string.
    Raises BadInvitation, which quotes what was found instead.
    """
    text = text.removeprefix("\ufeff")
    body = json_or_text(text)
    if found_at.startswith("/"):
        try:
            value = at_pointer(body, found_at)
        except LookupError:
            raise BadInvitation(f"the response has nothing at {found_at}: {text}") from None
        found = _invitation_in(value)
        if found is None:
            raise BadInvitation(f"no invitation at {found_at} of the response: {text}")
        return found
    candidates = itertools.islice(named_values(body), MOST_VALUES) if not found_at else iter((("", body),))
    found = first_of(_found_or_reason(candidate) for _, candidate in candidates)
    if found is None:
        raise BadInvitation(f"no invitation in the response: {text if text.strip() else 'it is empty'}")
    return found


def request_thread_id(invitation: Json) -> str | None:
    """Thread id of the first request attached to an invitation (its ``requests~attach``), if any.

    Raises BadInvitation when what is attached is no message.
    """
    attached = as_out_of_band(invitation).get("requests~attach")
    for attachment in attached if isinstance(attached, list) else [attached]:
        if not attachment:
            continue
        message = attached_message(attachment)
        thread = _mapping(message.get("~thread")).get("thid") or message.get("thid")
        return str(thread or message.get("@id") or message.get("id") or "") or None
    return None


MADE_UP = "connectionless:"
"""Begins the id of an invitation that nobody has sent."""


def as_out_of_band(message: Json) -> Json:
    """Wrap a connectionless request (a message with a ``~service`` decorator, RFC 0056) into an
    out-of-band invitation (RFC 0434); an invitation is returned unchanged.

    It has the id that the message names as the parent of its thread: under that its sender knows it. Where there is
    none, it is made up, and the agent keeps it to itself (patch ``made_up_parents``).
    Raises BadInvitation when the decorator's keys are none.
    """
    service = message.get("~service")
    if not isinstance(service, dict) or "invitation" in str(message.get("@type")):
        return message
    return {
        "@type": "https://didcomm.org/out-of-band/1.1/invitation",
        "@id": str(_mapping(message.get("~thread")).get("pthid") or f"{MADE_UP}{uuid.uuid4()}"),
        "requests~attach": [{"@id": "request-0", "mime-type": "application/json", "data": {"json": message}}],
        "services": [
            {
                "id": "#inline",
                "type": "did-communication",
                "recipientKeys": did_keys(service, "recipientKeys"),
                "routingKeys": did_keys(service, "routingKeys"),
                "serviceEndpoint": service.get("serviceEndpoint", ""),
            }
        ],
    }


def did_keys(service: Json, name: str, where: str = "its ~service") -> list[str]:
    """The keys that a service lists, as did:key. Raises BadInvitation."""
    keys = service.get(name)
    try:
        return [_did_key(key) for key in keys or []]
    except (AttributeError, TypeError, ValueError):
        raise BadInvitation(f"{name} of {where} is {keys!r}; it must list base58 keys or did:key") from None


def _did_key(key: str) -> str:
    """A base58 Ed25519 key as did:key (multicodec 0xed01). Raises AttributeError, TypeError or ValueError."""
    if key.startswith("did:"):
        return key
    raw = base58.b58decode(key[:LONGEST_KEY])
    if len(raw) != 32:
        raise ValueError(key)
    return "did:key:z" + base58.b58encode(b"\xed\x01" + raw).decode()


def attached_message(attachment: Any) -> Json:
    """The message that an attachment holds (Aries RFC 0017). Raises BadInvitation."""
    data = _mapping(_mapping(attachment).get("data"))
    message = data.get("json")
    if isinstance(message, str):
        message = json_or_text(message)
    elif message is None and isinstance(data.get("base64"), str):
        found = decoded(data["base64"], "an attachment of the invitation")
        if isinstance(found, BadInvitation):
            raise found
        message = found
    if not isinstance(message, dict):
        raise BadInvitation(f"an attachment of the invitation holds no message: {_as_text(attachment)}")
    return message


def _found_or_reason(value: Any) -> Json | BadInvitation | None:
    try:
        return _invitation_in(value)
    except BadInvitation as error:
        return error


def _invitation_in(value: Any) -> Json | None:
    if isinstance(value, dict) and _is_message(value):
        return value
    if isinstance(value, str) and value.lstrip().startswith(BASE64_JSON):
        message = decoded(value, "a text")
        return message if isinstance(message, dict) and _is_message(message) else None  # such as another token
    if isinstance(value, str):
        inner = json_or_text(value) if value.lstrip().startswith("{") else value
        return _invitation_in(inner) if isinstance(inner, dict) else from_url(value)
    return None


def _is_message(value: Json) -> bool:
    kind = value.get("@type") or value.get("type")
    return isinstance(kind, str) and (
        "/invitation" in kind or "/present-proof/" in kind or "/issue-credential/" in kind
    )


def named_values(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The value itself, then all values in it, outermost first, each with its key; JSON within a text counts as what
    it says."""
    yield name, value
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"'):
        inner = json_or_text(value)
        value = [inner] if inner is not value else ()
    if depth < DEEPEST_VALUE and isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else ((name, item) for item in value):
            yield from named_values(item, key, depth + 1)


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
