"""Out-of-band invitations (Aries RFC 0434) in the forms in which services return them."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import base58

from stampede.schema.errors import BadInvitation

URL_PARAMETERS = ("oob", "c_i", "d_m")
"""Query parameters that carry a message: out-of-band (RFC 0434), connection invitation (RFC 0160),
and a connectionless message (d_m, a legacy form of RFC 0160)."""

type Json = dict[str, Any]


def from_url(url: str) -> Json | None:
    """The invitation in a URL's ``oob=``, ``c_i=`` or ``d_m=``; None when there is no such parameter.

    Raises BadInvitation when it cannot be decoded.
    """
    query = parse_qs(urlsplit(url.strip()).query)
    for parameter in URL_PARAMETERS:
        if parameter in query:
            return _decode(query[parameter][0], f"the URL's {parameter}=")
    return None


def from_response(text: str, found_at: str = "") -> Json:
    """The invitation in a response body.

    ``found_at`` is '' to search for it (the body itself, then every value in it), a JSON pointer (RFC 6901) to an
    invitation or to a URL that carries one, or 'url' when the body is such a URL, as plain text or as a JSON string.
    Raises BadInvitation, which quotes what was found instead.
    """
    body = _json_or_text(text)
    if found_at.startswith("/"):
        found = _invitation_in(_at_pointer(body, found_at))
        if found is None:
            raise BadInvitation(f"no invitation at {found_at} of the response: {_excerpt(text)}")
        return found
    candidates = _values(body) if not found_at else iter((body,))
    for candidate in candidates:
        found = _invitation_in(candidate)
        if found is not None:
            return found
    raise BadInvitation(f"no invitation in the response: {_excerpt(text)}")


def request_thread_id(invitation: Json) -> str | None:
    """Thread id of the first request attached to an invitation (its ``requests~attach``), if any."""
    for attachment in as_out_of_band(invitation).get("requests~attach") or ():
        data = attachment.get("data", {})
        message = data.get("json") or (_decode(data["base64"], "attachment") if "base64" in data else {})
        thread = message.get("~thread", {}).get("thid") or message.get("thid")
        return str(thread or message.get("@id") or message.get("id") or "") or None
    return None


def as_out_of_band(message: Json) -> Json:
    """Wrap a connectionless request (a message with a ``~service`` decorator, RFC 0056) into an
    out-of-band invitation (RFC 0434); an invitation is returned unchanged."""
    service = message.get("~service")
    if service is None or "invitation" in str(message.get("@type")):
        return message
    return {
        "@type": "https://didcomm.org/out-of-band/1.1/invitation",
        "@id": str(uuid.uuid4()),
        "requests~attach": [{"@id": "request-0", "mime-type": "application/json", "data": {"json": message}}],
        "services": [
            {
                "id": "#inline",
                "type": "did-communication",
                "recipientKeys": [_did_key(key) for key in service.get("recipientKeys", ())],
                "routingKeys": [_did_key(key) for key in service.get("routingKeys", ())],
                "serviceEndpoint": service.get("serviceEndpoint", ""),
            }
        ],
    }


def _did_key(key: str) -> str:
    """A base58 Ed25519 key as did:key (multicodec 0xed01)."""
    return (
        key
        if key.startswith("did:")
        else "did:key:z" + base58.b58encode(b"\xed\x01" + base58.b58decode(key)).decode()
    )


def _invitation_in(value: Any) -> Json | None:
    if isinstance(value, dict) and _is_message(value):
        return value
    if isinstance(value, str):
        if value.lstrip().startswith("{"):
            return _invitation_in(_json_or_text(value))
        if "?" in value:
            return from_url(value)
    return None


def _is_message(value: Json) -> bool:
    kind = value.get("@type") or value.get("type")
    return isinstance(kind, str) and (
        "invitation" in kind or "/present-proof/" in kind or "/issue-credential/" in kind
    )


def _values(value: Any, depth: int = 0) -> Iterator[Any]:
    """The value itself, then all values in it, outermost first."""
    yield value
    if depth < 4:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        for item in inner:
            yield from _values(item, depth + 1)


def _at_pointer(document: Any, pointer: str) -> Any:
    value = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise BadInvitation(f"the response has nothing at {pointer}: {_excerpt(document)}") from None
    return value


def _decode(text: str, where: str) -> Json:
    padded = text.replace("-", "+").replace("_", "/")
    try:
        message = json.loads(base64.b64decode(padded + "=" * (-len(padded) % 4)))
    except (binascii.Error, ValueError):
        raise BadInvitation(f"{where} does not hold base64url-encoded JSON: {_excerpt(text)}") from None
    if not isinstance(message, dict):
        raise BadInvitation(f"{where} holds no JSON object: {_excerpt(text)}")
    return message


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _excerpt(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
