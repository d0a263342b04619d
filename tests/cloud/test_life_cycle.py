"""A fleet from its first host to its last: real hosts that cloud-init prepares, and a run with real agents."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fleet.conftest import name_of_this_process, remove_dead
from fleet.fleet import one_at_a_time, traces, why_not_here
from fleet.host import subnet
from hypervisor import Hypervisor
from providers import PROVIDERS, Provider
from reference_services import reference_services
from users import User, new_user, without_secrets

HOLDERS = 6


@dataclass
class Cloud:
    """A user of a cloud whose instances are real hosts of this machine."""

    user: User
    hypervisor: Hypervisor
    services: dict[str, Any]
    """Settings of the services that the hosts load."""

    @property
    def provider(self) -> Provider:
        return self.user.provider

    @property
    def hosts(self) -> list[str]:
        return sorted(instance.name for instance in self.provider.instances().values())

    def ssh(self, host: str, command: str) -> str:
        """What a command says on a host, whose key is checked against that which the user made."""
        keys = self.user.keys(self.hypervisor.name)
        address = next(each.address for each in self.provider.instances().values() if each.name == host)
        checked = (
            "-o",
            f"UserKnownHostsFile={keys}/known_hosts",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "BatchMode=yes",
        )
        done = subprocess.run(
            ["ssh", "-F", "none", *checked, "-i", str(keys / "id_ed25519"), f"admin@{address}", command],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=sorted(PROVIDERS))
def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, collections: Path
) -> Iterator[Cloud]:
    if reason := why_not_here():
        pytest.skip(reason)
    with one_at_a_time():
        remove_dead()
    name = name_of_this_process("u")
    provider = PROVIDERS[request.param](subnet(name))
    folder = tmp_path_factory.mktemp(request.param)
    gateway = f"{subnet(name)}.1"
    try:
        with (
            Hypervisor(name, provider) as hypervisor,
            reference_services(folder, "--public-host", gateway) as running,
        ):
            settings = {f"stampede_{key}": value for key, value in running.variables().items()}
            settings |= {"stampede_clock_set": False, "stampede_allowed_targets": [gateway], "stampede_agents": 1}
            settings |= {"stampede_holders": HOLDERS, "stampede_mediator_pickup": "websocket"}
            settings |= {"stampede_results_dir": str(folder / "results")}
            user = new_user(
                provider, folder / "laptop", collections, name, cloud_ssh_from=[f"{gateway}/32"], **settings
            )
            yield Cloud(user, hypervisor, settings)
            assert hypervisor.failure is None
    finally:
        provider.close()
    assert traces(name) == []


def until(condition: Callable[[], object], limit: float = 400) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)


@pytest.mark.timeout(1500)
def test_a_fleet_lives_and_leaves_nothing(cloud: Cloud, tmp_path: Path) -> None:
    user, provider = cloud.user, cloud.provider

    # Killed when the first host has been made, which is found again by its tag.
    with user.playing("cloud-up") as up:
        until(lambda: provider.instances() or up.ended)
    there = cloud.hosts
    assert there, up.output
    status = user.play("cloud-status")
    assert status.code == 0 and all(f"{host}  " in status.output for host in there), status.output

    up_again = user.play("cloud-up")
    assert up_again.code == 0, up_again.output + cloud.hypervisor.console()
    assert cloud.hosts == ["load-001", "load-002"], up_again.output
    without_secrets(up_again.output)

    nothing_new = user.play("cloud-up", recap=True)
    assert nothing_new.code == 0 and set(nothing_new.changed.values()) == {0}, nothing_new.output

    # cloud-init's own schema has nothing against its user data, and says of nothing that it is going out of use.
    judged = cloud.ssh("load-001", "sudo cloud-init schema --system 2>&1")
    assert "Valid schema user-data" in judged and "deprecat" not in judged.lower(), judged

    # A host knows when its time is over.
    assert "stampede-time-is-over.timer" in cloud.ssh(
        "load-001", "systemctl list-timers --no-legend --all 'stampede-*'"
    )
    left = cloud.ssh("load-001", "systemctl show stampede-time-is-over.timer -p TimersMonotonic")
    assert re.search(r"OnActiveUSec=(2h 5|3h|10[0-9]{3})", left), left

    # One host ends in the middle of a run: as it does by itself when its time is over.
    lost = next(id_ for id_, instance in provider.instances().items() if instance.name == "load-002")
    usual = {"stampede_run_id": "r1", "stampede_duration": "50s", "stampede_ramp_up": "5s"}
    waits = {"stampede_wait_min": 1, "stampede_wait_max": 2}
    with user.playing("run-test", **usual, **waits) as run:
        run.until(r"load-002 +running|[1-9] of 6 holders active|fleet .*running", 300)
        time.sleep(20)
        cloud.ssh("load-002", "sudo systemctl start --no-block stampede-time-is-over.service")
        until(lambda: lost not in provider.instances())
        played = run.end()
    results = Path(cloud.services["stampede_results_dir"], "r1")
    summary = json.loads((results / "summary.json").read_text())
    assert json.loads((results / "run.json").read_text())["settings"]["stampede_price"] == 0.0595
    assert not any(step["failed"] for step in summary["steps"].values()), played.output
    assert summary["steps"]["present_proof"]["ok"] >= HOLDERS / 2, played.output
    assert played.code != 0 and "load-002" in played.output, played.output
    without_secrets(played.output)

    # Results that were not collected keep a host.
    cloud.ssh("load-001", "sudo -u stampede sh -c 'mkdir -p ~/runs/r0 && echo x >~/runs/r0/journal.lp'")
    refused = user.play("cloud-down")
    assert refused.code != 0 and "load-001 holds the only results of run r0" in refused.output, refused.output
    assert cloud.hosts == ["load-001"]

    down = user.play("cloud-down", stampede_discard_runs=True)
    assert down.code == 0 and re.search("Nothing of fleet .* is left", down.output), down.output
    assert provider.left() == []
    assert not user.keys(cloud.hypervisor.name).exists()
    until(lambda: not cloud.hypervisor.hosts)
    again = user.play("cloud-down", recap=True)
    assert again.code == 0 and set(again.changed.values()) <= {0}, again.output
