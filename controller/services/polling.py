"""Answers that are not there yet: when, and where, to ask for them again (RFC 9110, sections 10.2.3 and 15.3.3)."""

from __future__ import annotations

import datetime
import email.utils
import re

from controller.services.answer import Answer, found_at, json_or_text, scalar_text
from stampede.schema.errors import ServiceRefused
from stampede.schema.settings.request_settings import Poll

SHORTEST_PAUSE = 0.1
"""Seconds between two requests, however soon a service wants to be asked again."""


def is_pending(answer: Answer, poll: Poll, *, again: bool = False) -> bool:
    """Whether what was asked for comes later. ``again``: whether the service has said so before; it need not repeat
    when and where."""
    if answer.invitation is not None or answer.status >= 300:
        return False
    if answer.status == 202 and (again or poll.at_once or answer.headers.keys() & {"Location", "Retry-After"}):
        return True
    if not poll.pending:
        return False
    try:
        document = json_or_text(answer.text().strip())
    except ServiceRefused:
        return False
    return scalar_text(found_at(document, poll.found_at)) in poll.pending


def pause(answer: Answer, otherwise: float) -> float:
    """Seconds until a service wants to be asked again: its ``Retry-After``, as seconds or as a date; ``otherwise``
    where it says nothing that can be read."""
    wanted = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", wanted):
        return max(float(wanted), SHORTEST_PAUSE)
    then, now = _time(wanted), _time(answer.headers.get("Date", "")) or datetime.datetime.now(datetime.UTC)
    return max((then - now).total_seconds(), SHORTEST_PAUSE) if then else otherwise


def _time(text: str) -> datetime.datetime | None:
    """An HTTP date; None when it is none."""
    try:
        found = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
