"""Commands of ``stampede`` that are playbooks, and what shells complete."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stampede import cli, playbooks
from stampede.cli import build_parser, main
from stampede.completion import SHELLS, script
from stampede.machine import home
from stampede.playbooks import PLAYBOOKS, Playbook
from stampede.schema.errors import BadInput

ROOT = Path(__file__).parents[2]


class Replaced(Exception):
    """Where the process would become another one."""


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Words and environment of what is played, in a project; as soon as there is something."""
    found: dict[str, Any] = {}

    def execve(program: str, words: list[str], environment: dict[str, str]) -> None:
        found.update(words=words, environment=environment)
        raise Replaced

    (tmp_path / "inventory/local").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_INVENTORY", home.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "execve", execve)
    return found


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda playbook: playbook.command)
def test_each_command_plays_a_playbook_that_there_is(playbook: Playbook, played: dict[str, Any]) -> None:
    with pytest.raises(Replaced):
        main([*playbook.command.split(), "-e", "a=b c", "--check"])
    assert played["words"][1:5] == ["-P", "-m", "ansible", "playbook"]
    assert Path(played["words"][5]).is_file()
    assert played["words"][6:] == ["-e", "a=b c", "--check"]


@pytest.mark.parametrize("given", ["-i mine", "-imine", "-Ci mine", "--inventory mine", "--inventory=mine"])
def test_an_inventory_that_is_given_is_the_only_one(
    played: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    """The project's is that of the environment, which Ansible leaves out then."""
    with pytest.raises(Replaced):
        main(["run"])
    assert played["environment"]["ANSIBLE_INVENTORY"] == str(tmp_path / "inventory/local")
    monkeypatch.setenv("ANSIBLE_INVENTORY", "theirs")
    with pytest.raises(Replaced):
        main(["run"])
    assert played["environment"]["ANSIBLE_INVENTORY"] == "theirs"
    monkeypatch.delenv("ANSIBLE_INVENTORY")
    (tmp_path / "inventory/local").rmdir()
    with pytest.raises(Replaced):
        main(["run", *given.split()])
    assert played["words"][6:] == given.split()


def test_the_current_folder_is_the_project(
    played: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Replaced):
        main(["run"])
    assert played["environment"][home.VARIABLE] == str(tmp_path)
    assert Path(played["environment"]["ANSIBLE_CONFIG"]) == home.HOME / "ansible.cfg"
    (tmp_path / "else/inventory/local").mkdir(parents=True)
    monkeypatch.setenv(home.VARIABLE, str(tmp_path / "else"))
    with pytest.raises(Replaced):
        main(["run"])
    assert played["environment"]["ANSIBLE_INVENTORY"] == str(tmp_path / "else/inventory/local")


@pytest.mark.usefixtures("played")
def test_without_an_inventory_nothing_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for command in ("run", "watch"):
        assert main([command]) == 2
        assert "has no folder inventory/local; name an inventory (-i INVENTORY)" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "watch"])
def test_an_inventory_that_ansible_would_divide_is_refused(
    played: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    (tmp_path / "a,b/inventory/local").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a,b")
    assert main([command]) == 2 and not played
    assert capsys.readouterr().err == (
        f"stampede {command}: {tmp_path}/a,b/inventory/local contains a comma, at which Ansible splits paths; rename "
        "that folder\n"
    )


def test_inventories_of_the_environment_may_be_several(
    played: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("all: {}")
    monkeypatch.setenv("ANSIBLE_INVENTORY", "one,two")
    with pytest.raises(Replaced):
        main(["run"])
    assert played["environment"]["ANSIBLE_INVENTORY"] == "one,two"
    assert main(["watch", "--once"]) == 2
    assert "The inventory one, two has no host in the group load_hosts" in capsys.readouterr().err


@pytest.mark.usefixtures("played")
def test_a_value_that_has_an_i_is_no_inventory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inventory/local").rmdir()
    assert main(["run", "-estampede_dry_run=true"]) == 2
    assert "has no folder inventory/local" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["run", "run -i x", "cloud up -i x", "watch --once", "watch --once -i x", "doctor"])
def test_a_current_folder_that_is_no_longer_there_is_told(tmp_path: Path, words: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = 'cd "$1"; rmdir "$1"; shift; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", command, "bash", str(gone), sys.executable, "-P", "-m", "stampede.cli", *words.split()],
        env=os.environ | {"PYTHONPATH": str(home.PACKAGES), home.VARIABLE: str(tmp_path) if "x" in words else ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "stampede: the current folder no longer exists; change to one that does\n"


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda playbook: playbook.command)
@pytest.mark.parametrize("part", ["-l x", "-lx", "-Cvl x", "--limit x", "--lim=x", "-t x", "-Dtx", "--tags=x"])
def test_a_fleet_is_not_ended_in_part(
    played: dict[str, Any], capsys: pytest.CaptureFixture[str], playbook: Playbook, part: str
) -> None:
    """Its plays are on localhost, which a limit leaves out: nothing would be done, and the exit code be 0."""
    words = [*playbook.command.split(), *part.split()]
    if playbook.command.startswith("cloud "):
        assert main(words) == 2 and not played
        assert f"stampede {playbook.command}: {part.split()[0]} was given, but a fleet" in capsys.readouterr().err
    else:
        with pytest.raises(Replaced):
            main(words)


def test_what_is_refused_is_not_offered(played: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    for words, offered in ((["cloud", "down", "--help"], False), (["stop", "--help"], True)):
        with pytest.raises(SystemExit):
            main(words)
        said = capsys.readouterr().out
        assert "--extra-vars" in said and ("--limit" in said) == ("--tags" in said) == offered
    with pytest.raises(Replaced):
        main(["cloud", "down", "-elimit=1", "-e", "tags=x", "--timeout", "9"])
    assert played


@pytest.mark.usefixtures("played")
def test_what_is_watched_by_default_is_what_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inventory/local/hosts.yml").write_text("all: {}")
    assert main(["watch", "--once"]) == 2
    said = capsys.readouterr().err
    assert f"The inventory {tmp_path / 'inventory/local'} has no host in the group load_hosts" in said


@pytest.mark.usefixtures("played")
def test_a_cloud_that_cannot_be_asked_cannot_be_watched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the plugin of its inventory leaves it."""
    (tmp_path / "inventory/local/hosts.yml").write_text("all: {vars: {cloud_fault: The hosts could not be listed}}")
    assert main(["watch", "--once"]) == 2
    assert capsys.readouterr().err == "stampede watch: The hosts could not be listed\n"


def test_exit_code_and_words_are_those_of_ansible_playbook(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stampede.cli", "run", "-i", "localhost,", "--no-such"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "unrecognized arguments: --no-such" in done.stderr


def test_commands_of_two_words() -> None:
    up = next(playbook for playbook in PLAYBOOKS if playbook.command == "cloud up")
    assert playbooks.asked(["cloud", "up", "-e", "a=b"]) == (up, ["-e", "a=b"])
    assert playbooks.asked(["cloud"]) is None and playbooks.asked(["cloud", "up", "--help"]) is None
    assert build_parser().parse_args(["cloud", "down", "--check"]).command == "cloud"


def test_a_project_that_is_no_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.VARIABLE, "/no/such")
    with pytest.raises(BadInput, match="STAMPEDE_PROJECT is '/no/such', which is no folder"):
        home.project()


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_names_all_commands_and_is_valid(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "completion"
    file.write_text(script(build_parser(), shell))
    for command in ("init", "run", "provision", "collect", "stop", "teardown", "report", "watch", "doctor"):
        assert command in file.read_text()
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not on this machine")
    subprocess.run([shell, "-n", file], check=True)


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    file = tmp_path / "completion"
    file.write_text(script(build_parser(), "bash"))
    ask = (
        f'source {file}; COMP_WORDS=(stampede "$@"); COMP_CWORD=$#; "$(complete -p stampede | sed -E '
        '\'s/.*-F ([^ ]+).*/\\1/\')"; echo "${COMPREPLY[@]}"'
    )

    def completed(*words: str) -> list[str]:
        done = subprocess.run(["bash", "-c", ask, "bash", *words], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert completed("pro") == ["provision"] and completed("run", "--ask-v") == ["--ask-vault-pass"]


def advice() -> Iterator[tuple[str, str]]:
    """What users may be told: all texts of the code but docstrings, and lines of YAML but comments."""
    for file in (file for folder in ("stampede", "controller", "plugins") for file in (ROOT / folder).rglob("*.py")):
        if "shipped" not in file.parts and file.name not in ("project.py", "home.py"):
            tree = ast.parse(file.read_text())
            said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", node.value
    for file in (*(ROOT / "roles").glob("*/tasks/*.yml"), *(ROOT / "playbooks").glob("*.yml")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            yield f"{file.relative_to(ROOT)}:{number}", line.partition("#")[0]


def test_advice_holds_where_there_is_no_checkout() -> None:
    found = [where for where, text in advice() if re.search(r"playbooks/[a-z-]+\.yml|\bmake \w+ ARGS|docs/", text)]
    assert found == []


def test_where_a_folder_is_wanted_no_files_are_offered(tmp_path: Path) -> None:
    file = tmp_path / "completion"
    file.write_text(script(build_parser(), "bash"))
    (tmp_path / "work/mine-folder").mkdir(parents=True)
    (tmp_path / "work/mine-file").touch()
    ask = (
        f'source {file}; COMP_WORDS=(stampede "$1" mine); COMP_CWORD=2; "$(complete -p stampede | sed -E '
        '\'s/.*-F ([^ ]+).*/\\1/\')"; echo "${COMPREPLY[@]}"'
    )

    def completed(command: str) -> set[str]:
        done = subprocess.run(
            ["bash", "-c", ask, "bash", command], cwd=tmp_path / "work", capture_output=True, text=True, check=True
        )
        return {word.rstrip("/") for word in done.stdout.split()}

    assert completed("init") == completed("report") == {"mine-folder"}
    assert completed("compare") == {"mine-folder", "mine-file"}


@pytest.mark.parametrize(
    ("words", "unbuffered"), [(["completion", "bash"], ""), (["completion", "bash"], "1"), (["--help"], "")]
)
def test_a_full_disk_is_told_in_one_line(words: list[str], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "stampede.cli", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=home.PACKAGES,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert (done.returncode, done.stderr) == (1, "stampede: the output cannot be written (No space left on device)\n")


def test_errors_of_something_else_than_the_output_are_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> int:
        raise ConnectionRefusedError

    monkeypatch.setattr(cli, "_run", refused)
    with pytest.raises(ConnectionRefusedError):
        main([])


def test_ctrl_c_ends_a_command_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stampede.doctor.findings", interrupted)
    assert main(["doctor"]) == cli.INTERRUPTED == 130
