"""What the playbook's own process writes on the control node, and what it waits for on the services' host."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from plugin_files import load_plugin

local_file = load_plugin("action/stampede_local_file")
reference_ready = load_plugin("action/stampede_reference_ready")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_with_its_folders_and_changes_once(tmp_path: Path) -> None:
    file = tmp_path / "results/r1/run.json"
    assert local_file.write(file, "{}", 0o644, trial=True) and not file.parent.exists()
    assert local_file.write(file, "{}", 0o644, trial=False) and file.read_text() == "{}" and mode(file) == 0o644
    assert not local_file.write(file, "{}", 0o600, trial=False) and mode(file) == 0o600
    assert local_file.write(file, "[]", 0o600, trial=True) and file.read_text() == "{}"
    assert [path.name for path in file.parent.iterdir()] == ["run.json"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(AnsibleActionFail, match=f"{tmp_path}/results/r1/run.json cannot be written: "):
        local_file.write(tmp_path / "results/r1/run.json", "{}", 0o644, trial=False)


class ServicesHost:
    """A host with the programs of systemd, whose unit lives as long as there is a file ``active``."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.services, self.dest, self.active = folder / "it's", folder / "home/r1", folder / "active"
        self.services.mkdir()
        self.active.touch()
        programs = {
            "systemctl": f'[ "$*" = "is-active --quiet u.service" ] && [ -e {self.active} ]',
            "journalctl": "echo 'the port is taken'",
            "runuser": '[ "$1 $2" = "--user=stampede --" ] && shift 2 && exec "$@"',
        }
        for name, script in programs.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        self.action = object.__new__(reference_ready.ActionModule)
        self.action._low_level_execute_command = self._execute

    @staticmethod
    def _execute(command: str) -> dict[str, Any]:
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}

    def wait(self, timeout: str = "20s") -> None:
        args = {"folder": str(self.services), "unit": "u.service", "user": "stampede", "timeout": timeout}
        self.action.bring_home(args | {"dest": str(self.dest)})


@pytest.fixture
def services_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServicesHost:
    return ServicesHost(tmp_path, monkeypatch)


def test_ready_services_are_described_on_the_control_node(services_host: ServicesHost) -> None:
    (services_host.services / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (services_host.services / "services.json").write_text('{"ca_file": "/there/ca.pem", "agent_plugins": ["p"]}')
    services_host.wait()
    authority, description = services_host.dest / "ca.pem", services_host.dest / "services.json"
    assert authority.read_text() == "-----BEGIN CERTIFICATE-----\n"
    assert json.loads(description.read_text()) == {"ca_file": str(authority), "agent_plugins": ["p"]}
    assert (mode(services_host.dest), mode(authority), mode(description)) == (0o700, 0o600, 0o600)


def test_services_that_have_ended_are_not_waited_for(services_host: ServicesHost) -> None:
    services_host.active.unlink()
    with pytest.raises(AnsibleActionFail, match=r"services ended before they were ready: the port is taken$"):
        services_host.wait()
    assert not services_host.dest.exists()


def test_services_that_take_too_long_are_told_with_the_setting(services_host: ServicesHost) -> None:
    with pytest.raises(
        AnsibleActionFail, match=r"not ready after 0.2s \(stampede_reference_timeout\); see journalctl"
    ):
        services_host.wait("0.2s")


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_description_that_is_none_is_told(services_host: ServicesHost, text: str) -> None:
    (services_host.services / "ca.pem").touch()
    (services_host.services / "services.json").write_text(text)
    with pytest.raises(AnsibleActionFail, match=r"services.json is .*; it must be an object of JSON$"):
        services_host.wait()
    assert not services_host.dest.exists()


def test_without_an_authority_what_failed_is_told(services_host: ServicesHost) -> None:
    (services_host.services / "services.json").write_text("{}")
    with pytest.raises(AnsibleActionFail, match=r"it must be an object of JSON: .*ca\.pem"):
        services_host.wait()
