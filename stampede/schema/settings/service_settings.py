"""The services under test: the requests that holders send them, and the checks that these can be sent."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stampede.schema.settings.json_values import not_json
from stampede.schema.settings.placeholders import ANSWER, SECRET, names_in
from stampede.schema.settings.placeholders import fill_in as fill_in
from stampede.schema.settings.shapes import CONTROL, LONGEST_TEXT, Duration
from stampede.schema.settings.variable_reader import VariableReader, kind_of, shown
from stampede.schema.settings.web_address import is_loopback, web_address

_ALWAYS = frozenset({"run_id", "holder"})
_OVER_A_CONNECTION = _ALWAYS | {"connection_id", "my_did", "their_did", "invitation_msg_id", "thread_id"}
KNOWN_VALUES: Mapping[str, frozenset[str]] = {
    "invitation": _ALWAYS,
    "revocation": _OVER_A_CONNECTION | {"cred_ex_id", "rev_reg_id", "cred_rev_id"},
    "result": _OVER_A_CONNECTION | {"pres_ex_id"},
}
"""The requests that a service can have, each with what a holder knows when it is sent: the names that its URL,
headers and body may use as ``${name}``, beside ``${secret:NAME}`` and, after the invitation, ``${answer:/POINTER}``.
"""

MAX_REDIRECTS = 5
"""How many redirects of a service are followed."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
"""A token of HTTP (RFC 9110)."""
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")
"""A JSON pointer (RFC 6901), but not the empty one."""
_SECRET_HEADER = re.compile("auth|token|secret|passw|credential|cookie|api-?key|subscription-key")
"""Found in the name of a header, in lower case: its value is a secret."""


MEDIATOR = "the mediator"
"""As which service holders ask their mediator for an invitation: a name that none of stampede_services can have."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request that a holder sends to a service, as the user configured it."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """A mapping or list is sent as JSON, text as it is, None as no body."""
    found_at: str = ""
    """Where the invitation is: '' looks for it; a JSON pointer (RFC 6901); 'url'; 'redirect'."""


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


@dataclass(frozen=True, slots=True)
class Service:
    """An issuer or verifier under test."""

    name: str
    invitation: HttpRequest
    revocation: HttpRequest | None = None
    ca_file: str = ""
    result: ResultRequest | None = None
    """How a verifier is asked what it found of a presentation; None: it is not asked."""

    def variable(self, key: str) -> str:
        """How the settings name a part of the service, such as ``invitation.url``."""
        if self.name == MEDIATOR:
            return f"stampede_mediator_invitation{key.removeprefix('invitation')}"
        return f"stampede_services.{self.name}.{key}"

    def requests(self) -> Iterator[tuple[str, HttpRequest]]:
        """The requests that the service has, each with its key in the settings."""
        for kind in KNOWN_VALUES:
            if request := getattr(self, kind):
                yield kind, request

    def answer_pointers(self) -> dict[str, str]:
        """What later requests use of the answer with the invitation: by JSON pointer, the key of such a request."""
        return {
            name.removeprefix(ANSWER): kind
            for kind, request in self.requests()
            for name in names_in((request.url, request.headers, request.body))
            if name.startswith(ANSWER)
        }


_KEYS = {
    kind: frozenset(item.name for item in dataclasses.fields(ResultRequest if kind == "result" else HttpRequest))
    for kind in KNOWN_VALUES
}
_VERDICTS = ("verified", "refused", "pending")
_TIMES = ("interval", "limit")


def read_services(reader: VariableReader) -> dict[str, Service]:
    """The services of ``stampede_services`` by their names."""
    variable = "stampede_services"
    value = reader.variables.get(variable)
    if not isinstance(value, Mapping) or not value:
        reader.complain(
            f"{variable} is {shown(value)}; it must map at least one service name to its invitation request, "
            "such as issuer: {invitation: {url: https://issuer.example.org/invitation}}"
        )
        return {}
    services = {}
    for name, entry in value.items():
        if isinstance(name, bool) or not isinstance(name, str | int) or not _NAME.fullmatch(str(name)):
            reader.complain(
                f"{variable} has the service {shown(name)}; its name must be 1 to 64 of A-Z a-z 0-9 . _ -"
            )
        else:
            services[str(name)] = _read_service(reader, f"{variable}.{name}", str(name), entry)
    return services


def _read_service(reader: VariableReader, where: str, name: str, entry: Any) -> Service:
    nothing = HttpRequest(url="")
    if not isinstance(entry, Mapping) or "invitation" not in entry:
        reader.complain(f"{where} is {kind_of(entry)}; it must be a mapping with an invitation request in it")
        return Service(name, nothing)
    _check_keys(reader, where, entry, {*KNOWN_VALUES, "ca_file"})
    revocation = entry.get("revocation")
    return Service(
        name,
        read_request(reader, f"{where}.invitation", "invitation", entry["invitation"]) or nothing,
        read_request(reader, f"{where}.revocation", "revocation", revocation) if revocation is not None else None,
        _line(reader, f"{where}.ca_file", entry.get("ca_file")),
        _read_result(reader, where, entry["result"]) if entry.get("result") is not None else None,
    )


def _read_result(reader: VariableReader, service: str, entry: Any) -> ResultRequest | None:
    where = f"{service}.result"
    request = read_request(reader, where, "result", entry)
    if request is None:
        return None
    if request.found_at in ("url", "redirect"):
        reader.complain(
            f"{where}.found_at is {request.found_at!r}; it must be empty or a JSON pointer such as /state"
        )
    lists = {name: _read_values(reader, f"{where}.{name}", entry[name]) for name in _VERDICTS if name in entry}
    if entry.get("verified", True) in ([], (), None):
        reader.complain(f"{where}.verified is empty; it must list what says that a presentation is verified")
    times = {name: _read_seconds(reader, f"{where}.{name}", entry[name]) for name in _TIMES if name in entry}
    more: dict[str, Any] = {**lists, **times}
    result = ResultRequest(**dataclasses.asdict(request), **more)
    every = [*result.verified, *result.refused, *result.pending]
    for text in dict.fromkeys(text for text in every if every.count(text) > 1):
        reader.complain(f"{where} has {text!r} more than once; it must mean one of verified, refused and pending")
    return result


def _read_values(reader: VariableReader, where: str, value: Any) -> tuple[str, ...]:
    """Values as the texts that JSON has for them; a single one stands for a list of one."""
    values = value if isinstance(value, list | tuple) else [] if value is None else [value]
    if wrong := [item for item in values if not isinstance(item, str | int | float)]:
        reader.complain(f"{where} has {shown(wrong[0])}; it must list texts, numbers, true or false")
        return ()
    return tuple(dict.fromkeys(str(item).lower() if isinstance(item, bool) else str(item) for item in values))


def _read_seconds(reader: VariableReader, where: str, value: Any) -> float:
    shape = Duration(above_zero=True)
    try:
        return shape.read(value)
    except (ValueError, TypeError):
        reader.complain(f"{where} is {shown(value)}; it must be {shape.right}")
        return 1.0


def read_request(reader: VariableReader, where: str, kind: str, entry: Any) -> HttpRequest | None:
    """A request of a kind of ``KNOWN_VALUES``; None when something is wrong with it, which is noted."""
    told = len(reader.problems)
    if not isinstance(entry, Mapping):
        reader.complain(f"{where} is {kind_of(entry)}; it must be a mapping with a url in it")
        return None
    _check_keys(reader, where, entry, _KEYS[kind])
    request = HttpRequest(
        url=_line(reader, f"{where}.url", entry.get("url")),
        method=_line(reader, f"{where}.method", entry.get("method")).upper()
        or ("GET" if kind == "result" else "POST"),
        headers=_read_headers(reader, f"{where}.headers", entry.get("headers")),
        body=entry.get("body"),
        found_at=_line(reader, f"{where}.found_at", entry.get("found_at")),
    )
    reader.problems += list(not_json(request.body, f"{where}.body"))[:1]
    if len(reader.problems) > told:
        return None
    _check_url(reader, f"{where}.url", request.url)
    if not re.fullmatch(r"[A-Z]+", request.method):
        reader.complain(f"{where}.method is {request.method!r}; it must be an HTTP method such as POST or GET")
    if request.found_at not in ("", "url", "redirect") and not _POINTER.fullmatch(request.found_at):
        reader.complain(
            f"{where}.found_at is {request.found_at!r}; it must be empty, url, redirect, "
            "or a JSON pointer such as /invitation"
        )
    _check_placeholders(reader, where, kind, request)
    return request


def _read_headers(reader: VariableReader, where: str, entry: Any) -> dict[str, str]:
    if entry is None:
        return {}
    if not isinstance(entry, Mapping):
        reader.complain(f"{where} is {kind_of(entry)}; it must map the names of headers to texts")
        return {}
    headers = {}
    for name, value in entry.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            reader.complain(f"{where} has the name {shown(name)}; it must be that of an HTTP header, such as Accept")
        elif isinstance(value, bool) or not isinstance(value, str | int | float) or CONTROL.search(str(value)):
            reader.complain(
                f"{where}.{name} is {kind_of(value)} that cannot be a header's; it must be a text in one line"
            )
        elif _SECRET_HEADER.search(name.lower()) and f"${{{SECRET}" not in str(value):
            reader.complain(
                f"{where}.{name} holds a secret in clear; put it into stampede_secrets and "
                "write ${secret:NAME} here"
            )
        else:
            headers[name] = str(value)
    return headers


def _line(reader: VariableReader, where: str, value: Any) -> str:
    """A text in one line; empty for nothing."""
    if value is None:
        return ""
    if not isinstance(value, str) or CONTROL.search(value) or len(value) > LONGEST_TEXT:
        reader.complain(f"{where} is {shown(value)}; it must be a text in one line")
        return ""
    return value


def _check_keys(reader: VariableReader, where: str, entry: Mapping[str, Any], known: Collection[str]) -> None:
    for key in [key for key in entry if key not in known]:
        reader.complain(f"{where} has the key {shown(key)}; it may have {', '.join(sorted(known))}")


def _check_url(reader: VariableReader, where: str, url: str) -> None:
    parts = web_address(url)
    if not parts:
        reader.complain(f"{where} is {shown(url)}; it must be a URL such as https://issuer.example.org/invitation")
    elif parts.scheme == "http" and not is_loopback(parts.hostname):
        reader.complain(f"{where} is {shown(url)}; it must start with https:// (http:// is taken for loopback only)")
    elif parts.username or parts.password:
        reader.complain(f"{where} holds a user or password; put them into a header as ${{secret:NAME}}")


def _check_placeholders(reader: VariableReader, where: str, kind: str, request: HttpRequest) -> None:
    known = KNOWN_VALUES[kind]
    for name in names_in((request.url, request.headers, request.body)):
        if name.startswith(SECRET):
            secret = name.removeprefix(SECRET)
            if secret not in reader.secrets:
                reader.complain(f"{where} uses ${{{name}}}, but stampede_secrets has no {secret!r}")
        elif name.startswith(ANSWER):
            if kind == "invitation" or not _POINTER.fullmatch(name.removeprefix(ANSWER)):
                reader.complain(
                    f"{where} uses ${{{name}}}; it must be a JSON pointer into the answer with the invitation, such "
                    f"as ${{{ANSWER}/id}}, in a request that comes after it"
                )
        elif name not in known:
            elsewhere = any(name in names for names in KNOWN_VALUES.values())
            answer = "" if kind == "invitation" else f", {ANSWER}/POINTER"
            reader.complain(
                f"{where} uses ${{{name}}}{', which is not known at this request' if elsewhere else ''}; "
                f"it may use {', '.join(sorted(known))}{answer} and secret:NAME"
            )
