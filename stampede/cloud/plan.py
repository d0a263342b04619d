"""What has to be made so that a fleet is as its settings say, what that costs, and what of it is there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stampede import wording
from stampede.cloud import keys
from stampede.cloud.hosts import FLEET, OWNER, RUNNING, STARTING, CloudHost, name_of
from stampede.schema.errors import BadInput
from stampede.schema.settings.variables import CloudVariables

PROVIDERS = {"aws": "AWS", "hetzner": "Hetzner"}
BY_STARTED_HOURS = ("hetzner",)
"""Providers that charge an hour for each that has begun. https://docs.hetzner.com/cloud/billing/faq"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``cloud-up.yml`` is about to do."""

    missing: Sequence[str]
    """Names of the hosts to make."""
    expires: int
    """When their time is over, in seconds since 1970."""
    text: str
    """In a sentence, with what it costs at most."""


def plan(fleet: CloudVariables, there: Sequence[CloudHost], price: float, now: float) -> Plan:
    """Compare a fleet with its settings.

    ``there``: its hosts that cost money. ``price``: of a host for an hour, 0 if it is not known. ``now``: seconds
    since 1970. Raises BadInput when the fleet is somebody else's, or cannot become what the settings say.
    """
    wanted = [name_of(number) for number in range(1, fleet.hosts + 1)]
    if problems := others(fleet, there):
        raise BadInput(*problems)
    if surplus := [host for host in there if host.name not in wanted]:
        problems.append(
            f"Fleet {fleet.name} has {names(surplus)} already, and cloud_hosts is {fleet.hosts}; stampede cloud down "
            "ends the whole fleet, no host is taken from it"
        )
    counts = Counter(host.name for host in there if host.name in wanted)
    problems += [
        f"{name} was made {count} times: {names(host for host in there if host.name == name)}; end all but one in "
        "the provider's console, or the fleet with stampede cloud down"
        for name, count in counts.items()
        if count > 1
    ]
    problems += [
        f"{host.label} is not running; end it in the provider's console, or the fleet with stampede cloud down"
        for host in there
        if host.state != RUNNING and host.state not in STARTING
    ]
    if mistaken := keys.taken(fleet):
        problems += mistaken
    elif there and not (keys.folder_of(fleet) / keys.KEY).exists():
        problems.append(
            f"Fleet {fleet.name} was made elsewhere: its keys are not in {fleet.keys_dir}; copy that folder from the "
            "machine that made it, or end the fleet with stampede cloud down"
        )
    if problems:
        raise BadInput(*problems)
    missing = [name for name in wanted if name not in counts]
    return Plan(missing, round(now + fleet.ttl), _in_words(fleet, len(missing), price))


def others(fleet: CloudVariables, hosts: Iterable[CloudHost]) -> list[str]:
    """A sentence when hosts of the fleet's name are somebody else's."""
    strangers = [host for host in hosts if host.owner != fleet.owner]
    if not strangers:
        return []
    owners = ", ".join(sorted({host.owner or "nobody" for host in strangers}))
    return [
        f"cloud_name is {fleet.name}, which is in use: {names(strangers)} {are(strangers)} owned by {owners}, and "
        f"cloud_owner is {fleet.owner}; choose another cloud_name"
    ]


def taken(fleet: CloudVariables, things: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each thing that has a name of the fleet's, but not its tags, and would be adopted by its name.

    ``things``: what modules list.
    """
    problems = []
    for thing in things:
        tags = thing.get("labels") or thing.get("tags") or {}
        if (tags.get(FLEET), tags.get(OWNER)) != (fleet.name, fleet.owner):
            name = thing.get("name") or thing.get("group_name") or thing.get("launch_template_name")
            id_ = thing.get("id") or thing.get("group_id") or thing.get("launch_template_id")
            problems.append(
                f"{name} ({id_}) is there already, and is not {fleet.owner}'s of fleet {fleet.name} by its "
                f"{FLEET} and {OWNER}; choose another cloud_name, or rename or remove it in the provider's console"
            )
    return problems


def unknown(there: Iterable[CloudHost], asked: Collection[str]) -> list[str]:
    """A sentence when hosts that may have results were not asked for them.

    ``asked``: names of those that were, and have none. One that is off has its disk still.
    """
    silent = [host for host in there if host.name not in asked and host.state not in STARTING]
    if not silent:
        return []
    off = any(host.state != RUNNING for host in silent)
    power = "power on what is off, which stays on for 15 minutes, and " if off else ""
    return [
        f"Nobody knows whether {names(silent)} {'have' if silent[1:] else 'has'} results that were not collected, "
        f"for {'they' if silent[1:] else 'it'} could not be asked; {power}collect them with stampede collect, or "
        "discard what there is with -e stampede_discard_runs=true"
    ]


def remains(fleet: CloudVariables, there: Sequence[CloudHost], reason: str, perhaps: Sequence[str] = ()) -> str:
    """Why a fleet could not be made, and what of it costs money now.

    ``perhaps``: names of hosts that were asked for, and that the provider could not be asked about since.
    """
    more = [name for name in perhaps if name not in {host.name for host in there}]
    count = len(there) + len(more)
    if not count:
        return f"{reason}. Nothing of fleet {fleet.name} is there, so that nothing costs money"
    verb = "are" if count > 1 else "is"
    return (
        f"{reason}. {count} of {fleet.hosts} hosts {verb}{' or may be' if more else ''} there and "
        f"cost{'' if count > 1 else 's'} money: {', '.join([*(host.label for host in there), *more])}; "
        "stampede cloud up goes on, stampede cloud down ends the fleet"
    )


def not_ended(condemned: Sequence[CloudHost], reason: str, left: Sequence[str] | None = None) -> str:
    """Why a fleet could not be ended, and what may cost money still.

    ``left``: names of what the provider has yet; None when it could not be asked.
    """
    there = names(condemned) if left is None else ", ".join(left)
    if not there:
        return reason
    perhaps = "Perhaps still" if left is None else "Still"
    return (
        f"{reason}. {perhaps} there, and at your expense: {there}; play it again, or end what is there in the "
        "provider's console"
    )


def status(fleet: CloudVariables, there: Sequence[CloudHost], now: float) -> list[str]:
    """A line for each host: its name, kind, address, state, and how much time it has left."""
    if not there:
        return [f"Nothing of fleet {fleet.name} is there"]
    rows = [
        (host.name, host.kind, host.public or host.private, host.state, _left(host.expires, now), host.owner)
        for host in there
    ]
    rows.insert(0, ("host", "kind", "address", "state", "time left", "owner"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _left(expires: float, now: float) -> str:
    if not expires:
        return "unknown"
    return wording.duration(expires - now) if expires > now else "over"


def names(hosts: Iterable[CloudHost]) -> str:
    """What a person needs to find the hosts in the provider's console."""
    return ", ".join(host.label for host in hosts)


def are(hosts: Sequence[CloudHost]) -> str:
    """The verb for so many hosts."""
    return "are" if hosts[1:] else "is"


def _in_words(fleet: CloudVariables, missing: int, price: float) -> str:
    hours = fleet.ttl / 3600
    if fleet.provider in BY_STARTED_HOURS:
        hours = math.ceil(hours)
    most = f"{wording.number(fleet.hosts, 'host')} x {hours:.3g} h"
    cost = (
        f"{most} x {price:.4g} = {fleet.hosts * hours * price:.2f} at most"
        if price
        else f"{most} at most, at a price that is not known: cloud_price is not set"
    )
    return (
        f"Fleet {fleet.name} at {PROVIDERS[fleet.provider]} in {fleet.region}: {fleet.hosts} of {fleet.type}, "
        f"{missing or 'none'} to be made. {cost}"
    )
