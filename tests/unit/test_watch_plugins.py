"""The plugins that reach load hosts, played against an sshd: what they make of the inventory's variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ssh_servers import SSHServer, password_server

from stampede.machine.home import HOME

STATE = {"phase": "done", "pid": 1, "time": time.time()}


def play(
    folder: Path, variables: dict[str, Any], task: dict[str, Any], *, code: int = 0
) -> tuple[dict[str, Any], str]:
    """Play one task for the host load-1; returns its result and the output of ansible-playbook."""
    (folder / "hosts.yml").write_text(yaml.safe_dump({"load_hosts": {"hosts": {"load-1": variables}}}))
    file = folder / "result.json"
    save = {
        "ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": str(file)},
        "delegate_to": "localhost",
    }
    tasks = [
        {"name": "Try", "register": "result", "ignore_errors": True} | task,
        {"name": "Save", "vars": {"ansible_connection": "local"}} | save,
    ]
    (folder / "play.yml").write_text(
        json.dumps([{"name": "Play", "hosts": "load_hosts", "gather_facts": False, "tasks": tasks}])
    )
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", folder / "hosts.yml", folder / "play.yml"],
        cwd=HOME,
        env=os.environ | {"ANSIBLE_CONFIG": str(HOME / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text()), done.stdout


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that has ended."""
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1/state.json").write_text(json.dumps(STATE))
    return tmp_path / "r1"


def watching(run: Path) -> dict[str, Any]:
    return {"stampede_watch": {"hosts": {"load-1": {"dir": str(run), "unit": "u"}}, "until": "ended"}}


def test_a_host_is_watched_with_the_inventory_s_own_options(sshd: SSHServer, run: Path, tmp_path: Path) -> None:
    known = sshd.known_hosts(f"the-fleet {sshd.public('host_key')}\n")
    host = sshd.host(ssh_common_args=f"-o UserKnownHostsFile={known} -o HostKeyAlias={{{{ alias }}}}")
    result, _ = play(tmp_path, dict(host.variables) | {"alias": "the-fleet"}, watching(run))
    assert result["states"]["load-1"]["phase"] == "done"
    assert (result["died"], result["faults"]) == ({}, [])


def test_a_host_that_is_refused_is_named(sshd: SSHServer, run: Path, tmp_path: Path) -> None:
    known = sshd.known_hosts(f"{sshd.address} {sshd.public('other_key')}\n")
    host = sshd.host(ssh_common_args=f"-o UserKnownHostsFile={known}")
    result, _ = play(tmp_path, dict(host.variables), watching(run))
    assert result["died"] == {"load-1": f"load-1 is refused: its host key is not the one in {known}, line 1"}


def test_a_password_of_the_inventory_s_is_used_and_never_shown(sshd: SSHServer, run: Path, tmp_path: Path) -> None:
    with password_server("hush-watch", sshd.folder / "host_key") as (port, offered):
        known = sshd.known_hosts(f"[127.0.0.1]:{port} {sshd.public('host_key')}\n")
        host = sshd.host(port=port, password="hush-watch", ssh_common_args=f"-o UserKnownHostsFile={known}")
        result, output = play(tmp_path, dict(host.variables), watching(run))
    assert result["states"]["load-1"]["phase"] == "done" and offered == ["hush-watch"]
    assert "hush" not in output + json.dumps(result)


def test_a_connection_that_is_none_of_ssh_s_fails_with_a_sentence(run: Path, tmp_path: Path) -> None:
    result, _ = play(tmp_path, {"ansible_connection": "winrm"}, watching(run))
    assert result["failed"] and result["msg"].startswith("ansible_connection of load-1 is 'winrm'; load hosts are ")


def test_a_clock_is_checked(sshd: SSHServer, tmp_path: Path) -> None:
    variables = dict(sshd.host().variables)
    checked = {"stampede_clock_check": {"max_clock_offset": "30s"}}
    result, _ = play(tmp_path, variables, checked)
    assert not result["failed"] and result["cores"] == os.cpu_count()
    assert abs(result["offset"]) <= result["uncertainty"]
    result, _ = play(tmp_path, variables | {"ansible_port": 9}, checked)
    assert result["failed"] and result["msg"].startswith("load-1 cannot be reached: ssh: connect to host 127.0.0.1 ")
