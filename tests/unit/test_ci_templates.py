"""The action for GitHub and the component for GitLab: by their published schemas, and by running what they run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from documentation_blocks import REPOSITORY, validator

ACTION = REPOSITORY / "action.yml"
COMPONENT = REPOSITORY / "templates/load-test.yml"
SCRIPT = REPOSITORY / "bin/run-in-ci"


def action() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(ACTION.read_text())
    return found


def component() -> tuple[dict[str, Any], str]:
    """The inputs of the component, and its jobs as text."""
    head, jobs = COMPONENT.read_text().split("\n---\n")
    return yaml.safe_load(head)["spec"]["inputs"], jobs


def pipeline() -> dict[str, Any]:
    """What GitLab makes of the component with its defaults."""
    inputs, jobs = component()

    def value(match: re.Match[str]) -> str:
        return str(inputs[match[1]].get("default", "https://git.example.org/stampede.git"))

    found: dict[str, Any] = yaml.safe_load(re.sub(r"\$\[\[ inputs\.(\w+) \]\]", value, jobs))
    return found


def test_the_action_fits_the_schema() -> None:
    assert [error.message for error in validator("vendor.github-actions").iter_errors(action())] == []


def test_what_does_not_fit_it_is_found() -> None:
    assert list(validator("vendor.github-actions").iter_errors(action() | {"runs": {"using": "composite"}}))


def test_the_component_fits_the_schema() -> None:
    schema = validator("vendor.gitlab-ci")
    inputs, _ = component()
    assert [error.message for error in schema.iter_errors({"spec": {"inputs": inputs}})] == []
    assert [error.message for error in schema.iter_errors(pipeline())] == []
    assert list(schema.iter_errors({"load-test": pipeline()["load-test"] | {"script": {}}}))


def test_every_input_is_used_and_every_one_that_is_used_is_there() -> None:
    assert set(re.findall(r"\$\{\{ inputs\.([\w-]+) \}\}", ACTION.read_text())) == set(action()["inputs"])
    inputs, jobs = component()
    assert set(re.findall(r"inputs\.(\w+)", jobs)) == set(inputs)


def test_no_input_is_part_of_a_command() -> None:
    """It could end the command and begin another."""
    for step in action()["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
    [job] = yaml.safe_load(component()[1]).values()
    assert not any("$[[" in line for line in job["script"])


def test_the_results_are_kept_of_a_run_that_failed_too() -> None:
    keep = action()["runs"]["steps"][-1]
    assert (keep["if"], keep["uses"].partition("@")[0]) == ("always()", "actions/upload-artifact")
    artifacts = pipeline()["load-test"]["artifacts"]
    assert artifacts["when"] == "always"
    assert artifacts["reports"] == {"junit": "stampede-results/*/junit.xml"}


def test_both_give_the_script_what_it_reads() -> None:
    read = set(re.findall(r"STAMPEDE_CI_\w+", SCRIPT.read_text()))
    [run] = [step for step in action()["runs"]["steps"] if step.get("id") == "run"]
    assert set(run["env"]) == read
    assert read <= set(pipeline()["load-test"]["variables"])


def run(folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """Run the script as a job does, in a project of its own."""
    environment = {f"STAMPEDE_CI_{name.upper()}": value for name, value in given.items()}
    return subprocess.run(
        [str(SCRIPT)],
        cwd=folder,
        env=os.environ | {"STAMPEDE_CI_RESULTS": str(folder / "the results")} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def test_an_inventory_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, inventory="load-test")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"The input 'inventory' is 'load-test', but {tmp_path} has no such file or folder; it must be an inventory.\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ("stampede_dry_run: true\nstampede_holders: 7\n", 0, "A run of 7 holders would take about"),
        ("stampede_thresholds:\n  - errors < much\n", 2, "stampede_thresholds[0] is 'errors < much'"),
        ("stampede_holder: 3", 2, "did you mean stampede_holders?"),
    ],
)
def test_the_settings_are_those_of_the_run(tmp_path: Path, settings: str, code: int, said: str) -> None:
    done = run(tmp_path, settings=settings)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr


@pytest.mark.slow
def test_an_inventory_of_the_project_is_used(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for part in ("hosts.yml", "group_vars/all.yml"):
        target = tmp_path / "mine" / part
        target.parent.mkdir(exist_ok=True)
        target.write_text((REPOSITORY / "inventory/local" / part).read_text() + "\n")
    with (tmp_path / "mine/group_vars/all.yml").open("a") as file:
        file.write("stampede_dry_run: true\nstampede_seed: wrong\n")
    done = run(tmp_path, inventory="mine", settings="stampede_holders: 3")
    assert done.returncode == 2
    assert "stampede_seed is 'wrong'" in done.stdout + done.stderr
