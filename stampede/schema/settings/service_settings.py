"""The services under test: the requests that holders send them, and the checks that these can be sent."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stampede.schema.settings.json_values import not_json, texts_in
from stampede.schema.settings.shapes import CONTROL, LONGEST_TEXT
from stampede.schema.settings.variable_reader import VariableReader, kind_of, shown
from stampede.schema.settings.web_address import LOOPBACK, web_address

KNOWN_VALUES: Mapping[str, frozenset[str]] = {
    "invitation": frozenset({"run_id", "holder"}),
    "revocation": frozenset(
        {
            "run_id",
            "holder",
            "connection_id",
            "my_did",
            "their_did",
            "invitation_msg_id",
            "thread_id",
            "cred_ex_id",
            "rev_reg_id",
            "cred_rev_id",
        }
    ),
}
"""The requests that a service can have, each with what a holder knows when it is sent: the names that its URL,
headers and body may use as ``${name}``, beside ``${secret:NAME}``."""

MAX_REDIRECTS = 5
"""How many redirects of a service are followed."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
"""A token of HTTP (RFC 9110)."""
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")
"""A JSON pointer (RFC 6901), but not the empty one."""
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_SECRET_HEADER = re.compile("auth|token|secret|passw|credential|cookie|api-?key|subscription-key")
"""Found in the name of a header, in lower case: its value is a secret."""


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
class Service:
    """An issuer or verifier under test."""

    name: str
    invitation: HttpRequest
    revocation: HttpRequest | None = None
    ca_file: str = ""


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


def fill_in(value: Any, values: Mapping[str, str]) -> Any:
    """Replace ``${name}`` in every text within a URL, headers or body. Raises KeyError for unknown names."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: values[match[1]], value)
    if isinstance(value, Mapping):
        return {key: fill_in(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill_in(item, values) for item in value]
    return value


def _read_service(reader: VariableReader, where: str, name: str, entry: Any) -> Service:
    nothing = HttpRequest(url="")
    if not isinstance(entry, Mapping) or "invitation" not in entry:
        reader.complain(f"{where} is {kind_of(entry)}; it must be a mapping with an invitation request in it")
        return Service(name, nothing)
    _check_keys(reader, where, entry, {*KNOWN_VALUES, "ca_file"})
    revocation = entry.get("revocation")
    return Service(
        name,
        _read_request(reader, where, "invitation", entry["invitation"]) or nothing,
        _read_request(reader, where, "revocation", revocation) if revocation is not None else None,
        _line(reader, f"{where}.ca_file", entry.get("ca_file")),
    )


def _read_request(reader: VariableReader, service: str, kind: str, entry: Any) -> HttpRequest | None:
    where, told = f"{service}.{kind}", len(reader.problems)
    if not isinstance(entry, Mapping):
        reader.complain(f"{where} is {kind_of(entry)}; it must be a mapping with a url in it")
        return None
    _check_keys(reader, where, entry, {item.name for item in dataclasses.fields(HttpRequest)})
    request = HttpRequest(
        url=_line(reader, f"{where}.url", entry.get("url")),
        method=_line(reader, f"{where}.method", entry.get("method")).upper() or "POST",
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
    for text in (request.url, *request.headers.values(), *texts_in(request.body)):
        _check_placeholders(reader, where, text, KNOWN_VALUES[kind])
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
        elif _SECRET_HEADER.search(name.lower()) and "${secret:" not in str(value):
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


def _check_keys(reader: VariableReader, where: str, entry: Mapping[str, Any], known: set[str]) -> None:
    for key in [key for key in entry if key not in known]:
        reader.complain(f"{where} has the key {shown(key)}; it may have {', '.join(sorted(known))}")


def _check_url(reader: VariableReader, where: str, url: str) -> None:
    parts = web_address(url)
    if not parts:
        reader.complain(f"{where} is {shown(url)}; it must be a URL such as https://issuer.example.org/invitation")
    elif parts.scheme == "http" and parts.hostname not in LOOPBACK:
        reader.complain(f"{where} is {shown(url)}; it must start with https:// (http:// is taken for loopback only)")
    elif parts.username or parts.password:
        reader.complain(f"{where} holds a user or password; put them into a header as ${{secret:NAME}}")


def _check_placeholders(reader: VariableReader, where: str, text: str, known: frozenset[str]) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name.startswith("secret:"):
            if name.removeprefix("secret:") not in reader.secrets:
                reader.complain(
                    f"{where} uses ${{{name}}}, but stampede_secrets has no {name.removeprefix('secret:')!r}"
                )
        elif name not in known:
            elsewhere = any(name in names for names in KNOWN_VALUES.values())
            reader.complain(
                f"{where} uses ${{{name}}}{', which is not known at this request' if elsewhere else ''}; "
                f"it may use {', '.join(sorted(known))} and secret:NAME"
            )
