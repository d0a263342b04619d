"""Wallets in a PostgreSQL of the load host's own, which the role ``postgresql`` makes."""

from __future__ import annotations

import base64
import json
import shlex
from pathlib import Path
from typing import Any

from .fleet import Fleet
from .host import Host
from .playbooks import play
from .test_run import unpacked

PASSWORD_FILE = "/etc/stampede/postgresql-password"
PROCESSES = "/var/tmp/processes"


def psql(fleet: Fleet, host: Host, words: str) -> list[str]:
    done = fleet.ssh(host, f"cd / && sudo -u postgres psql --cluster 17/stampede -Atc {shlex.quote(words)}")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def databases(fleet: Fleet, host: Host) -> list[str]:
    return sorted(psql(fleet, host, "select datname from pg_database"))


def test_wallets_in_the_load_hosts_own_postgresql(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    host = fleet["load-1"]
    listing = f"while sleep 0.1; do ps axww -o args; done >{PROCESSES}"
    assert (
        fleet.ssh(host, f"sudo systemd-run --quiet --unit=list-processes sh -c {shlex.quote(listing)}").returncode
        == 0
    )
    played = play(
        *(fleet, "run-test", "-vvv", "--diff", "--limit", "load-1"),
        run_id="pg1",
        results_dir=str(tmp_path),
        holders=3,
        wallet_storage="postgresql",
        **services,
    )
    assert fleet.ssh(host, "sudo systemctl stop list-processes").returncode == 0
    assert played.code == 0, played.output[-5000:]
    steps = json.loads((tmp_path / "pg1" / "summary.json").read_text())["steps"]
    assert steps["receive_credential"]["ok"] == 6
    assert databases(fleet, host) == ["postgres", "template0", "template1"]
    assert psql(fleet, host, "select sum(xact_commit) > 100 from pg_stat_database") == ["t"]

    listening = fleet.ssh(host, "ss --tcp --listening --numeric --no-header 'sport = :5432'").stdout
    assert [line.split()[3] for line in listening.splitlines()] == ["127.0.0.1:5432"]

    password = fleet.ssh(host, f"sudo cat {PASSWORD_FILE}").stdout
    assert len(password) == 32 and fleet.ssh(host, f"cat {PASSWORD_FILE}").returncode != 0
    encoded = base64.b64encode(password.encode()).decode()
    assert password not in played.output and encoded not in played.output
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or password.encode() not in unpacked(file), file
    places = "/dev/shm /etc /home /opt /root /run /srv /tmp /var"
    found = fleet.ssh(host, f"sudo grep --recursive --devices=skip -slFf {PASSWORD_FILE} {places}").stdout
    assert found.split() == [PASSWORD_FILE], found
    assert not fleet.ssh(host, f"sudo journalctl --no-pager | sudo grep -cFf {PASSWORD_FILE}").stdout.strip("0\n")
    assert "controller_script.py" in fleet.ssh(host, f"sudo cat {PROCESSES}; sudo rm {PROCESSES}").stdout


def test_a_second_time_changes_nothing_but_clears_away_what_killed_runs_left(fleet: Fleet) -> None:
    host = fleet["load-1"]
    words = ("provision", "--limit", "load-1", "--diff", "--tags", "load_host,controller,postgresql")
    first = play(fleet, *words, wallet_storage="postgresql")
    assert first.code == 0, first.output
    second = play(fleet, *words, recap=True, wallet_storage="postgresql")
    assert second.code == 0 and second.changed == {"load-1": 0}, second.output

    psql(fleet, host, "create database stampede_left owner stampede")
    third = play(fleet, *words, recap=True, wallet_storage="postgresql")
    assert third.code == 0 and third.changed == {"load-1": 1}, third.output
    assert databases(fleet, host) == ["postgres", "template0", "template1"]


def test_a_port_that_is_taken_is_named(fleet: Fleet) -> None:
    played = play(
        *(fleet, "provision", "--limit", "load-2", "--tags", "postgresql"),
        wallet_storage="postgresql",
        postgresql_port=22,
    )
    assert played.code != 0
    assert "load-2: stampede_postgresql_port is 22, but port 22 is taken on load-2" in played.output
