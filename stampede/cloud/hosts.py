"""The load hosts that a provider lists, in one form for all providers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FLEET, HOST, OWNER, EXPIRES = "stampede_fleet", "stampede_host", "stampede_owner", "stampede_expires"
"""Tags of EC2, labels of Hetzner: the fleet, the host's name, whose it is, and when its time is over."""
GONE = frozenset({"terminated", "shutting-down", "deleting"})
RUNNING, STARTING = "running", frozenset({"pending", "initializing", "starting"})


@dataclass(frozen=True, slots=True)
class CloudHost:
    """A host that costs money."""

    id: str
    name: str
    """Its name in the inventory, such as load-001."""
    fleet: str
    owner: str
    state: str
    """The provider's word for what it does."""
    kind: str
    public: str
    """Its public IPv4 address; empty when it has none."""
    private: str
    """Its addresses in private networks, with commas between them."""
    expires: float
    """When its time is over, in seconds since 1970; 0 when its tag does not say."""

    @property
    def label(self) -> str:
        """What a person needs to find it in the provider's console."""
        return f"{self.name or 'a host without a name'} ({self.id}, {self.state})"


def name_of(number: int) -> str:
    """The name of a fleet's host, by its number from 1. Names sort by their numbers."""
    return f"load-{number:03}"


def of_ec2(instances: Iterable[Mapping[str, Any]]) -> list[CloudHost]:
    """What ``amazon.aws.ec2_instance_info`` lists, but for what is gone."""
    return _in_order(
        _host(
            instance["tags"],
            id=instance["instance_id"],
            state=instance["state"]["name"],
            kind=instance["instance_type"],
            public=instance.get("public_ip_address") or "",
            private=instance.get("private_ip_address") or "",
        )
        for instance in instances
    )


def of_hetzner(servers: Iterable[Mapping[str, Any]]) -> list[CloudHost]:
    """What ``hetzner.hcloud.server_info`` lists, but for what is gone."""
    return _in_order(
        _host(
            server["labels"],
            id=str(server["id"]),
            state=server["status"],
            kind=server["server_type"],
            public=server.get("ipv4_address") or "",
            private=",".join(network["ip"] for network in server.get("private_networks_info") or ()),
        )
        for server in servers
    )


def _host(tags: Mapping[str, str], **others: str) -> CloudHost:
    expires = tags.get(EXPIRES, "")
    return CloudHost(
        name=tags.get(HOST, ""),
        fleet=tags.get(FLEET, ""),
        owner=tags.get(OWNER, ""),
        expires=float(expires) if expires.isdecimal() else 0.0,
        **others,
    )


def _in_order(hosts: Iterable[CloudHost]) -> list[CloudHost]:
    return sorted((host for host in hosts if host.state not in GONE), key=lambda host: by_number(host.name))


def by_number(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts names as people do: load-2 comes before load-10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def from_mapping(host: Mapping[str, Any]) -> CloudHost:
    """The host that ``dataclasses.asdict`` made a mapping of."""
    return CloudHost(**{field.name: host[field.name] for field in dataclasses.fields(CloudHost)})
