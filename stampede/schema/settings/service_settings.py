"""The services under test: which requests each has, and what holders take for the end of a presentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stampede.schema.records import SENT, VERIFIED
from stampede.schema.settings.placeholders import fill_in as fill_in
from stampede.schema.settings.placeholders import names_in, pointer_of
from stampede.schema.settings.request_reader import check_keys, check_placeholders, choice, line, read_request
from stampede.schema.settings.request_settings import KNOWN_VALUES as KNOWN_VALUES
from stampede.schema.settings.request_settings import HttpRequest, ResultRequest
from stampede.schema.settings.variable_reader import VariableReader, kind_of, shown

ACKNOWLEDGED = "acknowledged"
DONE = (VERIFIED, ACKNOWLEDGED, SENT)
"""What ``done`` may be: when a presentation is done."""

MEDIATOR = "the mediator"
"""As which service holders ask their mediator for an invitation: a name that none of stampede_services can have."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NOTHING = HttpRequest(url="")


@dataclass(frozen=True, slots=True)
class Service:
    """An issuer or verifier under test, or anything else that is asked by HTTPS."""

    name: str
    invitation: HttpRequest = _NOTHING
    """Without a URL when it has none."""
    revocation: HttpRequest | None = None
    ca_file: str = ""
    result: ResultRequest | None = None
    """How a verifier is asked what it found of a presentation; None: it is not asked."""
    done: str = ACKNOWLEDGED
    """When a presentation to it is done: one of ``DONE``."""
    requests: Mapping[str, HttpRequest] = field(default_factory=dict)
    """Those that scripts send, by their names; the one without a name by the service's alone."""

    @property
    def is_done_when_sent(self) -> bool:
        """Whether nobody waits for the verifier's acknowledgement."""
        when = self.result.when if self.done == VERIFIED and self.result else self.done
        return when == SENT

    def kinds(self) -> Iterator[tuple[str, str, HttpRequest]]:
        """The requests that the service has: the key of each in the settings, its kind, and the last of its list."""
        for kind, request in (
            ("invitation", self.invitation),
            ("revocation", self.revocation),
            ("result", self.result),
        ):
            if request and request.url:
                yield kind, kind, request
        for name, request in self.requests.items():
            yield f"requests.{name}" if name else "request", "request", request

    def urls(self) -> Iterator[tuple[str, str]]:
        """The URLs of all requests, each with its key in the settings."""
        for key, _, request in self.kinds():
            for place, each in enumerate(request.in_order):
                where = f"{key}[{place}]" if request.before else key
                yield f"{where}.url", each.url
                if each.poll and each.poll.url:
                    yield f"{where}.poll.url", each.poll.url

    def handed_on(self) -> dict[str, str]:
        """The placeholders for parts of answers that further requests of the service use, each with the key of such a
        one. What the later requests of an invitation's list use, they have when the invitation is there."""
        return {
            name: key
            for key, kind, request in self.kinds()
            for each in (request.in_order[:1] if kind == "invitation" else request.in_order)
            for name in names_in(each.texts)
            if pointer_of(name)
        }

    def answer_pointers(self) -> dict[str, str]:
        """What must be in the answer with the invitation, since later requests can have it from nowhere else: by JSON
        pointer, the key of such a request."""
        if self.requests:
            return {}
        return {
            found[1]: key
            for key, kind, request in self.kinds()
            for name in names_in(request.in_order[0].texts)
            if kind != "invitation" and (found := pointer_of(name)) and not found[0]
        }


def variable_of(service: str, key: str) -> str:
    """How the settings name a part of a service, such as ``invitation.url``."""
    if service == MEDIATOR:
        return f"stampede_mediator_invitation{key.removeprefix('invitation')}"
    return f"stampede_services.{service}.{key}"


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
    if not isinstance(entry, Mapping) or not {"invitation", "request", "requests"} & entry.keys():
        reader.complain(f"{where} is {kind_of(entry)}; it must be a mapping with an invitation request in it")
        return Service(name)
    check_keys(reader, where, entry, {*KNOWN_VALUES, "requests", "ca_file", "done"})
    read = {
        kind: read_request(reader, f"{where}.{kind}", kind, entry[kind])
        for kind in KNOWN_VALUES
        if kind in entry and (entry[kind] is not None or kind == "invitation")
    }
    result = read.get("result")
    requests = {"": found} if (found := read.get("request")) else {}
    service = Service(
        name,
        read.get("invitation") or _NOTHING,
        read.get("revocation"),
        line(reader, f"{where}.ca_file", entry.get("ca_file")),
        result if isinstance(result, ResultRequest) else None,
        _read_done(reader, f"{where}.done", entry),
        requests | _read_requests(reader, f"{where}.requests", entry.get("requests")),
    )
    for key, kind, request in service.kinds():
        earlier = len(service.invitation.in_order) if kind != "invitation" and service.invitation.url else 0
        check_placeholders(reader, f"{where}.{key}", kind, request, earlier, bool(service.requests))
    return service


def _read_done(reader: VariableReader, where: str, entry: Mapping[str, Any]) -> str:
    has_result = entry.get("result") is not None
    if entry.get("done") is None:
        return VERIFIED if has_result else ACKNOWLEDGED
    done = choice(reader, where, entry["done"], DONE)
    if done == VERIFIED and not has_result and done == entry["done"]:
        reader.complain(
            f"{where} is {done!r}, but the service has no result request; it must be {ACKNOWLEDGED} or {SENT}, or "
            "have one"
        )
    return done


def _read_requests(reader: VariableReader, where: str, entry: Any) -> dict[str, HttpRequest]:
    if entry is None:
        return {}
    if not isinstance(entry, Mapping) or not entry:
        reader.complain(
            f"{where} is {kind_of(entry)}; it must map names to requests, such as status: {{url: https://...}}"
        )
        return {}
    requests = {}
    for name, each in entry.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            reader.complain(f"{where} has the name {shown(name)}; it must be 1 to 64 of A-Z a-z 0-9 . _ -")
        elif request := read_request(reader, f"{where}.{name}", "request", each):
            requests[name] = request
    return requests
