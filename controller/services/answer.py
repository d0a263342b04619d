"""What a service answered: its bytes as text, and the text as JSON. Whatever a service sends, only a StepError comes
of it."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.services.request import Request
from stampede.schema.errors import ServiceRefused
from stampede.schema.invitation_urls import too_deep

CHARSETS = frozenset(
    {"utf-8", "utf-8-sig", "ascii", "iso8859-1", "iso8859-15", "cp1252", "utf-16", "utf-16-le", "utf-16-be"}
)
"""Encodings in which services answer, by Python's names; Python knows others that are no encodings of the web."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer to a request, after all redirects."""

    service: str
    status: int
    body: bytes = b""
    charset: str = ""
    """The encoding that the answer names; empty when it names none."""
    invitation: dict[str, Any] | None = None
    """The one that the URL of a redirect carries."""
    request: Request | None = None
    """The request that it is the answer to, after all redirects."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that say where and when there is more: Location, Retry-After, Date."""

    @property
    def said(self) -> str:
        """The beginning of a sentence about it."""
        return f"{self.service} answered {self.status}"

    def text(self) -> str:
        """The body as text. Raises ServiceRefused when it is none in the encoding that the answer names."""
        charset = self.charset or "utf-8"
        try:
            name = codecs.lookup(charset).name
            if name not in CHARSETS:
                raise LookupError(charset)
            return self.body.decode(name).removeprefix("\ufeff")
        except LookupError:
            raise ServiceRefused(f"{self.said} in the encoding {charset!r}, which is not known") from None
        except ValueError:
            raise ServiceRefused(f"{self.said}, but what it sent is not encoded in {charset}") from None

    def excerpt(self) -> str:
        """The body as text, for a message; what cannot be decoded is replaced."""
        return self.body.decode(errors="replace")


def json_or_text(text: str) -> Any:
    """The JSON value that a text is; the text itself when it is none, or one that no message is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if too_deep(value) else value


def at_pointer(document: Any, pointer: str) -> Any:
    """What is at a JSON pointer (RFC 6901). Raises LookupError when there is nothing."""
    value = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value[key]
        elif isinstance(value, list) and re.fullmatch("0|[1-9][0-9]{0,8}", key):
            value = value[int(key)]
        else:
            raise LookupError(pointer)
    return value


def found_at(document: Any, pointer: str) -> Any:
    """What is at a JSON pointer; None when nothing is."""
    try:
        return at_pointer(document, pointer)
    except LookupError:
        return None


def scalar_text(value: Any) -> str | None:
    """A text, number or truth value as JSON writes it, a text without its quotes; None for anything else."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float) else None
