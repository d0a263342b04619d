"""What has to be made so that a fleet is as its settings say, what that costs, and what of it is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stampede import wording
from stampede.cloud.hosts import RUNNING, STARTING, CloudHost, name_of
from stampede.schema.errors import BadInput
from stampede.schema.settings.variables import CloudVariables

KEY = "id_ed25519"
"""File of the folder of keys: the private key of ``cloud_user``."""
PROVIDERS = {"aws": "AWS", "hetzner": "Hetzner"}


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
    names = {host.name for host in there}
    if surplus := sorted(names - set(wanted)):
        problems.append(
            f"Fleet {fleet.name} has {', '.join(surplus)} already, and cloud_hosts is {fleet.hosts}; cloud-down.yml "
            "ends the whole fleet, no host is taken from it"
        )
    problems += [
        f"{host.label} is not running; end it in the provider's console, or the fleet by cloud-down.yml"
        for host in there
        if host.state != RUNNING and host.state not in STARTING
    ]
    if there and not (Path(fleet.keys_dir) / KEY).exists():
        problems.append(
            f"Fleet {fleet.name} was made elsewhere: its keys are not in {fleet.keys_dir}; copy that folder from the "
            "machine that made it, or end the fleet by cloud-down.yml"
        )
    if problems:
        raise BadInput(*problems)
    missing = [name for name in wanted if name not in names]
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


def remains(fleet: CloudVariables, there: Sequence[CloudHost], reason: str) -> str:
    """Why a fleet could not be made, and what of it costs money now."""
    if not there:
        return f"{reason}. Nothing of fleet {fleet.name} is there, so that nothing costs money"
    return (
        f"{reason}. {len(there)} of {fleet.hosts} hosts {are(there)} there and cost{'' if there[1:] else 's'} money: "
        f"{names(there)}; stampede cloud up goes on, stampede cloud down ends the fleet"
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
    cost = (
        f"{fleet.hosts} hosts x {hours:.3g} h x {price:.4g} = {fleet.hosts * hours * price:.2f} at most"
        if price
        else f"{fleet.hosts} hosts x {hours:.3g} h at most, at a price that is not known: cloud_price is not set"
    )
    return (
        f"Fleet {fleet.name} at {PROVIDERS[fleet.provider]} in {fleet.region}: {fleet.hosts} of {fleet.type}, "
        f"{missing or 'none'} to be made. {cost}"
    )
