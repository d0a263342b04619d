"""``stampede init``: what it writes holds together, and nothing is overwritten."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from stampede.cli import main
from stampede.new_project.project import PLACES, make_project
from stampede.prepare.rendering import find_script
from stampede.prepare.run_check import unknown_names
from stampede.schema.errors import BadInput
from stampede.version import VERSION


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_project(tmp_path / "my-tests")
    return tmp_path / "my-tests"


def test_settings_are_known_and_lead_to_the_files_that_are_there(folder: Path) -> None:
    for inventory in ("local", "fleet", "aws", "hetzner"):
        file = folder / "inventory" / inventory / "group_vars/all.yml"
        settings = yaml.safe_load(file.read_text())
        assert unknown_names(settings) == []
        assert settings["stampede_thresholds"]
        assert find_script(settings["stampede_script"], folder, folder) == folder / "scenarios/first.py"
        schema = re.match(r"# yaml-language-server: \$schema=(\S+)", file.read_text())
        assert schema and (file.parent / schema[1]).is_file()
        (hosts,) = (folder / "inventory" / inventory).glob("*.yml")
        assert yaml.safe_load(hosts.read_text()).keys() & {"load_hosts", "plugin"}


def test_nothing_speaks_of_a_checkout(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file() and file.name != "variables.schema.json":
            assert not re.search(r"playbooks/|make run|docs/|roles/|playbook_dir|VERSION", file.read_text()), file


def test_ci_installs_this_version_and_keeps_the_results(folder: Path) -> None:
    assert (folder / "requirements.txt").read_text() == f"stampede-vc=={VERSION}\n"
    steps = yaml.safe_load((folder / ".github/workflows/load-test.yml").read_text())["jobs"]["load-test"]["steps"]
    assert (
        {"run": "stampede run"} in steps and steps[-1]["with"]["path"] == "results/" and steps[-1]["if"] == "always()"
    )
    job = yaml.safe_load((folder / ".gitlab-ci.yml").read_text())["load-test"]
    assert "stampede run" in job["script"] and job["artifacts"] == {
        "when": "always",
        "paths": ["results/"],
        "reports": {"junit": "results/*/junit.xml"},
    }


@pytest.mark.parametrize("place", [*PLACES.values(), "inventory/fleet/hosts.yml"])
def test_nothing_is_overwritten(tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / place
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    assert main(["init", str(tmp_path)]) == 2
    assert f"has a {place} already" in capsys.readouterr().err
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [mine] and mine.read_text() == "mine"


def test_a_folder_of_other_things_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes").touch()
    assert main(["init", str(tmp_path)]) == 0
    assert str(tmp_path / "scenarios/first.py") in capsys.readouterr().out


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(BadInput, match=r"taken cannot be written \(File exists\)"):
        make_project(tmp_path / "taken")
