"""Commands of ``stampede`` that are playbooks: what follows the command goes to ansible-playbook."""

from __future__ import annotations

import argparse
import locale
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from stampede.machine.home import HOME, VARIABLE, project
from stampede.schema.errors import BadInput

INVENTORY = Path("inventory/local")
"""The inventory of a command that is given none, in the project's folder."""
FLAGS = "-[CDJKbkv]*"
"""How a word of one or more short options begins: with those of ansible-playbook that take no value."""


@dataclass(frozen=True)
class Playbook:
    """A command, and the playbook that it plays."""

    command: str
    """One word, or two as in ``cloud up``."""
    file: str
    """Its name in playbooks/."""
    help: str

    @property
    def takes_a_part(self) -> bool:
        """Whether it can be played for some of the hosts, or in part. Those of clouds have most of their plays on
        localhost, which a limit leaves out, and no tags: nothing would be done, and called a success."""
        return not self.command.startswith("cloud ")


PLAYBOOKS = (
    Playbook("run", "run-test.yml", "load-test the services, from the check of the settings to the report"),
    Playbook("provision", "provision.yml", "prepare hosts for runs; a run does it, too"),
    Playbook("stop", "stop.yml", "end an active run gracefully"),
    Playbook("collect", "collect.yml", "collect the results of a run whose own command has not, and report"),
    Playbook("teardown", "teardown.yml", "leave hosts as they were found"),
    Playbook("cloud up", "cloud-up.yml", "make a fleet of load hosts in a cloud"),
    Playbook("cloud status", "cloud-status.yml", "say which hosts of a fleet there are, and for how long"),
    Playbook("cloud down", "cloud-down.yml", "end a fleet in a cloud, and ask whether anything of it is left"),
)


def asked(words: Sequence[str]) -> tuple[Playbook, list[str]] | None:
    """The playbook that a command line asks for, and the arguments for ansible-playbook; None for another command,
    and where help on the command is asked for."""
    for playbook in PLAYBOOKS:
        command = playbook.command.split()
        rest = list(words[len(command) :])
        if list(words[: len(command)]) == command and not {"-h", "--help"} & set(rest):
            return playbook, rest
    return None


def words_after(group: str) -> list[str]:
    """The second words of the commands that begin with ``group``."""
    return [playbook.command.split()[1] for playbook in PLAYBOOKS if playbook.command.startswith(f"{group} ")]


def add_arguments(parser: argparse.ArgumentParser, playbook: Playbook) -> None:
    """What help and completion say of the options of ansible-playbook; it reads them itself."""
    parser.description = (
        f"{parser.description}. Everything that follows goes to ansible-playbook, whose exit code is the command's; "
        "these are the options that are needed most."
    )
    parser.add_argument(
        *("-i", "--inventory"), metavar="INVENTORY", help=f"hosts and settings (default: {INVENTORY})"
    )
    parser.add_argument(
        "-e", "--extra-vars", metavar="NAME=VALUE", help="a setting for this time, or @FILE with some"
    )
    parser.add_argument("-C", "--check", action="store_true", help="say what would be done, and do nothing")
    if playbook.takes_a_part:
        parser.add_argument("-l", "--limit", metavar="HOSTS", help="only these hosts of the inventory")
        parser.add_argument("-t", "--tags", metavar="TAGS", help="only these parts of the playbook")
    parser.add_argument("--ask-vault-pass", action="store_true", help="ask for the password of Ansible Vault")
    parser.add_argument("-K", "--ask-become-pass", action="store_true", help="ask for the password of sudo")
    parser.add_argument("-v", "--verbose", action="store_true", help="Ansible's own output")


def play(playbook: Playbook, arguments: Sequence[str]) -> NoReturn:
    """Become ansible-playbook, in the current folder. Raises BadInput when there is no inventory, or when a command
    that is played as a whole is given a part; FileNotFoundError when there is no current folder."""
    Path.cwd()  # Ansible needs one
    if not playbook.takes_a_part:
        _check_whole(arguments)
    words = [sys.executable, "-P", "-m", "ansible", "playbook", str(HOME / "playbooks" / playbook.file)]
    if not _names_inventory(arguments):
        default_inventory()
    sys.stdout.flush()
    os.execve(sys.executable, [*words, *arguments], os.environ | environment())  # noqa: S606  no shell is meant


def default_inventory() -> str:
    """The inventory, or inventories with commas between them, of a command that is given none. Raises BadInput when
    there is none, or Ansible would take its path for several."""
    inventory = environment()["ANSIBLE_INVENTORY"]
    if os.environ.get("ANSIBLE_INVENTORY"):
        return inventory
    if not Path(inventory).is_dir():
        raise BadInput(
            f"{Path(inventory).parents[1]} has no folder {INVENTORY}; name an inventory (-i INVENTORY), or go to the "
            "folder of your project, which stampede init makes"
        )
    if "," in inventory:
        raise BadInput(f"{inventory} contains a comma, at which Ansible splits paths; rename that folder")
    return inventory


def environment() -> dict[str, str]:
    """What Ansible needs to know of its surroundings, but for what the user has set; an inventory that is named by an
    option replaces that of the environment. Raises BadInput when STAMPEDE_PROJECT names no folder."""
    folder = project() if os.environ.get(VARIABLE) else Path.cwd()
    wanted = {
        VARIABLE: str(folder),
        "ANSIBLE_CONFIG": str(HOME / "ansible.cfg"),
        "ANSIBLE_INVENTORY": str(folder / INVENTORY),
    }
    found = {name: os.environ.get(name) or value for name, value in wanted.items()}
    # Ansible requires UTF-8.
    return found if locale.getencoding().upper() == "UTF-8" else found | {"LC_ALL": "C.UTF-8"}


def _check_whole(arguments: Sequence[str]) -> None:
    for word in arguments:
        if re.match(rf"{FLAGS}[lt]|--lim|--tag|--sk|--start", word):
            raise BadInput(
                f"{word} was given, but a fleet is made, described and ended as a whole; leave out --limit, --tags, "
                "--skip-tags and --start-at-task"
            )


def _names_inventory(arguments: Sequence[str]) -> bool:
    return any(re.match(rf"{FLAGS}i|--inv", word) for word in arguments)
