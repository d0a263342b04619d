"""A load host that is hostile, or the controllers' user on it: neither reaches beyond its own part."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .fleet import Fleet
from .playbooks import host_variables, play
from .test_collect import RUNS, as_root, collect, is_home, leave_run

FORGED = """#!/bin/sh
# Python, but for one module.
payload=$(mktemp)
cat >"$payload"
if grep -q stampede_runs "$payload"; then
    printf '%s' '{"machine": "m", "runs": [
      {"id": "../../../etc", "dir": "/etc", "modified": 9e9, "alive": true, "pid": 1, "phase": "running"},
      {"id": "r;reboot", "dir": "/etc", "modified": 9e9, "alive": true, "pid": 1, "phase": "running"},
      {"id": "h1", "dir": "/etc", "modified": 9e9, "alive": "yes", "pid": 1, "phase": "running"}]}'
else
    exec /usr/bin/python3 "$@" <"$payload"
fi
"""


@pytest.fixture(scope="module", autouse=True)
def provisioned(fleet: Fleet) -> None:
    played = play(fleet, "provision", "--limit", "load_hosts")
    assert played.code == 0, played.output


def as_user(fleet: Fleet, host: str, script: str) -> int:
    """The exit code of what the controllers' user does."""
    done = fleet.ssh(fleet[host], f"sudo -u stampede sh -c {shlex.quote(script)}")
    return done.returncode


def of_roots(fleet: Fleet, host: str) -> str:
    """What could have been changed of what is root's."""
    return as_root(fleet, host, 'stat -c "%n %U %G %a" /root /etc /etc/shadow; ls -A /root')


@pytest.fixture
def runs(fleet: Fleet) -> Iterator[None]:
    """A run on three hosts, which have no other."""
    hosts = ("load-1", "load-2", "load-3")
    for host in hosts:
        as_root(fleet, host, f"rm -rf {RUNS}/*")
        leave_run(fleet, host, "h1")
    yield
    for host in hosts:
        as_root(fleet, host, f"rm -rf {RUNS}/* /usr/local/bin/forged")


def test_root_follows_no_link_and_what_a_host_says_concerns_it_alone(
    fleet: Fleet, runs: None, tmp_path: Path
) -> None:
    before = of_roots(fleet, "load-1")
    as_root(fleet, "load-1", f"chown -R stampede: {RUNS}/h1")
    laid = (
        f"cd {RUNS}/h1 && ln -s ~root/stop stop && ln -s /etc/shadow secrets.json && ln -s /etc/shadow state.json && "
        "ln -s /etc/shadow logs/agent-1.log && mkfifo logs/agent-2.log && ln -s /etc /var/tmp/laid && "
        f"cd {RUNS} && mkdir 'r;reboot' && touch -d 2100-01-01 'r;reboot/controller_script.py' && ln -s /root h2"
    )
    assert as_user(fleet, "load-1", laid) == 0
    (fleet["load-3"].root / "usr/local/bin/forged").write_text(FORGED)
    os.chmod(fleet["load-3"].root / "usr/local/bin/forged", 0o755)  # noqa: PTH101

    with host_variables(fleet, "load-3"):
        variables = fleet.inventory.parent / "host_vars/load-3.json"
        variables.write_text('{"ansible_python_interpreter": "/usr/local/bin/forged"}')
        stopped = play(fleet, "stop", results_dir=str(tmp_path))
        collected = collect(fleet, "h1", tmp_path, "--limit", "load_hosts")

    assert stopped.code != 0 and "No run is active" in stopped.output, stopped.output
    assert "load-3 names '../../../etc' and 2 more like it, which can be no run: it is passed over" in stopped.output
    assert "load-1 names 'r;reboot', which can be no run: it is passed over" in stopped.output
    assert "load-3 has no part in run h1" in collected.output, collected.output
    assert is_home(tmp_path / "h1/load-1") and is_home(tmp_path / "h1/load-2"), collected.output
    assert {path.name for path in (tmp_path / "h1/load-1/logs").iterdir()} == {"agent-0.log.gz", "journald.log.gz"}
    assert not (tmp_path / "h1/load-1/state.json").exists() and not (tmp_path / "h1/load-3").exists()
    assert of_roots(fleet, "load-1") == before
    assert as_root(fleet, "load-1", f"readlink /var/tmp/laid; ls {RUNS}; rm /var/tmp/laid").split() == [
        *("/etc", "h1", "h2", "r;reboot")
    ]


def test_the_folders_above_a_run_are_root_s(fleet: Fleet) -> None:
    home = Path(RUNS).parent
    assert as_user(fleet, "load-1", f"ln -s /root {home}/link") != 0
    assert as_user(fleet, "load-1", f"mv {RUNS} {home}/former") != 0
    before = of_roots(fleet, "load-1")
    as_root(fleet, "load-1", f"mv {RUNS} {home}/former; ln -s /root {RUNS}")
    try:
        played = play(fleet, "provision", "--limit", "load-1", "--tags", "controller")
        assert played.code != 0 and of_roots(fleet, "load-1") == before, played.output
    finally:
        as_root(fleet, "load-1", f"rm {RUNS}; mv {home}/former {RUNS}")


def test_a_run_s_name_in_use_and_a_machine_named_twice_are_refused_before_anything_is_done(
    fleet: Fleet, runs: None, tmp_path: Path
) -> None:
    as_root(fleet, "load-1", f"rm -r {RUNS}/h1")
    before = as_root(fleet, "load-2", f'find {RUNS} -printf "%p %T@\\n"')
    played = play(fleet, "run-test", run_id="h1", results_dir=str(tmp_path), min_hosts=1)
    assert played.code != 0, played.output
    for host in ("load-2", "load-3"):
        assert f"stampede_run_id is 'h1', but {host} has a run of that name already; choose" in played.output
    assert as_root(fleet, "load-2", f'find {RUNS} -printf "%p %T@\\n"') == before
    assert as_root(fleet, "load-1", f"ls {RUNS}") == "" and not (tmp_path / "h1").exists()

    twin = tmp_path / "twin.yml"
    twin.write_text(yaml.safe_dump({"load_hosts": {"hosts": {"twin": {"ansible_host": fleet["load-1"].address}}}}))
    played = play(fleet, "run-test", "-i", str(twin), run_id="h2", results_dir=str(tmp_path), min_hosts=1)
    assert played.code != 0, played.output
    assert (
        "load-1 and twin are one machine under 2 names; the inventory must name each load host once" in played.output
    )
    assert as_root(fleet, "load-1", f"ls {RUNS}") == "" and not (tmp_path / "h2").exists()
