"""``stampede watch`` over SSH, beside a run: for a program, in a terminal, and with a key that is wrong."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import yaml

from .fleet import Fleet
from .playbooks import REPOSITORY, Played, play

STAMPEDE = Path(sys.executable).with_name("stampede")


def watch(inventory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [STAMPEDE, "watch", "-i", inventory, *options], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )


def with_another_key(fleet: Fleet, name: str, folder: Path) -> Path:
    """An inventory in which a host is known by the key of another."""
    lines = (fleet.folder / "known_hosts").read_text().splitlines()
    address, other = fleet[name].address, next(line.split(" ", 1)[1] for line in lines)
    known = [f"{address} {other}" if line.startswith(f"{address} ") else line for line in lines]
    (folder / "known_hosts").write_text("\n".join(known) + "\n")
    document = yaml.safe_load(fleet.inventory.read_text())
    document["all"]["vars"]["ansible_ssh_common_args"] = f"-o UserKnownHostsFile={folder}/known_hosts"
    (folder / "hosts.yml").write_text(yaml.safe_dump(document))
    return folder / "hosts.yml"


def looks(fleet: Fleet, *options: str, until: Any) -> dict[str, Any]:
    """The first of the looks that ``stampede watch --json`` prints of which ``until`` holds."""
    watching = subprocess.Popen(
        [STAMPEDE, "watch", "-i", fleet.inventory, "--json", "--interval", "1", *options],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert watching.stdout
    seen = {}
    try:
        for line in watching.stdout:
            seen = json.loads(line)
            if until(seen):
                return seen
    finally:
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=30)
    raise AssertionError(f"this never came: {seen}")


def in_a_terminal(fleet: Fleet) -> tuple[str, int]:
    """What a terminal of 100 columns shows until the run has ended there, and the exit code."""
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        [STAMPEDE, "watch", "-i", fleet.inventory],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=REPOSITORY,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # the other end was closed
        pass
    os.close(ours)
    return seen.decode(errors="replace"), watching.wait(30)


def test_a_run_is_watched_from_beside(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    played: list[Played] = []
    secret = "hush-watch-42"

    def run() -> None:
        played.append(
            play(
                fleet,
                "run-test",
                run_id="watched",
                results_dir=str(tmp_path),
                duration="60s",
                watch_interval="3s",
                secrets={"token": secret},
                **services,
            )
        )

    playing = threading.Thread(target=run)
    playing.start()
    try:
        while playing.is_alive():
            done = watch(fleet.inventory, "--run", "watched", "--json", "--once")
            if done.returncode == 0:
                break
            assert done.returncode == 2 and "stampede watch: " in done.stderr, done.stderr
        seen = looks(fleet, "--run", "watched", until=lambda seen: seen["fleet"]["hosts"] == {"running": 3})
        assert sorted(seen["hosts"]) == ["load-1", "load-2", "load-3"] and seen["faults"] == []
        assert seen["fleet"]["holders"]["total"] == 6 and seen["fleet"]["seconds_left"] <= 60

        other = watch(with_another_key(fleet, "load-2", tmp_path), "--run", "watched", "--once")
        assert other.returncode == 0 and re.search(r"^ *load-2 +refused ", other.stdout, re.MULTILINE), other.stdout
        assert "! load-2 is refused: its host key is not the one in " in " ".join(other.stdout.split())

        shown, code = in_a_terminal(fleet)
    finally:
        playing.join()
    assert played[0].code == 0, played[0].output
    assert code == 0 and "Run watched" in shown and "3 load hosts: 3 done" in shown and "\x1b[1A" in shown
    table = [line for line in played[0].output.splitlines() if line.startswith("  load-1 ")]
    assert any(" running " in line for line in table), played[0].output
    assert max(map(len, table)) <= 100 and "  fleet " in played[0].output
    for text in (json.dumps(seen), other.stdout, shown, played[0].output):
        assert secret not in text


def test_nothing_there_and_nobody_there(fleet: Fleet, tmp_path: Path) -> None:
    done = watch(fleet.inventory, "--run", "never-made")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and "/var/lib/stampede/runs" in done.stderr
    document = yaml.safe_load(fleet.inventory.read_text())
    document["all"]["vars"]["ansible_port"] = 9
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(document))
    done = watch(tmp_path / "hosts.yml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("stampede watch: None of the 3 load hosts can be reached: load-1: ")
    assert len(done.stderr.splitlines()) == 1

    document["all"]["vars"] |= {"ansible_port": 22, "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null"}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(document))
    done = watch(tmp_path / "hosts.yml")
    assert done.returncode == 2 and "load-1: its host key is not in " in done.stderr
