"""Bringing results home: what is packed, what arrives, and that nothing is lost or mixed when something fails."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.testing import patch_module_args
from plugin_files import load_plugin

from stampede.machine import processes
from stampede.results import collection

collect = load_plugin("action/stampede_collect")
pack = load_plugin("modules/stampede_pack")

JOURNAL = "step,run=r1 holder=1i 1\n" * 1000 + "step,run=r1 hol"
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Host:
    """A load host on this machine, with the run r1, and the action that collects it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run, self.dest = root / "runs/r1", root / "results/r1/load-1"
        self.places = [root / "disk", root / "shm"]
        for folder in (self.run / "logs", *self.places):
            folder.mkdir(parents=True)
        (self.run / "journal.lp").write_text(JOURNAL)
        (self.run / "logs/agent-0.log").write_text("hello\n")
        (self.run / "state.json").write_text("{}")
        (self.run / "secrets.json").write_text('{"token": "s3cret"}')
        monkeypatch.setattr(collection, "PLACES", [str(place) for place in self.places])
        self.fetch: Callable[[str, str], object] = shutil.copyfile
        self.commands: list[str] = []
        self.action = object.__new__(collect.ActionModule)
        self.action._connection = SimpleNamespace(fetch_file=lambda *files: self.fetch(*files))
        self.action._task = SimpleNamespace(environment=[])
        self.action._low_level_execute_command = self._execute
        self.action._execute_module = self._module

    def _execute(self, command: str, **_: Any) -> dict[str, Any]:
        self.commands.append(command)
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}

    @staticmethod
    def _module(module_args: dict[str, Any], **_: Any) -> dict[str, Any]:
        said = io.StringIO()
        with patch_module_args(module_args), contextlib.redirect_stdout(said), pytest.raises(SystemExit):
            pack.main()
        result: dict[str, Any] = json.loads(said.getvalue())
        return result

    def collect(self, **changes: Any) -> dict[str, Any]:
        args = {"folder": str(self.run), "compress": ["journal.lp", "logs/*"], "keep": ["state.json", "run.json"]}
        result: dict[str, Any] = self.action._collect(args | {"dest": str(self.dest)} | changes, {})
        return result

    def home(self) -> dict[str, str]:
        """What is in the results, by name."""
        files = [file for file in self.dest.parent.rglob("*") if file.is_file() and file.name != "SHA256SUMS"]
        return {
            str(file.relative_to(self.dest)): (
                gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text()
            )
            for file in files
        }

    def leftovers(self) -> list[Path]:
        """What collecting left that is no result."""
        return [path for place in self.places for path in place.iterdir()] + list(self.dest.parent.glob(".*"))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def damaged(source: str, target: str) -> None:
    Path(target).write_bytes(Path(source).read_bytes().replace(b"{}", b"[]", 1))


def cut_short(source: str, target: str) -> None:
    Path(target).write_bytes(Path(source).read_bytes()[:700])


def raising(error: BaseException) -> Callable[[str, str], None]:
    def fetch(source: str, target: str) -> None:
        Path(target).write_bytes(b"a part")
        raise error

    return fetch


def test_brings_home_what_there_is_and_no_more(host: Host) -> None:
    (host.run / "logs/link.log").symlink_to("/etc/passwd")
    os.mkfifo(host.run / "logs/pipe")
    result = host.collect()
    assert result["files"] == ["journal.lp.gz", "logs/agent-0.log.gz", "state.json"]
    assert result["collected"] and result["changed"] and not result["warnings"]
    assert host.home() == {"journal.lp.gz": JOURNAL, "logs/agent-0.log.gz": "hello\n", "state.json": "{}"}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=host.dest, check=True)
    assert host.run.exists() and not host.leftovers()


def test_a_second_time_nothing_has_changed(host: Host) -> None:
    host.collect()
    assert host.collect()["changed"] is False
    assert host.home()["journal.lp.gz"] == JOURNAL


def test_a_run_that_broke_off_has_little_to_bring(host: Host) -> None:
    (host.run / "state.json").unlink()
    shutil.rmtree(host.run / "logs")
    assert host.collect()["files"] == ["journal.lp.gz"]


def test_results_are_replaced_whole(host: Host) -> None:
    host.collect()
    (host.run / "state.json").unlink()
    (host.run / "journal.lp").write_text("new\n")
    assert host.collect()["changed"]
    assert host.home() == {"journal.lp.gz": "new\n", "logs/agent-0.log.gz": "hello\n"}


@pytest.mark.parametrize(
    ("fetch", "sentence"),
    [
        (damaged, r"state\.json arrived damaged: its SHA-256 is \w+, on its host it was \w+"),
        (cut_short, "What arrived from the host is damaged|did not arrive from the host"),
        (raising(FULL), r"no space left on this machine for .*results/r1/load-1; the files stay on their host"),
        (raising(AnsibleError("sftp: write: No space left on device")), "no space left on this machine for"),
        (raising(AnsibleError("sftp: no such file")), "sftp: no such file"),
        (raising(PermissionError(errno.EACCES, "Permission denied")), "cannot be written: Permission denied"),
    ],
)
def test_what_does_not_arrive_whole_changes_nothing(host: Host, fetch: Any, sentence: str) -> None:
    host.collect()
    before = host.home()
    (host.run / "journal.lp").write_text("new\n")
    host.fetch = fetch
    with pytest.raises(collection.NotCollected, match=sentence):
        host.collect(remove=True)
    assert host.home() == before
    assert (host.run / "journal.lp").exists() and not host.leftovers()


def test_a_control_node_without_room_says_so_before_it_fetches(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    room = {host.dest.parent: 10, host.places[1]: 10**9}
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=room.get(path, room.get(Path(path).parent, 0)))
    )
    host.fetch = raising(AssertionError("fetched"))
    with pytest.raises(collection.NotCollected, match=r"load-1 \(0\.0 MB are needed, 0\.0 MB are free\);"):
        host.collect()
    assert not host.leftovers()


def test_the_host_s_roomiest_place_is_used(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    room = dict(zip(host.places, (10, 1000), strict=True))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=room[path]))
    assert pack.roomiest([place / "x" for place in [*host.places, Path("/no/such")]]) == host.places[1] / "x"


def test_a_host_without_room_anywhere_says_how_much_it_has(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise FULL

    monkeypatch.setattr(pack.tarfile.TarFile, "addfile", no_room)
    with pytest.raises(
        collection.NotCollected, match=r"cannot be packed: No space left on device in .*, which has the"
    ):
        host.collect()
    assert not host.leftovers()


def test_the_folder_is_removed_from_the_host_when_all_of_it_is_home(host: Host) -> None:
    result = host.collect(remove=True)
    assert result["collected"] and not host.run.exists() and host.run.parent.exists()
    assert host.home()["journal.lp.gz"] == JOURNAL
    with pytest.raises(collection.NotCollected, match="r1 is no folder: there is nothing to collect"):
        host.collect()
    assert host.home()["journal.lp.gz"] == JOURNAL


@pytest.mark.parametrize(
    ("unit", "arrives", "reset"), [("u.service", True, 1), ("", True, 0), ("u.service", False, 0)]
)
def test_a_failed_unit_is_forgotten_once_all_is_home(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unit: str, arrives: bool, reset: int
) -> None:
    for name, script in {"systemctl": f'echo "$@" >> {tmp_path}/told; exit 1', "journalctl": "echo a line"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    if not arrives:
        host.fetch = damaged
    with contextlib.suppress(collection.NotCollected):
        assert host.collect(unit=unit, remove=True)["warnings"] == []
    told = tmp_path / "told"
    assert (told.read_text() if told.exists() else "") == "reset-failed u.service\n" * reset
    assert host.run.exists() is not arrives and not host.leftovers()


def test_of_a_damaged_disk_comes_what_can_be_read_and_the_folder_stays(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, journal = pack.copy, host.run / "journal.lp"

    class Damaged(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(100)

    monkeypatch.setattr(
        pack,
        "copy",
        lambda file, source, sink: whole(file, Damaged(source.read()) if file == journal else source, sink),
    )
    result = host.collect(remove=True)
    monkeypatch.undo()
    assert host.home()["journal.lp.gz"] == JOURNAL[:100] and host.home()["logs/agent-0.log.gz"] == "hello\n"
    assert result["warnings"] == [
        f"{journal} can be read only as far as byte 100: Input/output error",
        f"{host.run} stays on the host, because not all of it could be read",
    ]
    assert journal.exists()


def test_a_host_that_is_lost_in_mid_transfer_costs_no_second_attempt(host: Host) -> None:
    host.fetch = raising(AnsibleConnectionFailure("lost"))
    with pytest.raises(AnsibleConnectionFailure):
        host.collect()
    assert host.commands == ["id -u"] and not list(host.dest.parent.glob(".*"))


def test_what_a_killed_collection_left_is_cleared_away(host: Host) -> None:
    for left in (host.places[0] / "stampede-collect-r1@abc", host.dest.with_name(".load-1.collecting")):
        left.mkdir(parents=True)
        (left / "collected.tar").write_text("old")
    host.collect()
    assert not host.leftovers() and host.home()["state.json"] == "{}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_collection_leaves_nothing(host: Host, number: int) -> None:
    got: list[int] = []
    former = signal.signal(number, lambda number, _: got.append(number))
    host.fetch = lambda *_: os.kill(os.getpid(), number)
    try:
        with pytest.raises(processes.Interrupted), processes.cleaning_up_when_interrupted():
            host.collect(remove=True)
    finally:
        signal.signal(number, former)
    assert got == [number]  # passed on, once all was cleaned up
    assert host.run.exists() and not host.leftovers() and not host.home()


def test_journald_s_lines_are_packed_too(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bin/journalctl"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"; exit $CODE\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CODE", "0")
    assert not host.collect(unit="stampede-run@r1.service")["warnings"]
    assert host.home()["logs/journald.log.gz"].endswith("--unit stampede-run@r1.service\n")
    monkeypatch.setenv("CODE", "1")
    assert host.collect(unit="u")["warnings"] == ["journalctl failed, as logs/journald.log tells"]
