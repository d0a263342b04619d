"""A request to a service as the user configured it. ``request_reader`` reads it and checks that it can be sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stampede.schema.settings.placeholders import GIVEN, names_in

_ALWAYS = frozenset({"run_id", "holder"})
_OVER_A_CONNECTION = _ALWAYS | {"connection_id", "my_did", "their_did", "invitation_msg_id"}
KNOWN_VALUES: Mapping[str, frozenset[str]] = {
    "invitation": _ALWAYS,
    "revocation": _OVER_A_CONNECTION | {"thread_id", "cred_ex_id", "rev_reg_id", "cred_rev_id"},
    "result": _OVER_A_CONNECTION | {"thread_id", "pres_ex_id"},
    "request": _OVER_A_CONNECTION,
}
"""The kinds of requests that a service can have, each with what a holder knows when it is sent: the names that its
URL, headers and body may use as ``${name}``, beside ``${secret:NAME}``, ``${given:NAME}`` and
``${answer:/POINTER}``."""

MAX_REDIRECTS = 5
"""How many redirects of a service are followed."""
SECRET_HEADER = re.compile("auth|token|secret|passw|credential|cookie|api-?key|subscription-key")
"""Found in the name of a header, in lower case: its value is a secret."""


@dataclass(frozen=True, slots=True)
class Poll:
    """How an answer that is not there yet is asked for: while the status is 202, or while what stands at ``found_at``
    is one of ``pending``."""

    url: str = ""
    """Empty: where ``Location`` leads, or else the request itself once more."""
    interval: float = 1.0
    """Seconds between two requests, where no ``Retry-After`` tells."""
    limit: float = 30.0
    """Seconds after which an answer that is still not there is a failure; the step's timeout holds as well."""
    found_at: str = ""
    pending: tuple[str, ...] = ()
    at_once: bool = False
    """Whether a status of 202 is enough, with neither ``Location`` nor ``Retry-After``: so when it was configured."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request that a holder sends to a service, as the user configured it."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """A mapping or list is sent as JSON, text as it is, None as no body."""
    found_at: str = ""
    """Where the invitation is: '' looks for it; a JSON pointer (RFC 6901); 'url'; 'redirect'. Of any other request,
    where its answer has what is asked for; '' is the whole answer."""
    poll: Poll | None = None
    """None: an answer with the status 202 is the answer."""
    before: tuple[HttpRequest, ...] = ()
    """The requests that are sent first, one after another, since this one uses what they answer."""

    @property
    def in_order(self) -> tuple[HttpRequest, ...]:
        """The requests that are sent, this one last."""
        return (*self.before, self)

    @property
    def texts(self) -> tuple[Any, ...]:
        """What may hold placeholders."""
        return self.url, self.headers, self.body, self.poll.url if self.poll else ""

    def given(self) -> frozenset[str]:
        """The names of the values that a script gives."""
        names = (name for request in self.in_order for name in names_in(request.texts))
        return frozenset(name.removeprefix(GIVEN) for name in names if name.startswith(GIVEN))


@dataclass(frozen=True, slots=True)
class ResultRequest(HttpRequest):
    """A request that asks a verifier what it found of a presentation, repeated until it says so.

    ``found_at`` is where its answer says it: a JSON pointer, or '' for the whole answer. What stands there is
    compared as text; nothing, or null, means not yet, as does an answer without content.
    """

    method: str = "GET"
    verified: tuple[str, ...] = ("true",)
    refused: tuple[str, ...] = ("false",)
    pending: tuple[str, ...] = ()
    interval: float = 0.5
    """Seconds between two requests."""
    limit: float = 30.0
    """Seconds after which a result that is still pending is a failure; the step's timeout holds as well."""
    when: str = "acknowledged"
    """From when on it is asked: when the verifier has ``acknowledged`` the presentation, or when it is ``sent``."""


@dataclass(frozen=True, slots=True)
class ScriptRequest(HttpRequest):
    """A request that a script sends by its name. What it answers is the script's affair."""

    example: Any = None
    """What the dry run has it answer; None: something in which everything is found."""
