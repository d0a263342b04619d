"""``run-test.yml`` on real hosts that nobody can reach: every host its share, one start for all, one report; and
watched from beside."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .fleet import Fleet
from .playbooks import Played, left_running, play
from .watching import in_a_terminal, looks, watch, with_another_key

LOAD_HOSTS = ("load-1", "load-2", "load-3")
HOLDERS = 8
SECRET = "hush-watch-42"


@dataclass
class Watched:
    """A run, and what ``stampede watch`` said of it while it went on."""

    played: Played
    results: Path
    seen: dict[str, Any]
    """A look at it when all hosts were running."""
    other_key: subprocess.CompletedProcess[str]
    """One look, with an inventory that has another key for load-2."""
    shown: str
    """What a terminal showed until the run had ended."""
    code: int
    """The exit code of the watch in the terminal."""


@pytest.fixture(scope="module")
def watched(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A run of the three hosts, which are as behind NAT: holders have their messages over WebSockets."""
    hidden, services = [fleet[name] for name in LOAD_HOSTS], fleet["services-1"]
    assert services.reaches(hidden[0], 22)
    try:
        for host in hidden:
            host.hide(fleet.gateway)
        assert not services.reaches(hidden[0], 22)
        return run_and_watch(fleet, tmp_path_factory.mktemp("watched"))
    finally:
        for host in hidden:
            host.show()


def run_and_watch(fleet: Fleet, folder: Path) -> Watched:
    played: list[Played] = []

    def run() -> None:
        settings = {"holders": HOLDERS, "duration": "60s", "watch_interval": "3s", "secrets": {"token": SECRET}}
        played.append(play(fleet, "run-test", run_id="r1", results_dir=str(folder), agents=0, **settings))

    playing = threading.Thread(target=run)
    playing.start()
    try:
        while playing.is_alive():
            done = watch(fleet.inventory, "--run", "r1", "--json", "--once")
            if done.returncode == 0:
                break
            assert done.returncode == 2 and "stampede watch: " in done.stderr, done.stderr
            time.sleep(2)
        seen = looks(fleet, "--run", "r1", until=lambda seen: seen["fleet"]["hosts"] == {"running": 3})
        other_key = watch(with_another_key(fleet, "load-2", folder), "--run", "r1", "--once")
        shown, code = in_a_terminal(fleet)
    finally:
        playing.join()
    return Watched(played[0], folder / "r1", seen, other_key, shown, code)


def test_three_hosts_make_one_run_and_one_report(fleet: Fleet, watched: Watched) -> None:
    played, results = watched.played, watched.results
    assert played.code == 0, played.output
    summary = json.loads((results / "summary.json").read_text())
    assert sorted(summary["hosts"]) == sorted(LOAD_HOSTS)
    assert sum(step["ok"] for step in summary["steps"].values()) > HOLDERS * 8
    assert not any(step["failed"] or step["interrupted"] for step in summary["steps"].values()), played.output
    assert summary["steps"]["connect_to_mediator"]["ok"] == HOLDERS

    journals = {host: unpacked(results / host / "journal.lp.gz").decode() for host in LOAD_HOSTS}
    holders = {host: set(map(int, re.findall(r" holder=(\d+)i", text))) for host, text in journals.items()}
    assert sorted(number for numbers in holders.values() for number in numbers) == list(range(HOLDERS))
    assert sorted(map(len, holders.values())) == [2, 3, 3]

    started = [re.search(r'text="running".* (\d+)$', text, re.MULTILINE) for text in journals.values()]
    moments = [int(match[1]) for match in started if match]
    skew = (max(moments) - min(moments)) / 1e9
    print(f"a run on three hosts: {played.seconds:.0f} s, start skew {skew * 1000:.1f} ms")
    assert len(moments) == 3 and skew < 0.2

    assert (results / "services").is_dir() and (results / "load-1/logs/journald.log.gz").exists()
    assert left_running(fleet) == []


def test_a_run_is_watched_from_beside(watched: Watched) -> None:
    played, seen, other = watched.played, watched.seen, watched.other_key
    assert sorted(seen["hosts"]) == ["load-1", "load-2", "load-3"] and seen["faults"] == []
    assert seen["fleet"]["holders"]["total"] == HOLDERS and seen["fleet"]["seconds_left"] <= 60

    assert other.returncode == 0 and re.search(r"^ *load-2 +refused ", other.stdout, re.MULTILINE), other.stdout
    assert "! load-2 is refused: its host key is not the one in " in " ".join(other.stdout.split())

    assert played.code == 0, played.output
    assert watched.code == 0 and "Run r1" in watched.shown and "3 load hosts: 3 done" in watched.shown
    assert "\x1b[1A" in watched.shown
    table = [line for line in played.output.splitlines() if line.startswith("  load-1 ")]
    assert any(" running " in line for line in table), played.output
    assert max(map(len, table)) <= 100 and "  fleet " in played.output
    for text in (json.dumps(seen), other.stdout, watched.shown, played.output):
        assert SECRET not in text


def unpacked(file: Path) -> bytes:
    """What a file of the results holds."""
    content = file.read_bytes()
    return gzip.decompress(content) if file.suffix == ".gz" else content
