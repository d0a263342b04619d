"""``provision.yml`` makes hosts ready, and finds nothing to do on hosts that are."""

from __future__ import annotations

import pytest

from .fleet import Fleet
from .playbooks import play


def test_provisioning_works_changes_nothing_twice_and_heals(fleet: Fleet) -> None:
    first = play(fleet, "provision", recap=True)
    assert first.code == 0, first.output
    second = play(fleet, "provision", "--diff", recap=True)
    assert second.code == 0, second.output
    assert second.changed == dict.fromkeys(("load-1", "load-2", "load-3", "services-1", "metrics-1"), 0), (
        second.output
    )
    print(f"provisioning four hosts: {first.seconds:.0f} s; again: {second.seconds:.0f} s")

    host = fleet["load-1"]
    modules = "controller.host.host_run, reference.services, acapy_agent"
    asked = f"/opt/stampede/venv/bin/python -c 'import {modules}; print(1)'"
    assert fleet.ssh(host, f"sudo -u stampede {asked}").stdout == "1\n"
    assert fleet.ssh(host, "systemctl is-active chrony").stdout == "active\n"

    fleet.ssh(host, "sudo rm -r /opt/stampede/venv-*")
    forecast = play(fleet, "provision", "--check", recap=True)
    assert forecast.code == 0 and forecast.changed["load-1"] == 1 and forecast.changed["load-2"] == 0, forecast.output
    assert fleet.ssh(host, "ls /opt/stampede/venv/bin").returncode != 0
    healed = play(fleet, "provision", "--tags", "load_host", recap=True)
    assert healed.code == 0 and healed.changed["load-1"] == 1 and healed.changed["load-2"] == 0, healed.output


def test_packages_with_plugins_come_and_go(fleet: Fleet) -> None:
    greeter = (
        "cd /tmp && sudo -u stampede /opt/stampede/venv/bin/python -c 'import greeter; print(greeter.setup.__name__)'"
    )
    options = ("--limit", "load-1", "--tags", "load_host")
    for packages, said in ((["tests/agent_plugin"], "setup\n"), ([], "")):
        played = play(fleet, "provision", *options, agent_packages=packages)
        assert played.code == 0, played.output
        assert fleet.ssh(fleet["load-1"], greeter).stdout == said


@pytest.mark.parametrize("python", ["/usr/bin/python9", "/bin/false"])
def test_a_host_without_the_right_python_is_named(fleet: Fleet, python: str) -> None:
    played = play(fleet, "provision", "--limit", "load-2", "--tags", "load_host", host_python=python)
    assert played.code != 0
    assert f"load-2: stampede_host_python is {python}, which on load-2 is no Python that runs" in played.output
