"""``collect.yml`` brings a run home: from a host whose disks are full, from one that was lost, and twice."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from .fleet import Fleet
from .playbooks import Played, play

RUNS = "/var/lib/stampede/runs"
FULL = (RUNS, "/home/admin/.ansible", "/tmp", "/var/tmp")
JOURNAL = 'event,run=c1,host=h,kind=phase text="running",value=0 1795370592000000000\n' * 4000
TORN = JOURNAL + "event,run=c1,ho"


def as_root(fleet: Fleet, host: str, script: str, code: int = 0) -> str:
    done = fleet.ssh(fleet[host], f"sudo sh -c '{script}'")
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def leave_run(fleet: Fleet, host: str, run: str) -> None:
    """What a run leaves that was killed: no state, and a journal whose last line is torn."""
    lines, words = JOURNAL.count("\n"), JOURNAL.splitlines()[0].replace('"', '\\"')
    as_root(
        fleet,
        host,
        f"umask 077; mkdir -p {RUNS}/{run}/logs; cd {RUNS}/{run}; echo pass >controller_script.py; "
        f'echo hello >logs/agent-0.log; yes "{words}" | head -n {lines} >journal.lp; '
        'printf "event,run=c1,ho" >>journal.lp',
    )


def collect(fleet: Fleet, run: str, results: Path, *words: str, **variables: object) -> Played:
    settings = {"run_id": run, "results_dir": str(results), "reference_services": False}
    return play(fleet, "collect", *words, **settings | variables)


def is_home(folder: Path) -> bool:
    journal = gzip.decompress((folder / "journal.lp.gz").read_bytes()).decode()
    log = gzip.decompress((folder / "logs/agent-0.log.gz").read_bytes())
    return journal == TORN and log == b"hello\n" and (folder / "logs/journald.log.gz").exists()


@pytest.fixture
def full_disks(fleet: Fleet) -> Iterator[str]:
    """A host with a run, on which no folder that is on a disk has a byte left."""
    host = "load-1"
    for folder in FULL:
        as_root(fleet, host, f"mkdir -p {folder}; mount -t tmpfs -o size=1m,mode=1777 full {folder}")
    leave_run(fleet, host, "c1")
    for folder in FULL:
        as_root(fleet, host, f"cat /dev/zero >{folder}/filler 2>/dev/null", code=1)
    yield host
    for folder in FULL:
        as_root(fleet, host, f"umount {folder}")
    as_root(fleet, host, "rm -r /home/admin/.ansible")  # in which other tests may have left something


def test_a_host_whose_disks_are_full_is_collected_twice_and_cleared(
    fleet: Fleet, full_disks: str, tmp_path: Path
) -> None:
    for removes in (False, True):
        played = collect(fleet, "c1", tmp_path, "--limit", full_disks, remove_from_hosts=removes)
        assert played.code == 0, played.output
        assert is_home(tmp_path / "c1" / full_disks), played.output
        assert as_root(fleet, full_disks, f"ls {RUNS}") == ("filler\n" if removes else "c1\nfiller\n")
        assert not as_root(fleet, full_disks, 'ls -A /dev/shm; find / -xdev -name "stampede-collect-*"')
    assert [path.name for path in (tmp_path / "c1").iterdir() if path.name.startswith(".")] == []

    again = collect(fleet, "c1", tmp_path, "--limit", full_disks)
    assert again.code != 0 and is_home(tmp_path / "c1" / full_disks), again.output


def test_a_host_that_was_lost_is_brought_home_when_it_is_back(fleet: Fleet, tmp_path: Path) -> None:
    there, lost = "load-2", "load-3"
    for host in (there, lost):
        leave_run(fleet, host, "c2")
    try:
        fleet[lost].cut_network()
        without = collect(fleet, "c2", tmp_path, "--limit", f"{there},{lost}")
        assert is_home(tmp_path / "c2" / there), without.output
        assert lost in without.output and not (tmp_path / "c2" / lost).exists()
        fleet[lost].mend_network()
        fleet.wait_until_booted()
        complete = collect(fleet, "c2", tmp_path, "--limit", f"{there},{lost}")
        assert complete.code == 0 and all(is_home(tmp_path / "c2" / host) for host in (there, lost)), complete.output
    finally:
        fleet[lost].mend_network()
        fleet.wait_until_booted()
        for host in (there, lost):
            as_root(fleet, host, f"rm -r {RUNS}/c2")
