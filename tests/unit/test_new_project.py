"""``stampede init``: what it writes holds together, and nothing is overwritten."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from pathlib import Path
from typing import Any

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
        if file.is_file():
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


def test_a_file_in_the_way_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(BadInput, match="taken is there and no folder"):
        make_project(tmp_path / "taken")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/.github").touch()
    with pytest.raises(BadInput, match=r"mine/\.github is there and no folder"):
        make_project(tmp_path / "mine")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "mine", tmp_path / "mine/.github", tmp_path / "taken"]


@pytest.mark.parametrize(
    ("place", "said"), [("README.md", "has a README.md already"), (".github", "is there and no")]
)
def test_a_link_to_nowhere_is_not_followed(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / place).symlink_to(tmp_path / "outside")
    with pytest.raises(BadInput, match=said):
        make_project(tmp_path / "mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", place]


@pytest.mark.parametrize("name", ["a,b", "a\nb", "a\x1bb", "a\udcffb"])
def test_a_path_with_which_no_run_is_possible_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """By its resolved name, which is that of the current folder then."""
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / name)
    monkeypatch.chdir(tmp_path / name)
    for folder in (".", str(tmp_path / name), str(tmp_path / name / "new"), str(tmp_path / "link")):
        assert main(["init", folder]) == 2
        said = capsys.readouterr().err
        assert "contains a comma, a control character or bytes that are not UTF-8" in said and said.count("\n") == 1
    assert not list((tmp_path / name).iterdir())


def test_the_empty_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["init", ""])
    assert "it is empty; name a folder, such as my-tests, or . for this one" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "told"), [("-x", "cd ./-x"), ("-", "cd ./-"), ("~", "cd '~'"), ("a b", "cd 'a b'"), ("mine", "cd mine")]
)
def test_the_command_that_is_told_leads_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--", name]) == 0
    assert capsys.readouterr().out.endswith(f"\n  {told} && stampede run\n")
    done = subprocess.run(["bash", "-c", f"{told} && pwd"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(tmp_path / name)


def test_a_folder_that_is_a_link_leads_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/scenarios").symlink_to(tmp_path / "outside")
    with pytest.raises(BadInput, match="mine/scenarios is a link"):
        make_project(tmp_path / "mine")
    assert not list((tmp_path / "outside").iterdir())
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    assert make_project(tmp_path / "link")


def test_of_a_failed_try_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes").touch()
    real = Path.open

    def full(path: Path, *mode: Any, **more: Any) -> Any:
        if path.name == "first.py" and "x" in mode:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, *mode, **more)

    with monkeypatch.context() as changed:
        changed.setattr(Path, "open", full)
        for folder in (tmp_path / "mine", tmp_path / "new/project"):
            with pytest.raises(BadInput, match=r"scenarios/first.py cannot be written \(No space left on device\)"):
                make_project(folder)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "mine", tmp_path / "mine/notes"]
    assert make_project(tmp_path / "mine")
