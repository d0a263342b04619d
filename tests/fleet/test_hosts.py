"""The hosts that the other tests of this folder rest on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .fleet import Fleet, down, traces

REPOSITORY = Path(__file__).resolve().parents[2]


def ansible(fleet: Fleet, *words: str) -> str:
    """The output of ``ansible`` on all hosts of the fleet."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible")), "-i", str(fleet.inventory), "all", *words],
        cwd=REPOSITORY,
        env=os.environ | {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ansible_reaches_all_hosts_over_ssh_and_may_become_root(fleet: Fleet) -> None:
    text = ansible(fleet, "-v", "-m", "ansible.builtin.ping", "--become")
    assert text.count("SUCCESS") == len(fleet.hosts) == 5


def test_a_host_with_another_key_is_refused(fleet: Fleet) -> None:
    known = fleet.folder / "known_hosts"
    text = known.read_text()
    first, second = (line.split()[2] for line in text.splitlines()[:2])
    known.write_text(text.replace(first, second, 1))
    try:
        refused = fleet.ssh(fleet["load-1"], "true")
        assert refused.returncode == 255 and "Host key verification failed" in refused.stderr
    finally:
        known.write_text(text)


def test_systemd_runs_and_the_hosts_reach_each_other_and_nothing_else(fleet: Fleet) -> None:
    first = fleet["load-1"]
    assert fleet.ssh(first, "systemctl is-system-running").stdout.strip() == "running"
    for other in fleet.hosts:
        assert fleet.ssh(first, f"timeout 3 bash -c '</dev/tcp/{other.name}/22'").returncode == 0, other
    assert not fleet.ssh(first, "ip route show default").stdout


def test_a_host_whose_power_is_cut_comes_back_with_its_disk(fleet: Fleet) -> None:
    host = fleet["load-3"]
    fleet.ssh(host, "echo here >kept; sync")
    host.cut_power()
    assert host.processes() == []
    host.boot()
    fleet.wait_until_booted()
    assert fleet.ssh(host, "cat kept; rm kept").stdout == "here\n"


def test_a_host_whose_network_is_cut_is_silent_until_it_is_mended(fleet: Fleet) -> None:
    host = fleet["load-2"]
    host.cut_network()
    assert not fleet.answers(host)
    host.mend_network()
    fleet.wait_until_booted()


def test_taking_down_what_is_not_there_is_no_fault() -> None:
    down("nosuch")
    assert traces("nosuch") == []
