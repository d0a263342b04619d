"""Every plugin is documented where Ansible's users look: ``ansible-doc``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from plugin_files import REPOSITORY, load_plugin

PLUGINS = REPOSITORY / "plugins"
MODULES = sorted(file.stem for file in (PLUGINS / "modules").glob("*.py"))
ACTIONS = sorted(file.stem for file in (PLUGINS / "action").glob("*.py"))
"""Each is documented by the module of its name."""
FILTERS = sorted(load_plugin("filter/stampede").FilterModule().filters())


def source(module: str) -> str:
    return (PLUGINS / "modules" / f"{module}.py").read_text()


@cache
def documented(kind: str, *names: str) -> dict[str, Any]:
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "-t", kind, "--json", *names],
        env=os.environ | {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert sorted(found) == sorted(names), done.stderr
    return found


@pytest.mark.parametrize("name", MODULES)
def test_of_a_module(name: str) -> None:
    entry = documented("module", *MODULES)[name]
    assert entry["doc"]["short_description"] and entry["doc"]["description"] and entry["return"]
    tasks = yaml.safe_load(entry["examples"])
    assert tasks and all(name in task for task in tasks)
    assert {option for task in tasks for option in task[name]} <= set(entry["doc"]["options"])
    for option in entry["doc"]["options"].values():
        assert option["type"] and option["description"]


@pytest.mark.parametrize("name", FILTERS)
def test_of_a_filter(name: str) -> None:
    entry = documented("filter", *FILTERS)[name]
    assert entry["doc"]["short_description"] and entry["doc"]["options"]["_input"] and entry["return"]["_value"]
    assert name in entry["examples"]


def test_of_the_callback() -> None:
    entry = documented("callback", "concise")["concise"]
    assert entry["doc"]["short_description"] and "stdout_callback = concise" in entry["examples"]


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_takes_the_arguments_that_are_documented(name: str) -> None:
    plugin = load_plugin(f"action/{name}")
    taken = plugin.ARGUMENTS if hasattr(plugin, "ARGUMENTS") else plugin.ActionModule._VALID_ARGS
    assert set(taken) == set(documented("module", *MODULES)[name]["doc"]["options"])


@pytest.mark.parametrize("name", [name for name in MODULES if "AnsibleModule(" in source(name)])
def test_a_module_takes_the_arguments_that_are_documented(name: str) -> None:
    spec = set(re.findall(r'[ {]"(\w+)": \{"type"', source(name)))
    assert spec == set(documented("module", *MODULES)[name]["doc"]["options"])
