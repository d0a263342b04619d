"""``teardown.yml`` leaves hosts as they were found."""

from __future__ import annotations

import re
import shlex

from .fleet import Fleet
from .host import Host
from .playbooks import play

STATE = r"""
find / -xdev \( -path /dev -o -path /proc -o -path /run -o -path /sys -o -path /tmp \) -prune -o -print
getent passwd | sed 's/^/user /'
getent group | sed 's/^/group /'
dpkg-query -W -f 'package ${Package} ${Version} ${db:Status-Status}\n'
apt-mark showauto | sed 's/^/not asked for: /'
systemctl list-unit-files --plain --no-legend | sed 's/^/unit /'
systemctl list-units --all --plain --no-legend --type=service | cut -d' ' -f1 | sed 's/^/service /'
"""
DEBIANS_OWN = re.compile(
    r"/(home/admin|root)/\.ansible(/tmp)?"  # Ansible's
    r"|/var/(cache|log)/.*|/var/lib/(apt|dpkg|ucf|systemd)/.*"
    r"|/etc/(passwd|group|g?shadow|subuid|subgid)-"  # the lists' former versions
    r"|/etc/default/locale"  # a link to nothing, which Debian makes again at boot
)
"""Paths that installing and removing a package leaves otherwise than they were."""


def state(fleet: Fleet, host: Host) -> set[str]:
    """A host's files, users, packages and units."""
    done = fleet.ssh(host, f"sudo sh -ec {shlex.quote(STATE)}")
    assert done.returncode == 0, done.stderr
    return {line for line in done.stdout.splitlines() if not DEBIANS_OWN.fullmatch(line)}


def test_hosts_are_left_as_they_were_found(fresh: Fleet) -> None:
    before = {host.name: state(fresh, host) for host in fresh.hosts}
    forecast = play(fresh, "provision", "--check", "--diff", recap=True, wallet_storage="postgresql")
    assert forecast.code == 0, forecast.output
    assert [host for host, changed in forecast.changed.items() if not changed] == ["metrics-1"], forecast.output
    assert {host.name: state(fresh, host) for host in fresh.hosts} == before

    provisioned = play(fresh, "provision", wallet_storage="postgresql")
    assert provisioned.code == 0, provisioned.output
    print(f"provisioning two hosts, one with PostgreSQL: {provisioned.seconds:.0f} s")

    load, services = fresh["load-1"], fresh["services-1"]
    fresh.ssh(services, "sudo systemd-run --unit=stampede-reference sleep 1000")
    refused = play(fresh, "teardown")
    assert refused.code != 0
    assert "services-1: stampede-reference.service still runs on services-1; let the run end" in refused.output
    fresh.ssh(services, "sudo systemctl stop stampede-reference")

    run = "/var/lib/stampede/runs/r9"
    fresh.ssh(load, f"sudo -u stampede sh -c 'mkdir {run}; echo step >{run}/journal.lp'")
    refused = play(fresh, "teardown")
    assert refused.code != 0
    assert "load-1: load-1 holds the only results of run r9; collect them" in refused.output
    assert fresh.ssh(load, f"sudo cat {run}/journal.lp").stdout == "step\n"
    assert fresh.ssh(services, "test -d /opt/stampede/venv").returncode == 0

    torn_down = play(fresh, "teardown", discard_runs=True)
    assert torn_down.code == 0, torn_down.output
    print(f"tearing them down: {torn_down.seconds:.0f} s")
    for host in fresh.hosts:
        after = state(fresh, host)
        assert sorted(after - before[host.name]) == [], f"{host.name} has more than it had"
        assert sorted(before[host.name] - after) == [], f"{host.name} has less than it had"

    again = play(fresh, "teardown", "--diff", recap=True)
    assert again.code == 0 and again.changed == dict.fromkeys(before, 0), again.output
