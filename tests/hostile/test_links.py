"""Links and other things that the controllers' user may lay in the folder of runs, where root works."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pwd
import stat
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from plugin_files import load_plugin

from stampede.fleet.run_watch import stop_command
from stampede.fleet.snapshot import snapshot_of_unit

folders = load_plugin("modules/stampede_run_folder")
pack = load_plugin("modules/stampede_pack")
runs = load_plugin("modules/stampede_runs")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
NOBODY = pwd.getpwnam("nobody")


def task(module: Any, **args: Any) -> dict[str, Any]:
    """The result of a module."""
    said = io.StringIO()
    with patch_module_args(args), contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        module.main()
    result: dict[str, Any] = json.loads(said.getvalue())
    return result


def put(path: Path, **args: Any) -> dict[str, Any]:
    return task(folders, path=str(path), **args)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder of runs, with a folder beside it that is root's."""
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots/shadow").write_text("root's")
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def unharmed(work: Path) -> bool:
    roots = work.parent / "roots"
    assert [path.name for path in roots.iterdir()] == ["shadow"] and (roots / "shadow").read_text() == "root's"
    assert roots.stat().st_uid == (roots / "shadow").stat().st_uid == os.getuid()
    return True


# ------------------------------------------------------------------ new folders


def test_a_new_folder_has_its_files_and_remembers_its_host(work: Path) -> None:
    result = put(work / "r1", state="new", host="load-1", files={"controller_script.py": "pass"})
    assert result["changed"] and not result["in_use"]
    assert stat.S_IMODE((work / "r1").stat().st_mode) == 0o700
    assert (work / "r1/controller_script.py").read_text() == "pass"
    assert {stat.S_IMODE(file.stat().st_mode) for file in (work / "r1").iterdir()} == {0o600}
    assert (work / "r1/made_for").read_text() == "load-1"


@as_root
def test_it_belongs_to_the_controllers_user_and_so_do_files_that_come_later(work: Path) -> None:
    put(work / "r1", state="new", owner="nobody", host="load-1", files={"a": ""})
    put(work / "r1", secret_files={"secrets.json": "{}"})
    for path in (work / "r1", *(work / "r1").iterdir()):
        assert (path.stat().st_uid, path.stat().st_gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert put(work / "r2", state="new", owner="no-such-user", host="load-1")["msg"].startswith(
        "There is no user no-such-user on this host"
    )


@pytest.mark.parametrize("lay", [Path.mkdir, Path.touch, lambda path: path.symlink_to("../roots")])
def test_what_is_there_is_never_taken_for_new(work: Path, lay: Callable[[Path], None]) -> None:
    lay(work / "r1")
    result = put(work / "r1", state="new", host="load-1", files={"a": ""})
    assert result["failed"] and result["in_use"] and unharmed(work)
    assert result["msg"].startswith(f"stampede_run_id is 'r1', but load-1 has {work}/r1 already")


def test_of_two_that_make_the_same_folder_one_succeeds_and_the_other_hears_why(work: Path) -> None:
    assert put(work / "r1", state="new", host="load-1", files={"a": "first"})["changed"]
    second = put(work / "r1", state="new", host="load-2", files={"a": "second"})
    assert second["failed"] and second["made_for"] == "load-1" and (work / "r1/a").read_text() == "first"
    assert f"{work}/r1 on load-2 is there already, made for load-1: the two are one machine" in second["msg"]


@pytest.mark.parametrize("mark", ["\x1b[2J", "x" * 5000, "\xff"])
def test_the_host_that_a_folder_remembers_may_be_anything(work: Path, mark: str) -> None:
    (work / "r1").mkdir()
    (work / "r1/made_for").write_text(mark, encoding="latin-1")
    made_for = put(work / "r1", state="new", host="load-1")["made_for"]
    assert len(made_for) <= 255 and made_for.isprintable()


def test_a_mark_that_is_a_link_or_never_ends_is_not_read(work: Path) -> None:
    (work / "r1").mkdir()
    (work / "r1/made_for").symlink_to("../../roots/shadow")
    (work / "r2").mkdir()
    os.mkfifo(work / "r2/made_for")
    assert put(work / "r1", state="new")["made_for"] == put(work / "r2", state="new")["made_for"] == ""


# ------------------------------------------------------------------------ files


@pytest.mark.parametrize("kind", ["link to a file", "link to nothing", "link to a folder", "hard link", "pipe"])
@pytest.mark.parametrize("name", ["stop", "go.json", "secrets.json"])
def test_a_file_takes_the_place_of_whatever_was_laid(work: Path, kind: str, name: str) -> None:
    put(work / "r1", state="new")
    laid, roots = work / "r1" / name, work.parent / "roots"
    match kind:
        case "link to a file":
            laid.symlink_to(roots / "shadow")
        case "link to nothing":
            laid.symlink_to(roots / "new")
        case "link to a folder":
            laid.symlink_to(roots)
        case "hard link":
            laid.hardlink_to(roots / "shadow")
        case _:
            os.mkfifo(laid)
    assert put(work / "r1", files={name: "text"})["changed"]
    assert stat.S_ISREG(laid.lstat().st_mode) and laid.read_text() == "text" and unharmed(work)
    assert sorted(path.name for path in (work / "r1").iterdir()) == sorted(["made_for", name])


def test_a_folder_in_the_place_of_a_file_is_refused(work: Path) -> None:
    put(work / "r1", state="new")
    (work / "r1/stop").mkdir()
    assert put(work / "r1", files={"stop": ""})["failed"]
    assert sorted(path.name for path in (work / "r1").iterdir()) == ["made_for", "stop"]


def test_a_link_in_the_place_of_the_run_s_folder_is_not_followed(work: Path) -> None:
    (work / "r1").symlink_to("../roots")
    assert "r1 is not the folder of a run" in put(work / "r1", files={"stop": ""})["msg"]
    assert not put(work / "r1", missing_files=["shadow"])["changed"]
    assert unharmed(work)
    assert put(work / "r1", state="absent")["changed"] and not (work / "r1").is_symlink() and unharmed(work)
    assert not put(work / "r1", state="absent")["changed"]


@pytest.mark.parametrize("name", ["../roots/shadow", "/etc/evil", "..", ".", "", "a/b", "a\0b", "x" * 200])
def test_a_file_s_name_is_a_name(work: Path, name: str) -> None:
    put(work / "r1", state="new")
    assert "is no name of a file in" in put(work / "r1", files={name: ""})["msg"]
    assert "is no name of a file in" in put(work / "r1", missing_files=[name])["msg"]
    assert unharmed(work)


def test_secrets_are_removed_and_what_a_link_leads_to_is_not(work: Path) -> None:
    put(work / "r1", state="new")
    (work / "r1/secrets.json").symlink_to("../../roots/shadow")
    assert put(work / "r1", missing_files=["secrets.json"])["changed"] and unharmed(work)
    assert not os.path.lexists(work / "r1/secrets.json")
    assert not put(work / "r1", missing_files=["secrets.json"])["changed"]
    assert not put(work / "r9", missing_files=["secrets.json"])["changed"]


def test_a_run_is_removed_and_what_its_links_lead_to_is_not(work: Path) -> None:
    put(work / "r1", state="new", files={"a": ""})
    (work / "r1/logs").symlink_to("../../roots")
    (work / "r1/sub").mkdir()
    (work / "r1/sub/shadow").symlink_to("../../../roots/shadow")
    assert put(work / "r1", state="absent")["changed"]
    assert list(work.iterdir()) == [] and unharmed(work)


def test_stale_secrets_of_other_runs_are_removed_and_nothing_by_a_link(work: Path) -> None:
    old = time.time() - 1000
    for name, age in (("stale", old), ("fresh", time.time())):
        put(work / name, state="new", secret_files={"secrets.json": "{}"})
        os.utime(work / name / "secrets.json", (age, age))
    (work.parent / "roots/secrets.json").touch()
    os.utime(work.parent / "roots/secrets.json", (old, old))
    (work / "link").symlink_to("../roots")
    result = put(work / "r1", state="new", stale_secrets=600)
    assert result["removed"] == [str(work / "stale/secrets.json")]
    assert (work / "fresh/secrets.json").exists() and (work.parent / "roots/secrets.json").exists()


@as_root
def test_a_watch_that_ends_a_run_follows_no_link_with_root_s_rights() -> None:
    with tempfile.TemporaryDirectory() as place:  # where another user may come, unlike the tests' own folder
        root, run = Path(place), Path(place) / "runs"
        root.chmod(0o755)
        (root / "shadow").write_text("root's")
        (root / "shadow").chmod(0o600)
        put(run, state="new", owner="nobody")
        command = ["sh", "-c", stop_command(str(run), "too slow")]
        for name in ("stop.new", "stop"):
            (run / name).symlink_to(root / "shadow")
            subprocess.run(command, check=False, capture_output=True)
            assert (root / "shadow").read_text() == "root's", name
            assert stat.S_IMODE((root / "shadow").stat().st_mode) == 0o600, name
            for left in ("stop.new", "stop"):
                (run / left).unlink(missing_ok=True)
        subprocess.run(command, check=True)
        assert (run / "stop").read_text() == "too slow" and (run / "stop").stat().st_uid == NOBODY.pw_uid


def test_a_look_at_a_run_s_state_follows_no_link_and_waits_for_no_pipe(work: Path) -> None:
    def run(command: str) -> str:
        command = f"systemctl() {{ echo active; }}; {command}"
        return subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True, timeout=10).stdout

    put(work / "r1", state="new", files={"state.json": '{"phase": "running"}'})
    found = snapshot_of_unit(run, work / "r1", "stampede-run@r1.service")
    assert found.alive and found.state and found.state.phase == "running"
    (work / "r1/state.json").rename(work.parent / "roots-state.json")
    (work / "r1/state.json").symlink_to("../../roots-state.json")
    assert snapshot_of_unit(run, work / "r1", "stampede-run@r1.service").state is None
    (work / "r1/state.json").unlink()
    os.mkfifo(work / "r1/state.json")
    assert snapshot_of_unit(run, work / "r1", "stampede-run@r1.service").state is None


# ---------------------------------------------------------------------- packing


def packed(folder: Path, *patterns: str) -> tuple[dict[str, bytes], list[str]]:
    spool = folder.parents[1] / "spool"
    spool.mkdir(exist_ok=True)
    _, problems = pack.pack(folder, [], list(patterns), "", spool / "tar")
    with tarfile.open(spool / "tar") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}, problems  # type: ignore[union-attr]


def test_no_link_is_packed_wherever_it_leads(work: Path) -> None:
    run = work / "r1"
    put(run, state="new", files={"state.json": "{}", "host.json": "{}"})
    (run / "run.json").symlink_to("host.json")
    (run / "push.json").symlink_to(work.parent / "roots/shadow")
    (run / "logs").symlink_to(work.parent / "roots")
    (run / "deep").mkdir()
    (run / "deep/x.log").symlink_to(work.parent / "roots/shadow")
    os.mkfifo(run / "deep/y.log")
    files, problems = packed(run, "state.json", "run.json", "push.json", "logs/*", "**/*.log")
    assert files == {"state.json": b"{}"} and problems == []


def test_a_link_in_the_place_of_the_run_s_folder_is_not_packed(work: Path) -> None:
    (work / "r1").symlink_to("../roots")
    with pytest.raises(pack.NotPacked, match="r1 is no folder"):
        pack.pack_for(-1, work / "r1", [], ["shadow"], "", [f"{work}/spool@"])
    with pytest.raises(OSError, match=r".") as refused:
        packed(work / "r1", "shadow")
    assert refused.value.errno in (errno.ELOOP, errno.ENOTDIR)


@as_root
def test_what_belongs_to_another_than_the_folder_is_left_out_and_told(work: Path) -> None:
    """A hard link to a file of root's, where the kernel lets users make such links."""
    put(work / "r1", state="new", owner="nobody", files={"state.json": "{}"})
    (work / "r1/run.json").hardlink_to(work.parent / "roots/shadow")
    files, problems = packed(work / "r1", "*.json")
    assert files == {"state.json": b"{}"}
    assert problems == [f"{work}/r1/run.json is left out: it does not belong to the folder's owner"]


def test_a_file_without_measure_is_left_out_and_told(work: Path) -> None:
    put(work / "r1", state="new", files={"state.json": "{}"})
    (work / "r1/run.json").touch()
    os.truncate(work / "r1/run.json", 1 << 40)
    files, problems = packed(work / "r1", "*.json")
    assert list(files) == ["state.json"]
    assert problems == [f"{work}/r1/run.json is left out: it has {1 << 40} bytes, more than {16 << 30}"]


def test_a_name_that_could_not_be_stored_is_told(work: Path) -> None:
    put(work / "r1", state="new")
    for name in ("x" * 97, "a\nb", "a\x1b[2J"):
        (work / "r1" / name).touch()
    files, problems = packed(work / "r1", "*")
    assert list(files) == ["made_for"] and len(problems) == 3


# ----------------------------------------------------------------- finding runs


def test_a_link_is_no_run_and_a_state_may_be_anything(work: Path) -> None:
    (work.parent / "roots/controller_script.py").touch()
    (work / "link").symlink_to("../roots")
    states = {
        "long": "[" * 100_000,
        "list": "[]",
        "large": " " * (1 << 20) + "{}",
        "odd": '{"pid": "1", "phase": {}}',
    }
    for name, text in states.items():
        put(work / name, state="new", files={"controller_script.py": "", "state.json": text})
    for name, lay in (("pipe", os.mkfifo), ("shadow", lambda path: path.symlink_to("/etc/hostname"))):
        put(work / name, state="new", files={"controller_script.py": ""})
        lay(work / name / "state.json")
    (work / "empty").mkdir()
    found = {run["id"]: run for run in runs.find(work)}
    assert sorted(found) == sorted([*states, "pipe", "shadow"])
    assert {(run["pid"], run["alive"]) for run in found.values()} == {(0, False)}
    assert all(isinstance(run["phase"], str) for run in found.values())
    assert runs.find(work / "no-such-folder") == []


def test_a_machine_is_told_from_another() -> None:
    assert runs.machine() == runs.machine() != ""
