"""Reads requests to services, and notes a sentence for each that cannot be sent."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from stampede.schema.settings.json_values import not_json, texts_in
from stampede.schema.settings.placeholders import (
    ANSWER,
    DATA,
    GIVEN,
    SECRET,
    is_of_the_moment,
    is_placeholder,
    names_in,
    pointer_of,
)
from stampede.schema.settings.request_settings import (
    KNOWN_VALUES,
    SECRET_HEADER,
    HttpRequest,
    Poll,
    ResultRequest,
    ScriptRequest,
)
from stampede.schema.settings.shapes import CONTROL, LONGEST_TEXT, Duration, TooMuch
from stampede.schema.settings.variable_reader import VariableReader, kind_of, shown
from stampede.schema.settings.web_address import is_loopback, web_address

MOST_REQUESTS = 10
"""Requests that are sent one after another for one answer."""
RESERVED = frozenset({"connection", "self", "service"})
"""Names that scripts cannot give values by: they are those of parameters."""

_OF_THE_CONNECTION = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that say how a message is sent (RFC 9110, 9112), which the HTTP client decides."""
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
"""A token of HTTP (RFC 9110)."""
_UNCLOSED = re.compile(r"\$\{[^}]{0,40}(?![^}]*\})")
"""A placeholder without its end."""
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")
"""A JSON pointer (RFC 6901), but not the empty one."""

_REQUEST_OF = {"result": ResultRequest, "request": ScriptRequest}
_FIRST = frozenset({"url", "method", "headers", "body", "poll"})
"""The keys of a request that another one follows."""
_KEYS = {
    kind: frozenset(item.name for item in dataclasses.fields(_REQUEST_OF.get(kind, HttpRequest))) - {"before"}
    for kind in KNOWN_VALUES
}
_KEYS["result"] -= {"poll"}
_POLLED = frozenset({"invitation", "request"})
"""Kinds of requests whose answer is needed, so that one with the status 202 is asked for again."""
_DEEPEST = 5
"""Levels below a service at which there may be a request: ``requests.NAME[0].poll``."""
_VERDICTS = ("verified", "refused", "pending")
_TIMES = ("interval", "limit")


def read_request(reader: VariableReader, where: str, kind: str, entry: Any) -> HttpRequest | None:
    """A request, or several in a list that are sent one after another; None when it cannot be read.

    ``where`` is its name in the settings, ``kind`` one of ``KNOWN_VALUES``. What is wrong with it is noted.
    """
    if not isinstance(entry, list | tuple):
        return _read_one(reader, where, kind, entry)
    if not 0 < len(entry) <= MOST_REQUESTS:
        reader.complain(f"{where} is a list of {len(entry)}; it must have 1 to {MOST_REQUESTS} requests")
        return None
    *before, last = (
        _read_one(reader, f"{where}[{place}]", kind, each, is_last=place == len(entry) - 1)
        for place, each in enumerate(entry)
    )
    if last is None or None in before:
        return None
    return dataclasses.replace(last, before=tuple(each for each in before if each))


def _read_one(
    reader: VariableReader, where: str, kind: str, entry: Any, *, is_last: bool = True
) -> HttpRequest | None:
    told = len(reader.problems)
    if not isinstance(entry, Mapping):
        reader.complain(f"{where} is {kind_of(entry)}; it must be a mapping with a url in it")
        return None
    check_keys(reader, where, entry, _KEYS[kind] if is_last else _FIRST)
    request = HttpRequest(
        url=line(reader, f"{where}.url", entry.get("url")),
        method=line(reader, f"{where}.method", entry.get("method")).upper() or _usual_method(kind, entry, is_last),
        headers=read_headers(reader, f"{where}.headers", entry.get("headers")),
        body=entry.get("body"),
        found_at=line(reader, f"{where}.found_at", entry.get("found_at")),
        poll=_read_poll(reader, f"{where}.poll", entry.get("poll"), kind in _POLLED or not is_last),
    )
    reader.problems += list(not_json(request.body, f"{where}.body"))[:1]
    if len(reader.problems) > told:
        return None
    _check_url(reader, f"{where}.url", request.url)
    if not re.fullmatch(r"[A-Z]+", request.method) or request.method == "CONNECT":
        reader.complain(f"{where}.method is {request.method!r}; it must be an HTTP method such as POST or GET")
    _check_found_at(reader, where, kind, request.found_at)
    for text in texts_in(request.texts):
        if unclosed := _UNCLOSED.search(text):
            reader.complain(f"{where} has {shown(unclosed[0])} with no closing brace; it must be ${{NAME}}")
    if not is_last:
        return request
    if kind == "result":
        return _read_result(reader, where, entry, request)
    if kind == "request":
        return _read_script_request(reader, where, entry, request)
    return request


def _usual_method(kind: str, entry: Mapping[str, Any], is_last: bool) -> str:
    if kind in ("invitation", "revocation") or not is_last:
        return "POST"
    return "GET" if kind == "result" or entry.get("body") is None else "POST"


def _check_found_at(reader: VariableReader, where: str, kind: str, found_at: str) -> None:
    if kind != "invitation":
        if found_at and not _POINTER.fullmatch(found_at):
            reader.complain(f"{where}.found_at is {found_at!r}; it must be empty or a JSON pointer such as /state")
    elif found_at not in ("", "url", "redirect") and not _POINTER.fullmatch(found_at):
        reader.complain(
            f"{where}.found_at is {found_at!r}; it must be empty, url, redirect, "
            "or a JSON pointer such as /invitation"
        )


def _read_poll(reader: VariableReader, where: str, entry: Any, by_default: bool) -> Poll | None:
    if entry is None or isinstance(entry, bool):
        return Poll(at_once=entry is True) if (by_default if entry is None else entry) else None
    if not isinstance(entry, Mapping):
        reader.complain(f"{where} is {kind_of(entry)}; it must be true, false, or a mapping such as {{limit: 30s}}")
        return None
    check_keys(reader, where, entry, {item.name for item in dataclasses.fields(Poll)} - {"at_once"})
    poll = Poll(
        url=line(reader, f"{where}.url", entry.get("url")),
        found_at=line(reader, f"{where}.found_at", entry.get("found_at")),
        pending=_read_values(reader, f"{where}.pending", entry.get("pending")),
        at_once=True,
        **_read_times(reader, where, entry),
    )
    _check_found_at(reader, where, "", poll.found_at)
    if poll.found_at and not poll.pending:
        reader.complain(f"{where}.pending is empty; it must list what at {poll.found_at} means not yet")
    if poll.url:
        _check_url(reader, f"{where}.url", poll.url)
    return poll


def _read_result(reader: VariableReader, where: str, entry: Mapping[str, Any], request: HttpRequest) -> ResultRequest:
    more: dict[str, Any] = {
        name: _read_values(reader, f"{where}.{name}", entry[name]) for name in _VERDICTS if name in entry
    }
    if entry.get("verified", True) in ([], (), None):
        reader.complain(f"{where}.verified is empty; it must list what says that a presentation is verified")
    more |= _read_times(reader, where, entry)
    if "when" in entry:
        more["when"] = choice(reader, f"{where}.when", entry["when"], ("acknowledged", "sent"))
    result = ResultRequest(**_fields(request), **more)
    every = [*result.verified, *result.refused, *result.pending]
    for text in dict.fromkeys(text for text in every if every.count(text) > 1):
        reader.complain(f"{where} has {text!r} more than once; it must mean one of verified, refused and pending")
    return result


def _read_script_request(
    reader: VariableReader, where: str, entry: Mapping[str, Any], request: HttpRequest
) -> ScriptRequest:
    reader.problems += list(not_json(entry.get("example"), f"{where}.example"))[:1]
    return ScriptRequest(**_fields(request), example=entry.get("example"))


def _fields(request: HttpRequest) -> dict[str, Any]:
    return {item.name: getattr(request, item.name) for item in dataclasses.fields(HttpRequest)}


def _read_values(reader: VariableReader, where: str, value: Any) -> tuple[str, ...]:
    """Values as the texts that JSON has for them; a single one stands for a list of one."""
    values = value if isinstance(value, list | tuple) else [] if value is None else [value]
    if wrong := [item for item in values if not isinstance(item, str | int | float)]:
        reader.complain(f"{where} has {shown(wrong[0])}; it must list texts, numbers, true or false")
        return ()
    return tuple(dict.fromkeys(str(item).lower() if isinstance(item, bool) else str(item) for item in values))


def _read_times(reader: VariableReader, where: str, entry: Mapping[str, Any]) -> dict[str, float]:
    shape, times = Duration(above_zero=True), {}
    for name in _TIMES:
        if name in entry:
            try:
                times[name] = shape.read(entry[name])
            except TooMuch as error:
                reader.complain(f"{where}.{name} is {shown(entry[name])}; it must be {error}")
            except (ValueError, TypeError):
                reader.complain(f"{where}.{name} is {shown(entry[name])}; it must be {shape.right}")
    return times


def read_headers(reader: VariableReader, where: str, entry: Any) -> dict[str, str]:
    """The headers of requests; each that cannot be sent, or holds a secret in clear, is noted and left out."""
    if entry is None:
        return {}
    if not isinstance(entry, Mapping):
        reader.complain(f"{where} is {kind_of(entry)}; it must map the names of headers to texts")
        return {}
    headers = {}
    for name, value in entry.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            reader.complain(f"{where} has the name {shown(name)}; it must be that of an HTTP header, such as Accept")
        elif name.lower() in _OF_THE_CONNECTION:
            reader.complain(f"{where} has {name}, which the HTTP client decides; it must be left out")
        elif isinstance(value, bool) or not isinstance(value, str | int | float) or CONTROL.search(str(value)):
            reader.complain(
                f"{where}.{name} is {kind_of(value)} that cannot be a header's; it must be a text in one line"
            )
        elif SECRET_HEADER.search(name.lower()) and not any(map(is_of_the_moment, names_in(str(value)))):
            reader.complain(
                f"{where}.{name} holds a secret in clear; put it into stampede_secrets and "
                "write ${secret:NAME} here"
            )
        else:
            headers[name] = str(value)
    return headers


def line(reader: VariableReader, where: str, value: Any) -> str:
    """A text in one line; empty for nothing."""
    if value is None:
        return ""
    if not isinstance(value, str) or CONTROL.search(value) or len(value) > LONGEST_TEXT:
        reader.complain(f"{where} is {shown(value)}; it must be a text in one line")
        return ""
    return value


def choice(reader: VariableReader, where: str, value: Any, choices: tuple[str, ...]) -> str:
    """One of a few words; the first when it is none of them."""
    if isinstance(value, str) and value in choices:
        return value
    reader.complain(f"{where} is {shown(value)}; it must be one of {', '.join(choices)}")
    return choices[0]


def check_keys(reader: VariableReader, where: str, entry: Mapping[str, Any], known: Collection[str]) -> None:
    """Note each key of a mapping that is not known."""
    for key in [key for key in entry if key not in known]:
        reader.complain(f"{where} has the key {shown(key)}; it may have {', '.join(sorted(known))}")


def _check_url(reader: VariableReader, where: str, url: str) -> None:
    if is_placeholder(url):
        return  # what it is, is known when it is sent
    parts = web_address(url)
    if not parts:
        reader.complain(f"{where} is {shown(url)}; it must be a URL such as https://issuer.example.org/invitation")
    elif parts.scheme == "http" and not is_loopback(parts.hostname):
        reader.complain(f"{where} is {shown(url)}; it must start with https:// (http:// is taken for loopback only)")
    elif parts.username or parts.password:
        reader.complain(f"{where} holds a user or password; put them into a header as ${{secret:NAME}}")


def check_placeholders(
    reader: VariableReader, where: str, kind: str, request: HttpRequest, earlier: int, has_requests: bool
) -> None:
    """Note each placeholder that is not known when a request is sent.

    ``earlier``: how many requests the service's invitation has, when it comes before this one. ``has_requests``:
    whether a script may have sent other requests to the service before.
    """
    several = len(request.in_order) > 1
    for place, each in enumerate(request.in_order):
        name_of_it = f"{where}[{place}]" if several else where
        for texts, answered in (((each.url, each.headers, each.body), place), ((each.poll or Poll()).url, place + 1)):
            numbered = max(answered, earlier)
            for name in names_in(texts):
                _check_placeholder(reader, name_of_it, kind, name, numbered, bool(numbered) or has_requests)


def _check_placeholder(
    reader: VariableReader, where: str, kind: str, name: str, numbered: int, is_answered: bool
) -> None:
    if name.startswith(SECRET):
        secret = name.removeprefix(SECRET)
        if secret not in reader.secrets:
            reader.complain(f"{where} uses ${{{name}}}, but stampede_secrets has no {secret!r}")
    elif name.startswith(DATA):
        if not reader.variables.get("stampede_data"):
            reader.complain(
                f"{where} uses ${{{name}}}, but stampede_data names no file; it must, such as {{file: users.csv}}"
            )
    elif name.startswith(GIVEN) and kind != "result":
        given = name.removeprefix(GIVEN)
        if not given.isidentifier() or given in RESERVED:
            reader.complain(
                f"{where} uses ${{{name}}}; what a script gives must have a name such as ${{given:email}}, which is "
                f"a name in Python and none of {', '.join(sorted(RESERVED))}"
            )
    elif found := pointer_of(name):
        number, pointer = found
        if not is_answered or not _POINTER.fullmatch(pointer):
            reader.complain(
                f"{where} uses ${{{name}}}; it must be a JSON pointer into the answer with the invitation, such "
                f"as ${{{ANSWER}/id}}, in a request that comes after it"
            )
        elif number > numbered:
            reader.complain(
                f"{where} uses ${{{name}}}, but only {numbered} of a list come before it; it must be "
                f"${{{ANSWER}{pointer}}} or have a lower number"
            )
    elif name not in KNOWN_VALUES[kind]:
        elsewhere = any(name in names for names in KNOWN_VALUES.values())
        answer = f", {ANSWER}/POINTER" if is_answered else ""
        given = "" if kind == "result" else f", or {GIVEN}NAME, which the script gives"
        reader.complain(
            f"{where} uses ${{{name}}}{', which is not known at this request' if elsewhere else ''}; "
            f"it may use {', '.join(sorted(KNOWN_VALUES[kind]))}{answer} and secret:NAME{given}"
        )


def written_requests(variables: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every request as the settings have it, right or wrong, with its name there."""

    def within(where: str, value: Any, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if isinstance(value, Mapping):
            yield where, value
            inner = [(f".{key}", item) for key, item in value.items() if key not in ("headers", "body", "example")]
        else:
            items = value if isinstance(value, list | tuple) else ()
            inner = [(f"[{place}]", item) for place, item in enumerate(items)]
        for name, item in inner if depth < _DEEPEST else ():
            yield from within(where + name, item, depth + 1)

    services = variables.get("stampede_services")
    yield from within("stampede_mediator_invitation", variables.get("stampede_mediator_invitation"), 0)
    for name, service in services.items() if isinstance(services, Mapping) else ():
        yield from within(f"stampede_services.{name}", service, 0)
