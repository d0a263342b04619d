"""Every entry point of a role that is included has an argument spec, which Ansible checks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from plugin_files import REPOSITORY

ROLES = REPOSITORY / "roles"
INCLUDES = ("ansible.builtin.include_role", "ansible.builtin.import_role")
CHOSEN = {
    "{{ metrics_role }}": ["influxdb", "grafana"],
    "cloud_{{ cloud_provider }}": ["cloud_aws", "cloud_hetzner"],
}
"""Roles by the expressions that choose among them."""
WRONG = {"int": "many", "float": "much", "bool": "maybe", "list": {"a": 1}, "dict": "a text"}
"""A value that cannot be converted to a type; everything can be converted to a text or a path."""
SETTINGS_ONLY = {("run", "main"), ("reference_services", "main"), ("cloud", "main")}
"""Specs that describe settings and belong to no tasks."""


def specs(role: str) -> dict[str, dict[str, Any]]:
    text = (ROLES / role / "meta/argument_specs.yml").read_text()
    entries: dict[str, dict[str, Any]] = yaml.safe_load(text)["argument_specs"]
    return entries


def included() -> Iterator[tuple[str, str]]:
    """Role and entry point of each include in playbooks and roles."""

    def of(node: Any) -> Iterator[tuple[str, str]]:
        if isinstance(node, list):
            for item in node:
                yield from of(item)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key in INCLUDES:
                    roles = CHOSEN.get(value["name"], [value["name"]])
                    yield from ((role, value.get("tasks_from", "main")) for role in roles)
                yield from of(value)

    for file in [*(REPOSITORY / "playbooks").glob("*.yml"), *ROLES.glob("*/tasks/*.yml")]:
        yield from of(yaml.safe_load(file.read_text()))


ENTRY_POINTS = sorted({(role.name, entry) for role in ROLES.iterdir() for entry in specs(role.name)} - SETTINGS_ONLY)


def faulty(role: str, entry: str) -> dict[str, Any] | None:
    """Variables with which an entry point must be refused; None when it takes none that could be wrong."""
    options = specs(role)[entry].get("options", {})
    right = {
        name: {"dict": {}, "list": [], "bool": True, "int": 1, "float": 1.5}.get(option["type"], "text")
        for name, option in options.items()
        if option.get("required")
    }
    for name, option in options.items():
        if option["type"] in WRONG:
            return right | {name: WRONG[option["type"]]}
    return {name: right[name] for name in list(right)[1:]} if right else None


def test_what_is_included_has_a_spec() -> None:
    assert set(included()) == set(ENTRY_POINTS)


@pytest.mark.parametrize(("role", "entry"), ENTRY_POINTS)
def test_a_spec_belongs_to_tasks(role: str, entry: str) -> None:
    assert (ROLES / role / "tasks" / f"{entry}.yml").is_file()
    assert specs(role)[entry]["short_description"]


def test_a_role_with_tasks_of_its_own_runs_them() -> None:
    main = {file.parents[1].name for file in ROLES.glob("*/tasks/main.yml")}
    assert main == {role for role, entry in included() if entry == "main"}


def test_a_wrong_type_is_refused(tmp_path: Path) -> None:
    """One playbook for all entry points: of each it prints which task failed."""
    cases = {
        (role, entry): values
        for role, entry in ENTRY_POINTS
        if role not in CHOSEN["cloud_{{ cloud_provider }}"]  # their modules are not there; tests/cloud plays them
        and (values := faulty(role, entry)) is not None
    }
    assert len(cases) > len(ENTRY_POINTS) / 2
    tasks = [
        {
            "block": [{INCLUDES[0]: {"name": role, "tasks_from": entry}, "vars": values}],
            "rescue": [
                {"ansible.builtin.debug": {"msg": f"refused {role} {entry} {{{{ ansible_failed_task.action }}}}"}}
            ],
        }
        for (role, entry), values in cases.items()
    ]
    playbook = tmp_path / "playbook.yml"
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    playbook.write_text(yaml.safe_dump([play]))
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": None}}}))  # without variables
    done = subprocess.run(
        # In check mode, so that an entry point that is not refused changes nothing on this machine.
        [Path(sys.executable).with_name("ansible-playbook"), "--check", "-i", inventory, playbook],
        env=os.environ
        | {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    refused = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("refused ")]
    assert {(role, entry): task for role, entry, task in refused} == dict.fromkeys(
        cases, "ansible.builtin.validate_argument_spec"
    )
