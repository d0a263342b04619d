"""Inventories with which no run can be made: told before anything is done, and with an exit code that says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from plugin_files import REPOSITORY

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


def play(name: str | Path, inventory: Path, *words: str) -> tuple[int, list[str], str]:
    """Exit code, error sentences and whole output of a playbook."""
    playbook = name if isinstance(name, Path) else f"playbooks/{name}.yml"
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, playbook, *words],
        cwd=REPOSITORY,
        env=os.environ
        | {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    output = done.stdout + done.stderr
    return done.returncode, [line for line in output.splitlines() if line.startswith("[ERROR] ")], output


def inventory_of(folder: Path, **groups: dict[str, Any]) -> Path:
    file = folder / "hosts.yml"
    file.write_text(yaml.safe_dump({name: {"hosts": hosts} for name, hosts in groups.items()}))
    return file


NONE = "The inventory has no host in the group load_hosts; name yours there"
SERVICES = {"services": {"b": LOCAL}}
LIMITED = (
    {"load_hosts": {"a": LOCAL}} | SERVICES,
    ("--limit", "b"),
    "--limit b leaves no host of the group load_hosts",
)


@pytest.mark.parametrize(
    ("playbook", "groups", "words", "sentence"),
    [
        ("run-test", {"load_host": {"a": LOCAL}}, (), NONE),
        ("run-test", {"load_hosts": {}}, (), NONE),
        ("run-test", *LIMITED),
        ("provision", {"load_hosts": {}} | SERVICES, ("--tags", "clock"), NONE),
        (
            "provision",
            {"load_hosts": {"a": LOCAL}, "others": {"b": LOCAL}},
            ("--limit", "b"),
            "--limit b leaves no host of the groups load_hosts, services, metrics",
        ),
        ("collect", *LIMITED),
        ("stop", {"load_hosts": {}} | SERVICES, (), NONE),
    ],
)
def test_no_load_hosts_is_an_error(
    tmp_path: Path, playbook: str, groups: dict[str, Any], words: tuple[str, ...], sentence: str
) -> None:
    code, errors, output = play(playbook, inventory_of(tmp_path, **groups), *words)
    assert code != 0, output
    assert len(errors) == 1 and sentence in errors[0], output


@pytest.mark.parametrize("name", ["..", "a/b"])
def test_a_host_s_name_that_leads_to_another_folder_is_an_error(tmp_path: Path, name: str) -> None:
    code, errors, output = play("run-test", inventory_of(tmp_path, load_hosts={name: LOCAL, "b": LOCAL}), "--check")
    assert code != 0 and f"The inventory has a host named {name!r}; it must be" in errors[0], output


SETTINGS = {
    "stampede_local": True,
    "stampede_services": {"issuer": {"invitation": {"url": "https://localhost:1/invitation"}}},
}


def checked(folder: Path, hosts: dict[str, Any], *words: str, **variables: Any) -> tuple[int, list[str], str]:
    script = folder / "script.py"
    script.write_text("async def script(holder):\n    await holder.request_invitation('issuer')\n")
    settings = SETTINGS | {
        "stampede_script": str(script),
        "stampede_results_dir": str(folder / "results"),
        "stampede_python": sys.executable,
    }
    extra = json.dumps(settings | {f"stampede_{name}": value for name, value in variables.items()})
    work = {"stampede_work_dir": str(folder / "work")}
    inventory = inventory_of(folder, load_hosts={name: work | values for name, values in hosts.items()})
    return play("run-test", inventory, "-e", extra, *words)


def test_two_hosts_with_one_name_in_results_are_an_error(tmp_path: Path) -> None:
    code, errors, output = checked(tmp_path, {"a": LOCAL, "b": LOCAL | {"stampede_host_name": "a"}}, "--check")
    assert code != 0 and len(errors) == 1, output
    assert "stampede_host_name of a and b is 'a'; each load host must have a name of its own" in errors[0]


@pytest.mark.parametrize("run_id", [".", "..", "a/b", "../r1", "a\\b"])
def test_a_run_s_name_that_leads_to_another_folder_is_an_error(tmp_path: Path, run_id: str) -> None:
    code, errors, output = checked(tmp_path, {"a": LOCAL}, "--check", run_id=run_id)
    assert code != 0 and "stampede_run_id is" in errors[0] and "not . or .." in errors[0], output
    assert not (tmp_path / "work").exists() and not (tmp_path / "results").exists()


def test_one_machine_under_two_names_is_an_error_before_anything_is_done(tmp_path: Path) -> None:
    code, errors, output = checked(tmp_path, {"a": LOCAL, "b": LOCAL}, agent_port=8600, agents=1)
    assert code != 0 and len(errors) == 1, output
    assert "a and b are one machine under 2 names; the inventory must name each load host once" in errors[0]
    assert not (tmp_path / "work").exists() and not (tmp_path / "results").exists()


def test_a_run_s_name_that_a_host_has_already_is_an_error_before_anything_is_done(tmp_path: Path) -> None:
    """On this machine; tests/fleet has other hosts asked."""
    there = tmp_path / "work/r1"
    there.mkdir(parents=True)
    (there / "controller_script.py").write_text("pass")
    before = {path.name for path in tmp_path.rglob("*")}
    code, errors, output = checked(tmp_path, {"a": LOCAL}, run_id="r1", agent_port=8600, agents=1)
    assert code != 0, output
    assert any(f"stampede_run_id is 'r1', but {there} is there already" in error for error in errors), output
    assert {path.name for path in tmp_path.rglob("*")} - before == {"hosts.yml", "script.py"}


PLAYBOOK = """
- name: A play
  hosts: a
  gather_facts: false
  tasks:
    - name: Fail elsewhere
      ansible.builtin.command:
        argv: [sh, -c, "echo wrong >&2; false"]
      delegate_to: metrics-1
      ignore_errors: true
    - name: Fail in a loop elsewhere
      ansible.builtin.command:
        argv: [sh, -c, "echo {{ item }} is wrong >&2; false"]
      loop: [one]
      delegate_to: "{{ 'metrics-' ~ 1 }}"
      ignore_errors: true
    - name: Say more than is good for a terminal
      ansible.builtin.command:
        argv: [printf, "\\\\033[2J\\\\007gone\\\\342\\\\200\\\\256\\\\rhi"]
      register: said
    - name: Be warned
      ansible.builtin.ping:
      delegate_to: forged
    - name: Call one that is gone
      ansible.builtin.ping:
      delegate_to: gone
      ignore_unreachable: true
    - name: Show it
      ansible.builtin.debug:
        msg: "{{ said.stdout }}\\tnext\\nline"
    - name: Fail with it
      ansible.builtin.fail:
        msg: "{{ said.stdout }}"
"""


def test_errors_name_the_host_where_they_happened_and_hold_no_control_characters(tmp_path: Path) -> None:
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(PLAYBOOK)
    forged = tmp_path / "python"
    forged.write_text("""#!/bin/sh\nprintf '%s' '{"ping": "pong", "warnings": ["\\u001b[2Jwarned"]}'\n""")
    forged.chmod(0o755)
    others = {"metrics-1": LOCAL, "forged": LOCAL | {"ansible_python_interpreter": str(forged)}}
    gone = {"gone": {"ansible_host": "127.0.0.1", "ansible_port": 1}}
    inventory = inventory_of(tmp_path, load_hosts={"a": LOCAL}, metrics=others | gone)
    code, errors, output = play(playbook, inventory)
    assert code == 2, output
    assert errors[:2] == ["[ERROR] metrics-1: wrong", "[ERROR] metrics-1: one is wrong"], output
    assert errors[2].startswith("[ERROR] gone: ") and "Connection refused" in errors[2], output
    assert "[ERROR] a:  [2J gone " in output
    assert "[WARNING]: [2Jwarned" in output, output
    assert not set(output) & {"\x1b", "\x07", "\u202e", "\r"} and "line\n" in output
