"""Invitations in URLs (Aries RFCs 0434, 0160), which both the check of settings and the holders read."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from stampede.schema.errors import BadInvitation

URL_PARAMETERS = ("oob", "c_i", "d_m")
"""Query parameters that carry a message: out-of-band (RFC 0434), connection invitation (RFC 0160),
and a connectionless message (d_m, a legacy form of RFC 0160)."""
DEEPEST = 100
"""Levels of nesting in JSON that is taken; no message has so many, and deeper ones are not easily sent on."""

# Also behind a fragment, as in single-page applications, and in a text that is more than a URL.
_PARAMETER = re.compile(rf"""[?&#;]({"|".join(URL_PARAMETERS)})=([^&#;\s"'<>\\]*)""")

type Json = dict[str, Any]


def from_url(url: str) -> Json | None:
    """The invitation in a URL's ``oob=``, ``c_i=`` or ``d_m=``; None when there is no such parameter.

    Raises BadInvitation when it cannot be decoded.
    """
    found = _PARAMETER.findall(url) or _PARAMETER.findall(unquote(url))  # a URL may stand within another one
    in_order = sorted(found, key=lambda parameter: URL_PARAMETERS.index(parameter[0]))
    return first_of(decoded(unquote(value), f"the URL's {name}=") for name, value in in_order)


def carries_message(url: str) -> bool:
    """Whether a URL has one of the parameters that carry a message, decodable or not."""
    return _PARAMETER.search(url) is not None or _PARAMETER.search(unquote(url)) is not None


def expiry(invitation: Json) -> str:
    """The time at which an invitation has expired (Aries RFC 0032, DIDComm 2); empty while it has not."""
    timing = invitation.get("~timing")
    told = timing.get("expires_time") if isinstance(timing, dict) else invitation.get("expires_time")
    try:
        if isinstance(told, int | float):
            when = datetime.datetime.fromtimestamp(told, datetime.UTC)
        else:
            when = datetime.datetime.fromisoformat(str(told))
            when = when if when.tzinfo else when.replace(tzinfo=datetime.UTC)
        return str(told) if when < datetime.datetime.now(datetime.UTC) else ""
    except (ValueError, OverflowError, OSError):
        return ""


def first_of(candidates: Iterable[Json | BadInvitation | None]) -> Json | None:
    """The first invitation; when there is none, the first reason why a candidate is none is raised, if any."""
    reason = None
    for candidate in candidates:
        if isinstance(candidate, dict):
            return candidate
        reason = reason or candidate
    if reason is not None:
        raise reason
    return None


def decoded(text: str, where: str) -> Json | BadInvitation:
    """The message that a text is in base64, or why it is none."""
    padded = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        message = json.loads(base64.b64decode(padded + "=" * (-len(padded) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return BadInvitation(f"{where} does not hold base64url-encoded JSON: {text}")
    if not isinstance(message, dict):
        return BadInvitation(f"{where} holds no JSON object: {text}")
    if not isinstance(message.get("@type") or message.get("type"), str):
        return BadInvitation(f"{where} holds no message, which has an @type: {text}")
    if too_deep(message):
        return BadInvitation(f"{where} holds JSON that is nested too deep")
    return message


def too_deep(value: Any) -> bool:
    """Whether a JSON value is nested deeper than ``DEEPEST``."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            item
            for each in level
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True
