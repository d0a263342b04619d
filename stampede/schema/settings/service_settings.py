"""The services under test: the requests that holders send them, and the checks that these can be sent."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stampede.schema.settings.variable_reader import VariableReader
from stampede.schema.settings.web_address import is_loopback, web_address

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
"""The requests that a service can have, each with what a holder knows when it is sent: the names that its URL, headers
and body may use as ``${name}``, beside ``${secret:NAME}``."""

MAX_REDIRECTS = 5
"""How many redirects of a service are followed."""

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
            f"{variable} is {value!r}; it must map at least one service name to its invitation request, "
            "such as issuer: {invitation: {url: https://issuer.example.org/invitation}}"
        )
        return {}
    return {str(key): _read_service(reader, f"{variable}.{key}", str(key), entry) for key, entry in value.items()}


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
    known = {*KNOWN_VALUES, "ca_file"}
    nothing = HttpRequest(url="")
    if not isinstance(entry, Mapping) or "invitation" not in entry:
        reader.complain(f"{where} is {entry!r}; it must be a mapping with an invitation request in it")
        return Service(name, nothing)
    _check_keys(reader, where, entry, known)
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        reader.complain(f"{where}: the name {name!r} must be of A-Z a-z 0-9 . _ -")
    revocation = entry.get("revocation")
    return Service(
        name,
        _read_request(reader, where, "invitation", entry["invitation"]) or nothing,
        _read_request(reader, where, "revocation", revocation) if revocation else None,
        str(entry.get("ca_file") or ""),
    )


def _read_request(reader: VariableReader, service: str, kind: str, entry: Any) -> HttpRequest | None:
    where = f"{service}.{kind}"
    if not isinstance(entry, Mapping):
        reader.complain(f"{where} is {entry!r}; it must be a mapping with a url in it")
        return None
    _check_keys(reader, where, entry, {item.name for item in dataclasses.fields(HttpRequest)})
    request = HttpRequest(
        url=str(entry.get("url") or ""),
        method=str(entry.get("method") or "POST").upper(),
        headers={str(key): str(value) for key, value in (entry.get("headers") or {}).items()},
        body=entry.get("body"),
        found_at=str(entry.get("found_at") or ""),
    )
    _check_url(reader, f"{where}.url", request.url)
    if not re.fullmatch(r"[A-Z]+", request.method):
        reader.complain(f"{where}.method is {request.method!r}; it must be an HTTP method such as POST or GET")
    if request.found_at not in ("", "url", "redirect") and not request.found_at.startswith("/"):
        reader.complain(
            f"{where}.found_at is {request.found_at!r}; it must be empty, url, redirect, "
            "or a JSON pointer such as /invitation"
        )
    for header, text in request.headers.items():
        if _SECRET_HEADER.search(header.lower()) and "${secret:" not in text:
            reader.complain(
                f"{where}.headers.{header} holds a secret in clear; put it into stampede_secrets and "
                "write ${secret:NAME} here"
            )
    for text in (request.url, *request.headers.values(), *_texts_in(request.body)):
        _check_placeholders(reader, where, text, KNOWN_VALUES[kind])
    return request


def _check_keys(reader: VariableReader, where: str, entry: Mapping[str, Any], known: set[str]) -> None:
    for key in entry.keys() - known:
        reader.complain(f"{where} has the key {key!r}; it may have {', '.join(sorted(known))}")


def _check_url(reader: VariableReader, where: str, url: str) -> None:
    parts = web_address(url)
    if not parts:
        reader.complain(f"{where} is {url!r}; it must be a URL such as https://issuer.example.org/invitation")
    elif parts.scheme == "http" and not is_loopback(parts.hostname):
        reader.complain(f"{where} is {url!r}; it must start with https:// (http:// is taken for loopback only)")
    elif parts.username or parts.password:
        reader.complain(f"{where} holds a user or password; put them into a header as ${{secret:NAME}}")


def _check_placeholders(reader: VariableReader, where: str, text: str, known: frozenset[str]) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name.startswith("secret:"):
            if name.removeprefix("secret:") not in (reader.variables.get("stampede_secrets") or {}):
                reader.complain(
                    f"{where} uses ${{{name}}}, but stampede_secrets has no {name.removeprefix('secret:')!r}"
                )
        elif name not in known:
            elsewhere = any(name in names for names in KNOWN_VALUES.values())
            reader.complain(
                f"{where} uses ${{{name}}}{', which is not known at this request' if elsewhere else ''}; "
                f"it may use {', '.join(sorted(known))} and secret:NAME"
            )


def _texts_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts_in(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts_in(item)]
    return []
