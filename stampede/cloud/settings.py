"""The check of a fleet's settings before its provider is asked."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from stampede import wording
from stampede.cloud.keys import folder_of
from stampede.schema.errors import BadInput
from stampede.schema.settings.variable_reader import VariableReader, shown
from stampede.schema.settings.variables import CloudVariables

PREFIX = "cloud_"
EXAMPLES = {
    "aws": {
        "region": "such as eu-central-1",
        "type": "such as c7a.xlarge",
        "image": "the id of an AMI of Debian 13, such as ami-0123456789abcdef0",
        "subnet": "the id of a subnet, such as subnet-0123456789abcdef0",
    },
    "hetzner": {"region": "such as fsn1", "type": "such as cpx32", "image": "such as debian-13"},
}
"""What must be given, by provider."""
PLUGINS = {"aws": "amazon.aws.aws_ec2", "hetzner": "hetzner.hcloud.hcloud"}
ENDINGS = ("aws_ec2.yml", "aws_ec2.yaml", "hcloud.yml", "hcloud.yaml")
"""What the names of the inventory plugins' files end in."""

CREDENTIALS = ("HCLOUD_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Environment variables."""
FOLDER = r"""/[^\s"'%$\\]*"""
"""Paths that ssh takes as they are."""
PREPARED = 600
"""Seconds that a fleet's hosts may take until they are made and prepared, and a run can begin."""


def checked_fleet(variables: Mapping[str, Any], sources: Iterable[str], run_seconds: float) -> CloudVariables:
    """The settings of a fleet that may be made.

    ``variables``: the ``cloud_*`` variables, evaluated. ``sources``: the paths of the inventory. ``run_seconds``: how
    long the run of these settings will keep the hosts; 0 if it has no set end.
    Raises BadInput with a sentence for each thing that is wrong.
    """
    fleet, problems = _read(variables)
    problems += _missing(fleet)
    problems += _unbounded(fleet, run_seconds)
    problems += _wrong_networks(fleet)
    if not problems:
        problems += _other_fleet_in_inventory(fleet, sources)
    if problems:
        raise BadInput(*problems)
    return fleet


def checked_name(variables: Mapping[str, Any], sources: Iterable[str]) -> CloudVariables:
    """The settings by which a fleet is found again. Raises BadInput."""
    fleet, problems = _read(variables)
    if not fleet.region and fleet.provider in EXAMPLES:
        problems.append(_not_set("region", EXAMPLES[fleet.provider]["region"]))
    problems += [] if problems else _other_fleet_in_inventory(fleet, sources)
    if problems:
        raise BadInput(*problems)
    return fleet


def unusable_credentials() -> list[str]:
    """A sentence for each credential of the environment that no provider takes, and whose errors would show it."""
    return [
        f"{name} has a space, a line break or the like in it; it must be the {'token' if 'TOKEN' in name else 'key'} "
        "alone"
        for name in CREDENTIALS
        if not re.fullmatch(r"[!-~]*", os.environ.get(name, ""))
    ]


def read_fleet(variables: Mapping[str, Any]) -> CloudVariables:
    """The settings of a fleet that were checked before. Raises BadInput."""
    fleet, problems = _read(variables)
    if problems:
        raise BadInput(*problems)
    return fleet


def _read(variables: Mapping[str, Any]) -> tuple[CloudVariables, list[str]]:
    reader = VariableReader(variables, PREFIX)
    fleet = CloudVariables(**reader.fields(CloudVariables))
    folder = str(folder_of(fleet))
    if fleet.keys_dir and not re.fullmatch(FOLDER, folder):
        reader.complain(
            f"cloud_keys_dir is {shown(folder)}; it must be an absolute path, or one that begins with ~/, without "
            "blanks, quotes, backslashes, % or $, which have a meaning for ssh"
        )
    return fleet, reader.problems


def _missing(fleet: CloudVariables) -> list[str]:
    return [
        _not_set(name, example)
        for name, example in EXAMPLES.get(fleet.provider, {}).items()
        if not getattr(fleet, name)
    ]


def _not_set(name: str, example: str) -> str:
    return f"{PREFIX}{name} is not set; it must be {example}"


def _unbounded(fleet: CloudVariables, run_seconds: float) -> list[str]:
    problems = []
    if fleet.hosts > fleet.max_hosts:
        problems.append(
            f"cloud_hosts is {fleet.hosts}; it must be at most {fleet.max_hosts}, which is cloud_max_hosts"
        )
    if run_seconds and 0 < fleet.ttl < run_seconds + PREPARED:
        problems.append(
            f"cloud_ttl is {wording.duration(fleet.ttl)}; it must be {wording.duration(run_seconds + PREPARED)} or "
            f"more, since a run of these settings keeps the hosts for {wording.duration(run_seconds)}, and they are "
            "made and prepared before"
        )
    if fleet.spot and fleet.provider != "aws":
        problems.append(
            "cloud_spot is true; it must be false, since there is no spare capacity to ask for but at AWS"
        )
    if fleet.user == "root":
        problems.append("cloud_user is root; it must be another user, since cloud-init lets nobody log in as root")
    return problems


def _wrong_networks(fleet: CloudVariables) -> list[str]:
    problems = []
    if fleet.address == "private" and not fleet.subnet and fleet.provider == "hetzner":
        problems.append(
            "cloud_address is private, and cloud_subnet is empty; it must be the name of the private network in "
            "which this machine reaches the hosts"
        )
    if not fleet.ssh_from:
        problems.append(
            "cloud_ssh_from is empty; it must list the network from which this machine reaches the hosts, such as "
            "203.0.113.7/32"
        )
    for name, entries in (("ssh_from", fleet.ssh_from), ("agents_from", fleet.agents_from)):
        for place, entry in enumerate(entries):
            if _network(entry) is None:
                problems.append(
                    f"cloud_{name}[{place}] is {shown(entry)}; it must be an IPv4 network such as 203.0.113.7/32, "
                    "without bits of a host"
                )
        networks = [network for network in map(_network, entries) if network]
        if any(network.prefixlen == 0 for network in ipaddress.collapse_addresses(networks)):
            problems.append(f"cloud_{name} is {shown(list(entries))}; it must not be all addresses there are")
    return problems


def _network(text: str) -> ipaddress.IPv4Network | None:
    """The hosts of a fleet have no IPv6 addresses."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        return None
    return network if str(network) == text else None


def _other_fleet_in_inventory(fleet: CloudVariables, sources: Iterable[str]) -> list[str]:
    """A sentence when the inventory would show the hosts of another fleet, or none."""
    files = [file for source in sources for file in plugin_files(Path(source))]
    if not files:
        return [
            f"The inventory has no file of {PLUGINS[fleet.provider]}; name one that has, such as "
            f"-i inventory/{fleet.provider}"
        ]
    problems = []
    for file in files:
        try:
            found = yaml.safe_load(file.read_text())
        except (OSError, ValueError, yaml.YAMLError) as error:
            return [f"{file} cannot be read: {' '.join(str(error).split())}; it must be YAML"]
        problems += _differs(file, found if isinstance(found, dict) else {}, fleet)
    return problems


def _differs(file: Path, found: Mapping[str, Any], fleet: CloudVariables) -> list[str]:
    if found.get("plugin") != PLUGINS[fleet.provider]:
        return [f"{file} is for {found.get('plugin')}; cloud_provider is {fleet.provider}, which it must be for, too"]
    expected = {"label_selector": f"stampede_fleet={fleet.name}", "locations": [fleet.region]}
    if fleet.provider == "aws":
        expected = {"filters.tag:stampede_fleet": [fleet.name], "regions": [fleet.region]}
    problems = []
    for key, right in expected.items():
        value: Any = found
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if (value if isinstance(value, type(right)) else [value]) != right:
            problems.append(
                f"{key} of {file} is {shown(value)}; it must be {right}, as cloud_name is {fleet.name} and "
                f"cloud_region {fleet.region}"
            )
    return problems


def plugin_files(source: Path) -> list[Path]:
    """The files of clouds' inventory plugins in an inventory, which is a file or a folder."""
    if source.is_dir():
        return sorted(file for file in source.iterdir() if file.name.endswith(ENDINGS))
    return [source] if source.name.endswith(ENDINGS) else []
