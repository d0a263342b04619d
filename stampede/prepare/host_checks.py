"""What the variables of each load host must be: every host has its own, and a wrong one is told with its hosts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from stampede import wording
from stampede.schema.settings.request_reader import written_requests
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.targets import did_urls
from stampede.schema.settings.variable_reader import VariableReader, shown
from stampede.schema.settings.variables import OF_THE_RUN, VARIABLES
from stampede.schema.settings.web_address import is_loopback

type Variables = Mapping[str, Any]

MOST_NAMED = 3
"""Hosts that a sentence names."""
HIGHEST_PORT = 65535
BESIDE_THE_RUN = 300.0
"""Seconds for which a run keeps its hosts beside its duration and its end: to prepare them, and to collect."""
PORT_ROLES = {
    "stampede_reference_port": "reference_services",
    "stampede_influxdb_port": "influxdb",
    "stampede_grafana_port": "grafana",
    "stampede_postgresql_port": "postgresql",
}
"""The variables with the port of what Stampede itself may run beside agents, and the roles that describe them."""


def of_all(
    hosts: Mapping[str, Variables],
    check: Callable[[Variables], list[str]],
    matters: Callable[[Variables], object] = lambda variables: variables,
) -> list[str]:
    """What ``check`` says of the hosts' variables, asked once for hosts that are alike in what ``matters``."""
    answers: dict[str, list[str]] = {}
    said = {}
    for host, variables in hosts.items():
        kind = repr(matters(variables))
        if kind not in answers:
            answers[kind] = check(variables)
        said[host] = answers[kind]
    return together(said)


def together(said: Mapping[str, list[str]]) -> list[str]:
    """The sentences about each host as one list; what is not about all hosts names those that it is about."""
    about: dict[str, list[str]] = {}
    for host, sentences in said.items():
        for sentence in dict.fromkeys(sentences):
            about.setdefault(sentence, []).append(host)
    return [
        sentence if len(names) == len(said) else f"{sentence} (on {_listed(names)})"
        for sentence, names in about.items()
    ]


def different(hosts: Mapping[str, Variables]) -> list[str]:
    """A sentence for each variable of the run that is not the same on all hosts."""
    sentences = []
    for variable in sorted(OF_THE_RUN):
        found: dict[str, tuple[Any, str]] = {}
        for host, variables in hosts.items():
            value = variables.get(variable)
            found.setdefault(repr(_read(variable, value, otherwise=value)), (value, host))
        if len(found) > 1:
            (one, first), (other, second), *_ = found.values()
            sentences.append(
                f"{variable} is {shown(one)} on {first}, but {shown(other)} on {second}; it must be the same on "
                "all load hosts"
            )
    return sentences


def kept_seconds(settings: Settings) -> float:
    """How long a run keeps its hosts, from the check to its report; 0 when it has no set end."""
    duration = settings.load.plan.duration
    return duration + settings.drain + settings.influxdb_flush + BESIDE_THE_RUN if duration else 0.0


def ends_too_soon(variables: Variables, needed: float, now: float) -> list[str]:
    """A sentence when a host will end before a run that keeps it for ``needed`` seconds does."""
    expires = VariableReader(variables).read("expires")
    left = expires - now
    if not expires or left > needed:
        return []
    return [
        f"stampede_expires is {expires:.0f}: the host ends itself "
        f"{f'in {wording.duration(left)}' if left > 0 else 'now'}, and the run needs "
        f"{wording.duration(needed) if needed else 'some time'}; make new hosts, or shorten the run"
    ]


def missing_python(variables: Variables) -> list[str]:
    """A sentence when ``stampede_python`` is not there, where this machine is the load host; others get theirs."""
    python = variables.get("stampede_python")
    if not _is_on(variables, "stampede_local") or not isinstance(python, str) or shutil.which(python):
        return []
    return [
        f"stampede_python is {shown(python)}, but no such program is on this machine; it must be a Python that "
        "has the packages of requirements-host.txt"
    ]


def neighbours(variables: Variables, here: str, services_host: str, metrics_host: str) -> list[str]:
    """The variables with the ports of what Stampede would run on the same machine as the agents. ``here`` and the
    others are addresses; the reference services of a local run are where the run is."""
    found = []
    if _is_on(variables, "stampede_reference_services") and (
        _is_on(variables, "stampede_local") or here == services_host
    ):
        found.append("stampede_reference_port")
    if variables.get("stampede_metrics") == "install" and here == metrics_host:
        found.append("stampede_influxdb_port")
        if _is_on(variables, "stampede_grafana", by_default=True):
            found.append("stampede_grafana_port")
    if variables.get("stampede_wallet_storage") == "postgresql" and not (
        variables.get("stampede_postgresql_url") or _is_on(variables, "stampede_local")
    ):
        found.append("stampede_postgresql_port")
    return found


def taken_ports(variables: Variables, others: Collection[str], repository: Path) -> list[str]:
    """A sentence when an agent would get a port that there is not, or that is another service's on the same machine:
    that of one of the variables ``others``, or one that a URL of the settings names on loopback. Agents whose holders
    are phones get none."""
    if _read("stampede_mediator_pickup", variables.get("stampede_mediator_pickup"), otherwise="none") != "none":
        return []
    first, agents = (
        _read(f"stampede_{name}", variables.get(f"stampede_{name}")) for name in ("agent_port", "agents")
    )
    if not isinstance(first, int) or not isinstance(agents, int):
        return []
    if not agents:  # one per core; those of another machine are not known yet
        agents = len(os.sched_getaffinity(0)) if _is_on(variables, "stampede_local") else 1
    last = first + agents - 1
    ports = f"port is {last}" if last == first else f"ports are {first} to {last}"
    if last > HIGHEST_PORT:
        most = HIGHEST_PORT - agents + 1
        return [
            f"stampede_agent_port is {first}, but for {wording.number(agents, 'agent')} it must be at most {most}"
        ]
    for variable, port in (*_own_ports(variables, others, repository), *_loopback_ports(variables)):
        if first <= port <= last:
            return [
                f"stampede_agent_port is {first}, so that the agents' {ports}, but {variable} has {port} on the same "
                "machine; one of them must be another"
            ]
    return []


def _own_ports(variables: Variables, others: Collection[str], repository: Path) -> Iterator[tuple[str, int]]:
    for variable in others:
        value = variables.get(variable)
        if value is None:
            defaults = repository / "roles" / PORT_ROLES[variable] / "defaults/main.yml"
            value = yaml.safe_load(defaults.read_text(encoding="utf-8"))[variable]
        port = _read(variable, value)
        if isinstance(port, int):
            yield variable, port


def _loopback_ports(variables: Variables) -> Iterator[tuple[str, int]]:
    urls = [(f"{name}.url", request.get("url")) for name, request in written_requests(variables)]
    urls += [
        (name, variables.get(name))
        for name in (
            "stampede_mediator_invitation",
            "stampede_postgresql_url",
            "stampede_influxdb_url",
            "stampede_otlp_url",
            "stampede_genesis_url",
        )
    ]
    ledgers = variables.get("stampede_ledgers")
    urls += [
        (f"stampede_ledgers[{place}].genesis_url", entry.get("genesis_url"))
        for place, entry in enumerate(ledgers if isinstance(ledgers, list | tuple) else ())
        if isinstance(entry, Mapping)
    ]
    did = variables.get("stampede_mediator_did")
    urls += [("stampede_mediator_did", url) for url in (did_urls(did) if isinstance(did, str) else ())]
    for variable, url in urls:
        with suppress(ValueError):
            parts = urlsplit(url if isinstance(url, str) else "")
            if parts.port and is_loopback(unquote(parts.hostname or "")):
                yield variable, parts.port


def _is_on(variables: Variables, variable: str, by_default: bool = False) -> bool:
    return bool(_read(variable, variables[variable])) if variable in variables else by_default


def _read(variable: str, value: Any, otherwise: Any = None) -> Any:
    """A value in its shape; ``otherwise`` when it has another, which is told elsewhere."""
    try:
        return VARIABLES[variable].read(value)
    except (ValueError, TypeError):
        return otherwise


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
