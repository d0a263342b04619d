"""The action for GitHub and the component for GitLab: by their published schemas, and by running what they run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from documentation_blocks import REPOSITORY, blocks, validator

from stampede.new_project.project import FILES

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


def documented() -> dict[str, str]:
    """The inputs of the example in docs/in-ci.md."""
    found = blocks((REPOSITORY / "docs/in-ci.md").read_text())
    [example] = [block.text for block in found if block.text.startswith("include:")]
    inputs: dict[str, str] = yaml.safe_load(example)["include"][0]["inputs"]
    return inputs


def pipeline(**given: str) -> dict[str, Any]:
    """What GitLab makes of the component: it checks the inputs and puts them into the text, which it reads then.
    Raises ValueError when one does not fit."""
    inputs, jobs = component()
    values = {name: each.get("default") for name, each in inputs.items()}
    for name, value in (values | documented() | given).items():
        if not re.fullmatch(inputs[name]["regex"].removesuffix("$"), value):
            raise ValueError(f"{name} does not fit")
        jobs = jobs.replace(f"$[[ inputs.{name} ]]", value)
    found: dict[str, Any] = yaml.safe_load(jobs)
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


def test_the_documented_example_gives_the_job_what_it_says() -> None:
    [(name, job)] = pipeline(job="load test: nightly", ref="1.10").items()
    assert (name, job["stage"], job["image"]) == ("load test: nightly", "test", "debian:13")
    assert job["variables"] == {
        "STAMPEDE_CI_REPOSITORY": documented()["repository"],
        "STAMPEDE_CI_REF": "1.10",
        "STAMPEDE_CI_INVENTORY": "load-test/inventory",
        "STAMPEDE_CI_SETTINGS_FILE": "load-test/settings.yml",
        "STAMPEDE_CI_RESULTS": "$CI_PROJECT_DIR/stampede-results",
    }


@pytest.mark.parametrize("end", ['"', '"}\n  only: [x]', "\n", "\\n", "\u2028", "\x85", "\t"])
def test_no_input_can_change_the_job_that_it_is_put_into(end: str) -> None:
    for name in component()[0]:
        with pytest.raises(ValueError, match=f"{name} does not fit"):
            pipeline(**{name: f"a{end}b"})
        with pytest.raises(ValueError, match=f"{name} does not fit"):
            pipeline(**{name: f"a{end}"})


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
    given = {name for name in pipeline()["load-test"]["variables"] if name.startswith("STAMPEDE_CI_")}
    assert read - set(run["env"]) == {"STAMPEDE_CI_SETTINGS_FILE"}
    assert set(run["env"]) | given == read | {"STAMPEDE_CI_REPOSITORY", "STAMPEDE_CI_REF"}


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


def test_a_settings_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, settings_file="load-test")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"The input 'settings_file' is 'load-test', but {tmp_path} has no such file; it must be settings as YAML.\n"
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
    (tmp_path / "settings.yml").write_text(settings)
    assert run(tmp_path, settings_file="settings.yml").stdout == done.stdout


def mine(folder: Path, settings: str) -> None:
    """Write an inventory, the one of practice runs with these settings."""
    for part in ("hosts.yml", "group_vars/all.yml"):
        target = folder / "mine" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text((REPOSITORY / "inventory/local" / part).read_text() + "\n")
    with target.open("a") as file:
        file.write(settings)


@pytest.mark.slow
@pytest.mark.parametrize("settings", ["", "\n", "# stampede_holders: 3\n\n  # none\n", "--- # none\n"])
def test_settings_without_any_are_none(tmp_path: Path, settings: str) -> None:
    mine(tmp_path, "stampede_seed: wrong\n")
    done = run(tmp_path, inventory="mine", settings=settings)
    assert done.returncode == 2
    assert "stampede_seed is 'wrong'" in done.stdout + done.stderr


@pytest.mark.slow
def test_paths_are_relative_to_the_project(tmp_path: Path) -> None:
    """And not to Stampede's own files."""
    mine(tmp_path, "stampede_script: scenarios/first.py\nstampede_dry_run: true\n")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios/first.py").write_text((FILES / "first_scenario.py").read_text())
    settings = "stampede_compare_with: earlier\n"
    done = run(tmp_path, inventory="mine", settings=settings)
    assert done.returncode == 2 and f"{tmp_path / 'earlier'} holds no journal" in done.stdout + done.stderr
    (tmp_path / "earlier/load-1").mkdir(parents=True)
    (tmp_path / "earlier/load-1/journal.lp").touch()
    done = run(tmp_path, inventory="mine", settings=settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "A run of 10 holders would take about" in done.stdout


@pytest.mark.slow
def test_an_inventory_of_the_project_is_used(tmp_path: Path) -> None:
    mine(tmp_path, "stampede_dry_run: true\nstampede_seed: wrong\n")
    done = run(tmp_path, inventory="mine", settings="stampede_holders: 3")
    assert done.returncode == 2
    assert "stampede_seed is 'wrong'" in done.stdout + done.stderr
