"""Where an invitation is to be fetched, when an answer has none but leads to one (Aries RFC 0434, URL shortening)."""

from __future__ import annotations

import itertools
from urllib.parse import parse_qsl, urlsplit

from controller.services.answer import Answer, found_at, json_or_text
from controller.services.invitation import MOST_VALUES, carries_message, named_values
from stampede.schema.errors import BadInvitation, ServiceRefused
from stampede.schema.settings.web_address import web_address

SHORTENED = frozenset({"oobid", "_oobid"})
"""Query parameters of a URL from which an invitation is fetched."""
LONGEST_URL = 8192
MOST_QUOTED = 3
"""URLs that a sentence quotes."""


def link_to_invitation(answer: Answer, where: str) -> str:
    """The URL from which the invitation of an answer is to be fetched; empty when there is none.

    ``where`` is the request's ``found_at``. Raises BadInvitation when several URLs could be it.
    """
    if where == "redirect":
        return ""
    try:
        text = answer.text().strip()
    except ServiceRefused:
        return ""
    document = json_or_text(text)
    if where.startswith("/"):
        value = found_at(document, where)
        return (_fetchable(value) or _relative(value)) if isinstance(value, str) else ""
    names = {
        url: name
        for name, value in itertools.islice(named_values(document), MOST_VALUES)
        if isinstance(value, str) and (url := _fetchable(value))
    }
    return _likeliest(names, answer.headers.get("Location", ""))


def _likeliest(names: dict[str, str], location: str) -> str:
    """Of URLs, with the key of each in the answer, the one with an invitation's number in it, or whose key speaks of
    an invitation; or else where what was created is; or else the only one."""
    shortened = [url for url in names if "oobid" in url and _parameters(url) & SHORTENED]
    invited = [url for url, name in names.items() if "invit" in name.lower()]
    for urls in (shortened, invited, [location] * bool(location), list(names)):
        if len(urls) == 1:
            return urls[0]
        if urls:
            some = ", ".join(urls[:MOST_QUOTED])
            raise BadInvitation(f"it could be fetched from {len(urls)} URLs; found_at must tell from which: {some}")
    return ""


def _fetchable(text: str) -> str:
    """The URL that a text is, or that a link to an app has within it; empty when there is none, or when it carries
    a message itself."""
    text = text.strip()
    if len(text) > LONGEST_URL or carries_message(text):
        return ""
    if web_address(text):
        return text
    try:
        parts = urlsplit(text)
        inner = (
            [value for _, value in parse_qsl(parts.query)] if parts.scheme and not parts.scheme[0].isspace() else []
        )
    except ValueError:
        return ""
    return next((value for value in inner if web_address(value)), "")


def _relative(text: str) -> str:
    text = text.strip()
    return text if text.startswith("/") and len(text) <= LONGEST_URL and not carries_message(text) else ""


def _parameters(url: str) -> set[str]:
    return {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
