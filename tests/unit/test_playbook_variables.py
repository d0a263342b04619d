"""Defaults, argument specs, READMEs, inventories and the controller's own checks name the same variables."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from plugin_files import REPOSITORY

from stampede.prepare.run_check import unknown_names
from stampede.schema.settings.run_settings import check_variables
from stampede.schema.settings.variables import VARIABLES

ALL_ROLES = sorted((REPOSITORY / "roles").iterdir())
ROLES = [role for role in ALL_ROLES if (role / "defaults/main.yml").exists()]
"""Roles with settings of their own."""


def specs(role: Path) -> dict[str, Any]:
    text = (role / "meta/argument_specs.yml").read_text()
    options: dict[str, Any] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return options


def defaults(role: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((role / "defaults/main.yml").read_text())
    return values


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_has_one_default_and_one_description(role: Path) -> None:
    assert sorted(specs(role)) == sorted(defaults(role))
    for name, spec in specs(role).items():
        assert str(spec["default"]) == str(defaults(role)[name]), name
        assert spec["type"] and spec["description"], name


def test_no_variable_belongs_to_two_roles() -> None:
    names = [name for role in ROLES for name in specs(role)]
    assert len(names) == len(set(names))


def test_what_is_generated_from_the_argument_specs_is_up_to_date() -> None:
    subprocess.run([sys.executable, REPOSITORY / "bin/generate-settings", "--check"], check=True)


def test_the_controller_takes_the_defaults() -> None:
    role = REPOSITORY / "roles/run"
    variables = defaults(role) | {
        "stampede_run_id": "r1",
        "stampede_host_name": "local",
        "stampede_services": {"issuer": {"invitation": {"url": "https://localhost:9443/invitation"}}},
    }
    assert check_variables(variables) == []


@pytest.mark.parametrize(("hosts", "delay"), [(1, "4s"), (3, "4s"), (6, "5s"), (50, "14s")])
def test_a_larger_fleet_has_longer_for_the_start_signal(hosts: int, delay: str) -> None:
    environment = jinja2.Environment()
    environment.filters["bool"] = bool
    template = environment.from_string(defaults(REPOSITORY / "roles/run")["stampede_start_delay"])
    assert template.render(stampede_local=False, groups={"load_hosts": ["h"] * hosts}) == delay
    assert template.render(stampede_local=True, groups={}) == "2s"


@pytest.mark.parametrize("inventory", ["local", "example"])
def test_inventories_set_only_variables_that_are_known(inventory: str) -> None:
    known = VARIABLES.keys()
    text = (REPOSITORY / "inventory" / inventory / "group_vars/all.yml").read_text()
    names = {match[1] for match in re.finditer(r"^(?:# )?(stampede_\w+):", text, re.MULTILINE)}
    assert names and not names - known


def test_tasks_use_only_variables_that_are_known() -> None:
    known = VARIABLES.keys()
    plugins = {file.stem for file in (REPOSITORY / "plugins").rglob("stampede_*.*")}
    tags = {"stampede_fleet", "stampede_host", "stampede_owner", "stampede_address"}  # of what is made in a cloud
    for folder in ("roles", "playbooks", "inventory"):
        for file in (REPOSITORY / folder).rglob("*.yml"):
            used = set(re.findall(r"\bstampede_\w+", file.read_text()))
            assert not used - known - plugins - tags, file


def test_an_unknown_variable_is_answered_with_the_nearest_known() -> None:
    sentences = unknown_names(["stampede_holder", "stampede_seed"])
    assert sentences == ["stampede_holder is not a Stampede variable; did you mean stampede_holders?"]
