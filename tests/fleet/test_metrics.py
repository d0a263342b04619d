"""The metrics host: an InfluxDB that the role ``influxdb`` makes, and what is said where a vendor is out of reach."""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from .fleet import Fleet
from .host import Host
from .playbooks import REPOSITORY, Played, play
from .test_secrets import CommandLines, HostInside, holds
from .test_teardown import state

SECRETS = "/etc/stampede/influxdb"
USERS = ("admin", "stampede", "grafana")
LOCAL_KEY = "file:///srv/debs/Packages"
"""Stands for a vendor's key that can be fetched, where nothing is installed."""


class InfluxDb:
    """The server as a load host sees it: over the network, with the certificate authority that was brought home."""

    def __init__(self, fleet: Fleet, host: Host) -> None:
        self.url = f"https://{host.address}:8086"
        self.passwords = {user: fleet.ssh(host, f"sudo cat {SECRETS}/{user}-password").stdout for user in USERS}
        self.ca_file = str(REPOSITORY / ".stampede/metrics" / host.name / "ca.pem")
        tls = ssl.create_default_context(cafile=self.ca_file)
        self._open = urllib.request.build_opener(urllib.request.HTTPSHandler(context=tls)).open

    def ask(self, path: str, body: bytes, user: str) -> tuple[int, str]:
        """The status and the text of an answer; ``user`` may be nobody."""
        request = urllib.request.Request(self.url + path, body)
        if user:
            words = f"{user}:{self.passwords[user]}".encode()
            request.add_header("Authorization", f"Basic {base64.b64encode(words).decode()}")
        try:
            with self._open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def write(self, line: str, user: str) -> int:
        return self.ask("/write?db=stampede", line.encode(), user)[0]

    def query(self, words: str, user: str) -> tuple[int, list[list[Any]]]:
        """The status, and the values of the first series."""
        status, text = self.ask("/query", urllib.parse.urlencode({"q": words, "db": "stampede"}).encode(), user)
        series = json.loads(text).get("results", [{}])[0].get("series", [{}])
        return status, series[0].get("values", [])


def provision(fleet: Fleet, *words: str, grafana: bool = False, **variables: Any) -> Played:
    settings = {"metrics": "install", "grafana": grafana, **variables}
    return play(fleet, "provision", "--limit", "metrics-1", *words, recap=True, **settings)


@pytest.fixture(scope="module")
def before(fleet: Fleet) -> Iterator[set[str]]:
    """What the metrics host was before, and is again."""
    host = fleet["metrics-1"]
    found = state(fleet, host)
    yield found
    torn_down = play(fleet, "teardown", "--limit", host.name, recap=True, discard_runs=True)
    assert torn_down.code == 0, torn_down.output
    after = state(fleet, host)
    assert sorted(after - found) == [], f"it has more than it had: {sorted(after - found)}"
    assert sorted(found - after) == [], f"it has less than it had: {sorted(found - after)}"
    assert not (REPOSITORY / ".stampede/metrics" / host.name).exists()
    again = play(fleet, "teardown", "--limit", host.name, "--diff", recap=True)
    assert again.code == 0 and again.changed == {host.name: 0}, again.output


@pytest.fixture(scope="module")
def made(fleet: Fleet, before: set[str]) -> None:
    """Plays the role."""
    played = provision(fleet)
    assert played.code == 0, played.output


@pytest.fixture
def influxdb(fleet: Fleet, made: None) -> InfluxDb:
    """The server that the role makes, with the passwords that it has by now."""
    return InfluxDb(fleet, fleet["metrics-1"])


def test_servers_of_somebody_elses_are_left_as_they_are(fleet: Fleet) -> None:
    host = fleet["metrics-1"]
    assert fleet.ssh(host, "sudo mkdir /usr/share/grafana").returncode == 0
    grafana = provision(fleet, "--check", grafana=True)
    assert fleet.ssh(host, "sudo rmdir /usr/share/grafana; sudo touch /usr/bin/influxd").returncode == 0
    influxdb = provision(fleet)
    assert fleet.ssh(host, "sudo rm /usr/bin/influxd").returncode == 0
    assert grafana.code != 0 and "metrics-1 has a Grafana that Stampede did not install" in grafana.output
    assert influxdb.code != 0 and "metrics-1 has an InfluxDB that Stampede did not install" in influxdb.output


def test_an_influxdb_is_made_and_its_secrets_stay_there(fleet: Fleet, before: set[str]) -> None:
    host = fleet["metrics-1"]
    forecast = provision(fleet, "--check", "--diff")
    assert forecast.code == 0 and forecast.changed[host.name] > 0, forecast.output
    assert state(fleet, host) == before

    began = time.time()
    with CommandLines() as lines:
        made = provision(fleet, "-vvv", "--diff")
    assert made.code == 0, made.output
    again = provision(fleet, "-vvv", "--diff")
    assert again.code == 0 and again.changed[host.name] == 0, again.output

    influxdb = InfluxDb(fleet, host)
    words = list(influxdb.passwords.values())
    assert {len(word) for word in words} == {32} and len(set(words)) == 3
    for played in (made, again):
        assert not holds(
            played.output.encode(), [*words, *(base64.b64encode(word.encode()).decode() for word in words)]
        )
    assert not [line for line in lines.seen if holds(line, words)]
    assert HostInside(fleet, host).leaks(words, began) == []
    assert fleet.ssh(host, f"cat {SECRETS}/stampede-password").returncode != 0
    keys = "sudo find /etc/stampede/influxdb /etc/influxdb/stampede -name '*.key' -perm /007"
    assert fleet.ssh(host, keys).stdout == ""


def test_each_user_may_do_what_it_must_and_nothing_else(influxdb: InfluxDb) -> None:
    count = "SELECT count(value) FROM tried"
    assert influxdb.write("tried value=1", "stampede") == 204
    assert influxdb.query(count, "grafana") == (200, [["1970-01-01T00:00:00Z", 1]])
    assert influxdb.query("SHOW MEASUREMENTS", "grafana")[1] == [["tried"]]  # and nothing that trying has left

    assert influxdb.write("tried value=1", "grafana") == influxdb.write("tried value=1", "") + 2 == 403
    assert influxdb.query(count, "stampede")[0] == 403
    for user in ("stampede", "grafana"):
        for words in (
            "CREATE DATABASE more",
            "SHOW USERS",
            "DROP MEASUREMENT tried",
            f"SET PASSWORD FOR {user} = 'x'",
        ):
            assert influxdb.query(words, user)[0] == 403, (user, words)

    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{influxdb.url}/ping", timeout=30)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(f"{influxdb.url.replace('https', 'http')}/ping", timeout=30)


def test_what_was_changed_is_made_right_again(fleet: Fleet, influxdb: InfluxDb) -> None:
    host = fleet["metrics-1"]
    for words in (
        "GRANT ALL ON stampede TO grafana",
        "CREATE DATABASE more",
        "GRANT READ ON more TO stampede",
        "GRANT ALL PRIVILEGES TO stampede",
        "SET PASSWORD FOR stampede = 'other'",
    ):
        assert influxdb.query(words, "admin")[0] == 200, words
    assert fleet.ssh(host, f"sudo rm {SECRETS}/grafana-password").returncode == 0

    forecast = provision(fleet, "--check", "--diff", influxdb_retention="INF")
    assert forecast.code == 0 and forecast.changed[host.name] == 1, forecast.output
    assert influxdb.query("SHOW USERS", "stampede")[0] == 401
    healed = provision(fleet, "--diff", influxdb_retention="INF")
    assert healed.code == 0 and healed.changed[host.name] == 1, healed.output
    assert influxdb.query("SHOW USERS", "admin")[1] == [["admin", True], ["stampede", False], ["grafana", False]]
    privileges = {tuple(row) for row in influxdb.query("SHOW GRANTS FOR grafana", "admin")[1]}
    assert privileges == {("stampede", "READ")}
    assert ["stampede", "WRITE"] in influxdb.query("SHOW GRANTS FOR stampede", "admin")[1]
    assert influxdb.query("SHOW RETENTION POLICIES", "admin")[1][0][1] == "0s"
    assert influxdb.query("DROP DATABASE more", "admin")[0] == 200


def test_teardown_keeps_points_of_runs_that_are_not_home(fleet: Fleet, influxdb: InfluxDb, tmp_path: Path) -> None:
    host = fleet["metrics-1"]
    for run in ("home-1", "away-1"):
        assert influxdb.write(f"load,run={run},host=load-1 active=1i", "stampede") == 204
    (tmp_path / "home-1").mkdir()
    refused = play(fleet, "teardown", "--limit", host.name, results_dir=str(tmp_path))
    assert refused.code != 0
    assert "InfluxDB on metrics-1 has points of run away-1, of which " in refused.output, refused.output
    assert influxdb.query("SELECT count(active) FROM load", "grafana")[1][0][1] == 2


def test_a_certificate_of_ones_own(fleet: Fleet, before: set[str], tmp_path: Path) -> None:
    host = fleet["metrics-1"]
    authority = trustme.CA()
    certificate = authority.issue_cert(host.address)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "host.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "host.key")
    files = {"certificate": "host.pem", "certificate_key": "host.key", "ca_file": "ca.pem"}
    settings = {f"influxdb_{name}": str(tmp_path / file) for name, file in files.items()}
    given = provision(fleet, "--diff", **settings)
    assert given.code == 0 and "PRIVATE KEY" not in given.output, given.output
    tls = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    assert urllib.request.urlopen(f"https://{host.address}:8086/ping", context=tls, timeout=30).status == 204
    again = provision(fleet, **settings)
    assert again.code == 0 and again.changed[host.name] == 0, again.output

    made = provision(fleet)
    assert made.code == 0, made.output
    assert InfluxDb(fleet, host).write("tried value=1", "stampede") == 204


def test_bad_input_is_named_before_anything_is_done(fleet: Fleet, before: set[str]) -> None:
    retention = provision(fleet, influxdb_retention="30 days")
    assert retention.code != 0 and "stampede_influxdb_retention is 30 days; it must be a duration" in retention.output
    half = provision(fleet, influxdb_certificate="files/metrics.pem")
    assert half.code != 0 and "Only one of stampede_influxdb_certificate and" in half.output
    wrong = provision(fleet, influxdb_source="debian")
    assert (
        wrong.code != 0 and "value of stampede_influxdb_source must be one of: distribution, vendor" in wrong.output
    )


def test_vendors_that_cannot_be_reached_are_named(fleet: Fleet, before: set[str]) -> None:
    influxdb = provision(fleet, influxdb_source="vendor")
    assert influxdb.code != 0
    assert "InfluxData's repository cannot be reached from metrics-1: " in influxdb.output, influxdb.output
    grafana = provision(fleet, grafana=True)
    assert grafana.code != 0
    assert "Grafana's repository cannot be reached from metrics-1: " in grafana.output, grafana.output
    assert "or go without with stampede_grafana: false" in " ".join(grafana.output.split())


def test_with_a_vendors_key_the_forecast_goes_through(fleet: Fleet, before: set[str]) -> None:
    keys = {"influxdb_repository_key": LOCAL_KEY, "grafana_repository_key": LOCAL_KEY}
    forecast = provision(fleet, "--check", "--diff", grafana=True, influxdb_source="vendor", **keys)
    assert forecast.code == 0, forecast.output
    for line in ("+URIs: https://repos.influxdata.com/debian", "+URIs: https://apt.grafana.com"):
        assert line in forecast.output, forecast.output
