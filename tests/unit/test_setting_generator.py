"""From the roles' argument specs follow their defaults and READMEs and the package's table of variables."""

from __future__ import annotations

import copy
import importlib.resources
import importlib.util
import json
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml
from plugin_files import REPOSITORY

from stampede.schema.settings.shapes import Shape
from stampede.schema.settings.variables import VARIABLES, ControlNodeVariables, LoadHostVariables


def load_generator() -> ModuleType:
    loader = SourceFileLoader("generate_settings", str(REPOSITORY / "bin/generate-settings"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


generator = load_generator()

ROLES = sorted((REPOSITORY / "roles").iterdir())


def role_with(folder: Path, options: str, name: str = "wait") -> Path:
    """A role with such options of its entry point main, in a repository of its own."""
    role = folder / "roles" / name
    (role / "meta").mkdir(parents=True)
    head = "argument_specs:\n  main:\n    options:\n"
    (role / "meta/argument_specs.yml").write_text(head + "".join(f"      {line}\n" for line in options.splitlines()))
    (role / "README.md").write_text("# wait\n\n<!-- variables -->\nold\n<!-- end of variables -->\n\nMore.\n")
    return role


PAUSE = """\
# Waiting
stampede_pause:
  type: str
  default: 5s
  format: duration
  more_than: 0
  read_by: load host
  description:
    - How long, such as C(5s|5).
    - Not ever.
stampede_pauses: {type: int, default: 3, minimum: 1, description: How many.}"""


def test_one_entry_is_all_that_a_setting_needs(tmp_path: Path) -> None:
    role = role_with(tmp_path, PAUSE)
    files = generator.generated(tmp_path)
    assert files[role / "defaults/main.yml"].splitlines()[1:] == [
        "# Waiting",
        "stampede_pause: 5s",
        "stampede_pauses: 3",
    ]
    assert files[role / "README.md"] == (
        "# wait\n\n<!-- variables -->\n"
        "| variable | default | must be | meaning | read by |\n| --- | --- | --- | --- | --- |\n"
        "| `stampede_pause` | `5s` | a duration, more than 0 | How long, such as `5s\\|5`. Not ever. | load host |\n"
        "| `stampede_pauses` | `3` | a whole number of 1 or more | How many. | role |\n"
        "<!-- end of variables -->\n\nMore.\n"
    )
    names: dict[str, Any] = {"__name__": generator.__name__}  # a module that dataclasses can look up
    exec(files[tmp_path / "stampede/schema/settings/variables.py"], names)
    assert names["VARIABLES"]["stampede_pause"].read("1m") == 60.0
    with pytest.raises(ValueError):
        names["VARIABLES"]["stampede_pauses"].read(0)
    assert names["LoadHostVariables"].__annotations__ == {"pause": "float"}
    assert names["ControlNodeVariables"].__annotations__ == {}


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("stampede_x: {type: int, default: 1, description: X, minumum: 1}", "stampede_x has the key minumum"),
        ("stampede_x: {type: str, default: a, description: X, minimum: 1}", "no shape is known for"),
        ("stampede_x: {type: str, default: a, description: X, format: colour}", "no shape is known for"),
        ("stampede_x: {type: int, default: 1, description: X, read_by: nobody}", "read_by is 'nobody'"),
        ("stampede_x: {type: int, default: 1}", "stampede_x has no description"),
        ("stampede_x: {type: int, default: 1, description: As C(a(b) + 1)}", r"C\(a\(b\) ends too early in its"),
        ("stampede_x: {type: dict, default: {a: 1, b: [1]}, description: X, minimum: 1}", "no shape is known for"),
    ],
)
def test_entries_that_are_not_understood(tmp_path: Path, option: str, problem: str) -> None:
    role_with(tmp_path, option)
    with pytest.raises(generator.WrongSpec, match=problem):
        generator.generated(tmp_path)


def test_a_recipe_with_parentheses_is_whole_wherever_it_is_read() -> None:
    recipe = "{{ lookup('ansible.builtin.file', '/path/to/think-times.txt').split() }}"
    about = "stampede_observed_think_times"
    files = generator.generated(REPOSITORY)
    [row] = [line for line in files[REPOSITORY / "roles/run/README.md"].splitlines() if f"| `{about}` |" in line]
    assert f" are `{recipe}`. |" in row
    schema = json.loads(files[REPOSITORY / "inventory/variables.schema.json"])
    assert schema["properties"][about]["description"].endswith(f" are {recipe}.")
    module = " ".join(files[REPOSITORY / "stampede/schema/settings/variables.py"].split())
    assert f" are ``{recipe}``." in module
    words = ("doc", "--type", "role", "--roles-path", REPOSITORY / "roles", "run")
    done = subprocess.run([sys.executable, "-m", "ansible", *words], capture_output=True, text=True, check=True)
    assert f" are `{recipe}'." in " ".join(done.stdout.split())


def test_a_setting_belongs_to_one_role(tmp_path: Path) -> None:
    role_with(tmp_path, PAUSE)
    role_with(tmp_path, PAUSE, "wait_again")
    with pytest.raises(generator.WrongSpec, match="stampede_pause is a setting of another role too"):
        generator.generated(tmp_path)


def test_what_another_role_sets_and_this_one_requires_is_no_setting_of_it(tmp_path: Path) -> None:
    role_with(tmp_path, "stampede_pause: {type: str, required: true, description: Set elsewhere.}")
    of_all = ("stampede/schema/settings/variables.py", "inventory/variables.schema.json")
    assert generator.generated(tmp_path).keys() == {tmp_path / file for file in of_all}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_argument_specs_are_as_ansible_has_them_but_for_our_own_keys(role: Path) -> None:
    schema = json.loads((importlib.resources.files("ansiblelint") / "schemas/role-arg-spec.json").read_text())
    specs = copy.deepcopy(yaml.safe_load((role / "meta/argument_specs.yml").read_text()))
    for entry_point in specs["argument_specs"].values():
        for option in entry_point.get("options", {}).values():
            for key in generator.OWN_KEYS & option.keys():
                del option[key]
    jsonschema.validate(specs, schema)


@pytest.mark.parametrize(("name", "shape"), VARIABLES.items(), ids=VARIABLES)
def test_every_shape_has_a_fallback_and_says_what_is_right(name: str, shape: Shape) -> None:
    assert shape.right and shape.brief and shape.python
    with pytest.raises((ValueError, TypeError)):
        shape.read([None])
    assert type(shape.fallback).__name__ == shape.python.split("[")[0].replace("Mapping", "dict"), name


def test_a_variable_is_read_by_one_machine() -> None:
    assert not LoadHostVariables.__annotations__.keys() & ControlNodeVariables.__annotations__.keys()
