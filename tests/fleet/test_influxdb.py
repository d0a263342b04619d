"""A run's points in the metrics host's InfluxDB: live, all of them whatever befalls it, as the dashboards ask."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dashboard_view import DASHBOARDS, View
from points import has_all_of, rows

from .fleet import Fleet
from .playbooks import left_running, play
from .test_faults import PROVISIONED, RUNNING, begin
from .test_metrics import InfluxDb

SCRIPT = """
async def script(holder):
    await holder.connect_to_mediator()
    with holder.group("arrival"):
        issuer = await holder.connect("issuer")
    holder.measure("number", holder.number)
    async for turn in holder.until_end_of_run():
        holder.check("even", turn % 2 == 0)
        await holder.ping(issuer)
        await holder.wait(1)
"""
OUTAGE = 60.0
"""Seconds for which InfluxDB is away in mid-run."""


@dataclass
class Measured:
    """Runs whose points are in InfluxDB, which is asked as its reader."""

    influxdb: InfluxDb
    results: Path

    def query(self, words: str) -> list[dict[str, Any]]:
        """See ``points.rows``."""
        body = urllib.parse.urlencode({"q": words, "db": "stampede"}).encode()
        status, text = self.influxdb.ask("/query?epoch=ns", body, "grafana")
        assert status == 200, text
        return rows(words, text)

    def journals(self, run: str) -> list[Path]:
        return sorted((self.results / run).glob("*/journal.lp.gz"))


def influxd(fleet: Fleet, verb: str) -> None:
    done = fleet.ssh(fleet["metrics-1"], f"sudo systemctl {verb} influxdb")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def measured(fleet: Fleet, services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """A run during which InfluxDB, made for it, is away for a minute."""
    results = tmp_path_factory.mktemp("measured")
    metrics = {"metrics": "install", "grafana": False, "scripts": several(results)}
    with begin(fleet, "away", results, duration=OUTAGE + 20, **metrics, **services) as going:
        going.until(f"load-3 +{RUNNING}", 420)
        found = Measured(InfluxDb(fleet, fleet["metrics-1"]), results)
        live = until_there(found, "SELECT count(service_time) FROM step WHERE run = 'away'")
        influxd(fleet, "stop")
        time.sleep(OUTAGE)
        influxd(fleet, "start")
        played = going.end()
    assert played.code == 0, played.output
    assert live and "cannot be reached" in " ".join(played.output.split()), played.output
    yield found
    assert play(fleet, "teardown", "--limit", "metrics-1", discard_runs=True).code == 0


def several(folder: Path) -> list[dict[str, Any]]:
    """Two scripts, one of which has all that a dashboard shows of a script."""
    script = folder / "observing.py"
    script.write_text(SCRIPT)
    return [{"script": "issue_present_revoke"}, {"script": str(script)}]


def until_there(found: Measured, words: str) -> list[dict[str, Any]]:
    """The answer, as soon as there is one."""
    deadline = time.monotonic() + 30
    while True:
        with suppress(OSError):  # it has only just been started
            if answer := found.query(words):
                return answer
        assert time.monotonic() < deadline, words
        time.sleep(0.5)


def test_a_minute_without_influxdb_costs_no_point(fleet: Fleet, measured: Measured) -> None:
    journals = measured.journals("away")
    assert len(journals) == 3
    pushed = [json.loads((journal.parent / "push.json").read_text()) for journal in journals]
    assert all(its["complete"] for its in pushed), pushed
    has_all_of(measured, *journals)
    assert left_running(fleet) == []


def test_without_influxdb_a_run_is_fine_and_its_points_are_replayed(
    fleet: Fleet, services: dict[str, Any], measured: Measured
) -> None:
    where = {
        "metrics": "existing",
        "influxdb_url": measured.influxdb.url,
        "influxdb_user": "stampede",
        "influxdb_ca_file": measured.influxdb.ca_file,
        "secrets": {"influxdb_password": measured.influxdb.passwords["stampede"]},
    }
    influxd(fleet, "stop")
    with begin(
        fleet,
        "without",
        measured.results,
        *PROVISIONED,
        duration=10,
        influxdb_flush="1s",
        scripts=several(measured.results),
        **where,
        **services,
    ) as going:
        played = going.end()
    influxd(fleet, "start")
    assert played.code == 0, played.output
    assert "cannot be reached" in " ".join(played.output.split())
    journals = measured.journals("without")
    assert until_there(measured, "SHOW MEASUREMENTS")
    assert measured.query("SELECT count(service_time) FROM step WHERE run = 'without'") == []
    for server in (where, {"metrics": "install"}):  # and no point is made twice
        replayed = play(fleet, "replay", run_dir=str(measured.results / "without"), **server)
        assert replayed.code == 0, replayed.output
        has_all_of(measured, *journals, *measured.journals("away"))
    assert measured.influxdb.passwords["stampede"] not in played.output + replayed.output


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_dashboard_shows_real_runs(measured: Measured, name: str) -> None:
    """But for what is asked about failures: there were none."""
    view = View.of(name, measured, "without", "away")
    of_failures = {query for query, text in view.queries() if '"error"' in text or "\"kind\" != 'phase'" in text}
    assert [query for query in view.unanswered(measured) if query not in of_failures] == []
    assert len(of_failures) < sum(1 for _ in view.queries()) / 2
