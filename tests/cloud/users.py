"""Users of the clouds' playbooks."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from fleet.playbooks import REPOSITORY, AnsiblePlaybook, Played
from providers import Provider, environment


@dataclass
class User:
    """Somebody with an inventory of a cloud, on a machine of their own."""

    provider: Provider
    home: Path
    inventory: Path
    collections: Path

    def playing(self, name: str, *words: str, recap: bool = False, **variables: Any) -> AnsiblePlaybook:
        """Play a playbook; ``variables`` with their prefix."""
        given = environment(self.provider, self.home, self.collections)
        told = ("-i", str(self.inventory), f"playbooks/{name}.yml", "-e", json.dumps(variables), *words)
        return AnsiblePlaybook(*told, environment=given, recap=recap)

    def play(self, name: str, *words: str, recap: bool = False, **variables: Any) -> Played:
        """Play a playbook to its end."""
        with self.playing(name, *words, recap=recap, **variables) as playing:
            return playing.end()

    def keys(self, name: str) -> Path:
        return self.home / ".stampede" / f"{self.provider.name}-{name}"


def new_user(provider: Provider, folder: Path, collections: Path, name: str, **settings: Any) -> User:
    """A user whose inventory is the shipped one, with a fleet's name and settings."""
    inventory = folder / "inventory"
    shutil.copytree(REPOSITORY / "inventory" / provider.name, inventory)
    for file in inventory.glob("*.yml"):
        text = (
            file.read_text()
            .replace("[stampede]", f"[{name}]")
            .replace("stampede_fleet=stampede", f"stampede_fleet={name}")
        )
        file.write_text(text)
    variables = inventory / "group_vars/all.yml"
    given = yaml.safe_load(variables.read_text()) | provider.settings
    given |= {
        "cloud_name": name,
        "cloud_owner": "tester",
        "cloud_ssh_from": ["192.0.2.1/32"],
        "cloud_hosts": 2,
    } | settings
    variables.write_text(yaml.safe_dump(given))
    home = folder / "home"
    home.mkdir()
    return User(provider, home, inventory, collections)


def without_secrets(text: str) -> str:
    """A playbook's output; fails when a credential or a private key is in it."""
    for secret in ("hetzner-token", "PRIVATE KEY"):
        assert secret not in text
    return text
