"""What scripts ask of services by name, and what they give for it: told before anything is sent when it cannot be."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from controller.agents.question import Question
from controller.services.answer import scalar_text
from stampede.schema.errors import BadInput
from stampede.schema.records import LARGEST_MEASURE
from stampede.schema.settings.json_values import not_json
from stampede.schema.settings.placeholders import GIVEN
from stampede.schema.settings.service_settings import Service
from stampede.schema.settings.variable_reader import kind_of, shown

LONGEST_NAME = 64
"""Characters of the name of a step, check or measure of a script's own."""


def service_and_request(name: str, services: Mapping[str, Service]) -> tuple[str, str]:
    """The service, and the name there, of a request as scripts name it: ``portal`` or ``portal.status``. Raises
    BadInput when there is none."""
    check_text("request", "name", name)
    service, own_name = (name, "") if name in services else name.rpartition(".")[::2]
    if service not in services or own_name not in services[service].requests:
        raise unknown_request(name, services.values())
    return service, own_name


def check_given(name: str, wanted: Collection[str], given: Mapping[str, Any]) -> None:
    """Raise BadInput when a script gives other values than the request ``name`` uses."""
    for missing in sorted(set(wanted) - given.keys()):
        raise BadInput(
            f"the request to {name!r} uses ${{given:{missing}}}, which the script does not give; it must, such as by "
            f"{missing}=..."
        )
    for useless in sorted(given.keys() - set(wanted)):
        raise BadInput(
            f"the script gives {useless!r} to the request to {name!r}, which does not use it; it must have "
            f"${{given:{useless}}} in it"
        )
    for key, value in given.items():
        if not isinstance(value, str | int | float | dict | list):
            raise BadInput(
                f"the script gives {key!r} to the request to {name!r} as {kind_of(value)}; it must be a text, a "
                "number, a list or a dict"
            )
        for sentence in not_json(value, key):
            raise BadInput(f"the script gives the request to {name!r} {sentence}")


def given_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a script gives, by the names of the placeholders: texts, lists and mappings."""
    return {
        f"{GIVEN}{name}": value if isinstance(value, dict | list) else scalar_text(value)
        for name, value in given.items()
    }


def check_text(method: str, name: str, value: Any) -> None:
    """Raise BadInput when the argument ``name`` of a holder's method is no text."""
    if not isinstance(value, str) and not _is_assumed(value):
        raise BadInput(f"the script gives holder.{method}() {kind_of(value)} as {name}; it must be a text")


def check_dict(method: str, name: str, value: Any, right: str, *, of_texts: bool = False) -> None:
    """Raise BadInput when the argument ``name`` is no dict that JSON can express, or ``of_texts`` by their names.
    ``right``: what it must be."""
    said = f"the script gives holder.{method}()"
    if not isinstance(value, Mapping):
        raise BadInput(f"{said} {kind_of(value)} as {name}; it must be {right}")
    for sentence in not_json(dict.fromkeys(value) if of_texts else value, name):
        raise BadInput(f"{said} {sentence}")
    for key, each in value.items():
        if of_texts and isinstance(each, Mapping | list | tuple | set) and not _is_assumed(each):
            raise BadInput(f"{said} {kind_of(each)} as {name}[{key!r}]; it must be a text or a number")


def check_name(method: str, name: Any) -> None:
    """Raise BadInput when what a script gives as the name of a series cannot be one."""
    said = f"holder.{method} was given the name {repr(name)[:200]}; it must"
    if not isinstance(name, str) or not name.isprintable() or not name.strip() or len(name) > LONGEST_NAME:
        raise BadInput(f"{said} have 1 to {LONGEST_NAME} printable characters")
    if name.endswith("\\"):  # which line protocol cannot express
        raise BadInput(f"{said} not end in a backslash")


def check_measured(name: str, value: Any) -> None:
    """Raise ValueError when what a script has measured is no number that can be recorded."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"holder.measure({name!r}, ...) was given {kind_of(value)}; it must be a finite number")
    if not abs(value) <= LARGEST_MEASURE:
        raise ValueError(
            f"holder.measure({name!r}, ...) was given {shown(value)}; it must be a finite number, of at most "
            f"{LARGEST_MEASURE:,.0f} on either side of 0"
        )


def _is_assumed(value: Any) -> bool:
    """Whether a value is what the dry run assumes of answers without an ``example``: an empty mapping."""
    return isinstance(value, Mapping) and not value


def check_invitation(method: str, invitation: Any) -> None:
    """Raise BadInput when what a script has in place of an invitation is none."""
    if invitation is not None:
        check_dict(method, "invitation", invitation, "a dict, such as holder.request_invitation() returns")


def check_question(question: Any) -> None:
    """Raise BadInput when what a script answers is no question."""
    if not isinstance(question, Question):
        raise BadInput(
            f"the script gives holder.answer_question() {kind_of(question)} as question; it must be what "
            "holder.receive_question() returned"
        )


def service_weights(given: Any, known: Collection[str]) -> dict[str, float]:
    """The weights by which a script chooses among services. Raises BadInput when there are none to choose by, or a
    service is unknown."""
    said = f"the script gives holder.choose() {shown(given)}"
    if not isinstance(given, Mapping | list | tuple) or not given:
        raise BadInput(f'{said}; it must be service names with weights, such as {{"bank": 3, "shop": 1}}, or a list')
    for service in given:
        if not isinstance(service, str) or service not in known:
            raise unknown_service(service, known)
    weights: dict[str, float] = dict(given if isinstance(given, Mapping) else Counter(given))
    for service, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise BadInput(f"{said}; the weight of {service!r} must be a number, 0 or more")
    if not any(weights.values()):
        raise BadInput(f"{said}; at least one weight must be more than 0")
    return weights


def unknown_request(name: str, services: Iterable[Service]) -> BadInput:
    """The error for a request that no service has."""
    names = sorted(f"{service.name}.{own}".rstrip(".") for service in services for own in service.requests)
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    has = f"which has {', '.join(names)}" if names else "which has none"
    return BadInput(
        f"the script sends the request {name!r}, but it is no request of stampede_services, {has}; 'portal' would be "
        f"the request of the service portal, 'portal.status' the one that its requests have as status{hint}"
    )


def unknown_service(service: str, known: Iterable[str]) -> BadInput:
    """The error for a service name that ``stampede_services`` does not have."""
    names = sorted(known)
    nearest = difflib.get_close_matches(str(service), names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return BadInput(
        f"the script asks for the service {service!r}, but stampede_services has {', '.join(names)}{hint}"
    )
