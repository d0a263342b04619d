"""``${name}`` in the requests to services, and what takes its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from stampede.schema.settings.json_values import texts_in

PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
SECRET = "secret:"  # noqa: S105
"""``${secret:NAME}`` stands for an entry of ``stampede_secrets``."""
ANSWER = "answer:"
"""``${answer:/POINTER}`` stands for what the newest answer of the service that has something at that JSON pointer
(RFC 6901) has there, ``${answer2:/POINTER}`` for what the answer to the second request of a list has."""
GIVEN = "given:"
"""``${given:NAME}`` stands for what the script gives: ``holder.request("portal.login", NAME="...")``."""
DATA = "data:"
"""``${data:COLUMN}`` stands for what the holder's row of ``stampede_data`` has in that column."""

_ANSWER = re.compile(r"answer([1-9][0-9]?)?:(.*)", re.DOTALL)
_HOST_PART = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_PLACEHOLDER_OR_END_OF_HOST = re.compile(rf"{PLACEHOLDER.pattern}|[/?#]")


def fill_in(value: Any, values: Mapping[str, Any]) -> Any:
    """Replace ``${name}`` in every text within headers or a body. Raises KeyError for unknown names.

    A list or mapping is handed on as it is where the placeholder is the whole text; in one that is longer it raises
    ValueError.
    """
    if isinstance(value, str):
        if is_placeholder(value) and isinstance(whole := values[value[2:-1]], dict | list):
            return whole
        return PLACEHOLDER.sub(lambda match: _text(values, match[1]), value)
    if isinstance(value, Mapping):
        return {key: fill_in(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill_in(item, values) for item in value]
    return value


def fill_in_headers(headers: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    """Replace ``${name}`` in the values of headers. Raises KeyError for unknown names, ValueError for one whose value
    is no text."""
    return {name: PLACEHOLDER.sub(lambda match: _text(values, match[1]), text) for name, text in headers.items()}


def fill_in_url(url: str, values: Mapping[str, Any]) -> str:
    """Replace ``${name}`` in a URL by the value as its place wants it: percent-encoded in path and query, as it is in
    the host. What the user wrote around it stays as it is; a placeholder alone stands for a whole URL.

    >>> fill_in_url("https://${host}/a%20b/${id}?q=${id}", {"host": "localhost", "id": "did:x/1&2"})
    'https://localhost/a%20b/did%3Ax%2F1%262?q=did%3Ax%2F1%262'

    Raises KeyError for unknown names, ValueError for a value that cannot be in its place.
    """
    if is_placeholder(url):
        return _text(values, url[2:-1])
    scheme, _, rest = url.partition("://")
    in_host = True

    def replacement(match: re.Match[str]) -> str:
        nonlocal in_host
        if match[1] is None:
            in_host = False
            return match[0]
        value = _text(values, match[1])
        if not in_host:
            return quote(value, safe="")
        if not _HOST_PART.fullmatch(value):
            raise ValueError(f"${{{match[1]}}} is {value!r}, which cannot be part of a host's name")
        return value

    filled = f"{scheme}://{_PLACEHOLDER_OR_END_OF_HOST.sub(replacement, rest)}"
    if _dot_segments(filled) != _dot_segments(url):
        raise ValueError("a value of dots alone cannot be part of a path, where it would lead elsewhere")
    return filled


def fill_in_body(body: Any, values: Mapping[str, Any], content_type: str) -> Any:
    """Replace ``${name}`` in a body. In one that the user wrote as text, a value is escaped as its type wants it.

    >>> fill_in_body("a=${x}", {"x": "1&2"}, "application/x-www-form-urlencoded")
    'a=1%262'

    Raises KeyError for unknown names.
    """
    if not isinstance(body, str):
        return fill_in(body, values)
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return PLACEHOLDER.sub(lambda match: quote(_text(values, match[1]), safe=""), body)
    if kind.endswith(("/json", "+json")):
        return PLACEHOLDER.sub(lambda match: json.dumps(_text(values, match[1]))[1:-1], body)
    return PLACEHOLDER.sub(lambda match: _text(values, match[1]), body)


def names_in(value: Any) -> Iterator[str]:
    """The names of all placeholders within a URL, headers or a body."""
    for text in texts_in(value):
        yield from PLACEHOLDER.findall(text)


def pointer_of(name: str) -> tuple[int, str] | None:
    """The number, or 0, and the pointer of a placeholder for a part of an answer, by its name; None of any other."""
    found = _ANSWER.fullmatch(name)
    return (int(found[1] or 0), found[2]) if found else None


def is_of_the_moment(name: str) -> bool:
    """Whether a placeholder's name stands for a secret, or for what only the moment of the request can tell."""
    return name.startswith((SECRET, GIVEN, DATA)) or pointer_of(name) is not None


def is_placeholder(text: str) -> bool:
    """Whether a text is nothing but a placeholder for what an answer or a row has, or a script gives."""
    alone = PLACEHOLDER.fullmatch(text)
    return alone is not None and is_of_the_moment(alone[1]) and not alone[1].startswith(SECRET)


def _text(values: Mapping[str, Any], name: str) -> str:
    """A value for a place within a text. Raises KeyError for an unknown name."""
    value = values[name]
    if not isinstance(value, str):
        raise ValueError(f"${{{name}}} is a list or mapping, which cannot be part of a text")
    return value


def _dot_segments(url: str) -> int:
    """How many segments of a URL's path are ``.`` or ``..``, which are resolved before anything is sent."""
    path = re.split(r"[?#]", PLACEHOLDER.sub("x", url), maxsplit=1)[0]
    return sum(segment.lower().replace("%2e", ".") in (".", "..") for segment in path.split("/"))
