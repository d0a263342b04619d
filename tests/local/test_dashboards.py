"""Every query of every dashboard, asked as Grafana would ask it, of a real InfluxDB that holds two runs."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from dashboard_view import DASHBOARDS, INTERVAL, View
from influxdb_servers import Influxd, running

from controller.metrics.journal import Journal
from controller.metrics.machine import MachineSample
from controller.metrics.monitor import Sample, load_record
from controller.metrics.recorder import Recorder, journaling
from stampede.schema.errors import StepError
from stampede.schema.records import AgentRecord, CheckRecord, EventKind, EventRecord, MeasureRecord, Outcome

SECOND = 1_000_000_000

RUN, BASELINE = "2026-11-22T20-03-12Z", "2026-11-22T18-03-12Z"
STARTS = {BASELINE: 1_795_370_592, RUN: 1_795_377_792}
LENGTH = 60
"""Seconds of a run that is made up."""
MACHINE = MachineSample(steal=0.1, running=3, sockets=120, resent=0.001)
STEPS = {"connect": 0.2, "receive_credential": 0.9, "present_proof": 0.5}


# ------------------------------------------------------------------ two runs


class SetClock:
    """A run's clock that stands where the test sets it."""

    def __init__(self) -> None:
        self.moment = 0.0

    def now(self) -> float:
        return self.moment

    def epoch_ns(self, moment: float) -> int:
        return int(moment * SECOND)


def write_journal(folder: Path, run: str, host: str) -> Path:
    """The journal of a host's part in a run: by the controller's own classes, with every error that there is."""
    file = folder / f"{run}-{host}.lp"
    clock, rng, start = SetClock(), random.Random(f"{run} {host}"), STARTS[run]
    errors = iter(sorted(error_classes()))
    with Journal(file, {"run": run, "host": host, "scenario": "issue_present_revoke"}) as journal:
        recorder = Recorder(clock, journaling(journal, clock), observers=[journaling(journal, clock)])
        for at, phase in ((-2, "armed"), (0.01, "running")):
            clock.moment = start + at
            journal.write(EventRecord(EventKind.PHASE, phase), clock.epoch_ns(clock.now()))
        for number in count():
            clock.moment = start + 0.05 + number * 0.1
            if clock.moment > start + LENGTH:
                break
            name = rng.choice(list(STEPS))
            seconds = STEPS[name] * rng.lognormvariate(0, 0.4)
            begin = clock.moment - seconds
            error = next(errors, "") if number % 20 == 19 else ""
            recorder.step(
                name,
                Outcome.FAILED if error else Outcome.OK,
                start=begin,
                due=begin - rng.uniform(0, 0.01),
                holder=number % 10,
                iteration=1,
                attempt=1,
                error=error,
                script=("members", "guests")[number % 2],
                group="" if number % 3 else "login",
            )
            checked = Outcome.OK if number % 7 else Outcome.FAILED
            recorder.observe(CheckRecord("signed", checked, number % 10, 1, 1))
            recorder.observe(MeasureRecord("items", float(number % 13 - 3), number % 10, 1, 1))
            if number % 10 == 0:
                sample = Sample(
                    cpu=0.3,
                    rss=80_000_000,
                    host_cpu=1.5,
                    host_cores=4,
                    host_memory_used=0.4,
                    lag_p99=0.01,
                    machine=MACHINE,
                )
                counts = {"active": 10, "ready": 10, "in_flight": 2, "arrivals": 1, "finished": 0}
                journal.write(load_record(sample, **counts), clock.epoch_ns(clock.now()))
            if number % 50 == 0:
                agent = AgentRecord("agent-0", 0.7, 190_000_000, number // 300, number != 300, 0.02, 3)
                journal.write(agent, clock.epoch_ns(clock.now()))
            if number == 300:
                died = EventRecord(EventKind.AGENT_DIED, "agent-0 ended with signal 9 (killed)")
                journal.write(died, clock.epoch_ns(clock.now()))
        for phase in ("draining", "done"):
            journal.write(EventRecord(EventKind.PHASE, phase), clock.epoch_ns(clock.now()))
    return file


def error_classes(kind: type[StepError] = StepError) -> set[str]:
    return {kind.error_class}.union(*map(error_classes, kind.__subclasses__()))


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    folder = tmp_path_factory.mktemp("journals")
    journals = [write_journal(folder, run, host) for run in STARTS for host in ("load-1", "load-2")]
    with running(Influxd) as server:
        load(server, journals)
        yield server


def load(server: Influxd, journals: list[Path]) -> None:
    """Write journals, also packed ones, to the server."""
    for journal in journals:
        raw = journal.read_bytes()
        server.write(gzip.decompress(raw) if journal.suffix == ".gz" else raw)


# --------------------------------------------------------------------- tests

CHOICES = {
    "all": {},
    "one": {"host": ["load-1"], "step": ["present_proof"]},
    "several": {"host": ["load-1", "load-2"], "step": ["connect", "receive_credential", "present_proof"]},
}


@pytest.mark.parametrize("chosen", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_is_answered(influxd: Influxd, name: str, chosen: dict[str, list[str]]) -> None:
    view = View.of(name, influxd, RUN, BASELINE, **chosen)
    left = view.unanswered(influxd)
    if chosen.get("step") == ["present_proof"]:  # it did not fail in all ways
        left = [name for name in left if "Errors by class" not in name]
    assert left == []
    assert sum(1 for _ in view.queries()) > 20


def test_what_does_not_match_is_not_answered(influxd: Influxd) -> None:
    """The test above can fail: without the variables' values, there is nothing."""
    assert len(View.of("run", influxd, RUN, BASELINE, host=["load-9"]).unanswered(influxd)) > 20


def test_the_figures_are_those_of_the_journal(influxd: Influxd) -> None:
    asked = dict(View.of("run", influxd, RUN, BASELINE).queries())

    def rows(name: str) -> list[dict[str, Any]]:
        return influxd.query(asked[name])

    records = influxd.query(f"SELECT response_time, error, outcome, step FROM step WHERE run = '{RUN}'")
    table = {row["step"]: row for row in rows("panel Steps, A")}
    for step in STEPS:
        times = sorted(row["response_time"] for row in records if row["step"] == step and row["outcome"] == "ok")
        assert table[step]["ok"] == len(times) and table[step]["max"] == times[-1]
        assert table[step]["p95"] in times[int(0.95 * len(times)) - 1 : int(0.95 * len(times)) + 1]
    failed = [row for row in records if row["error"]]
    assert sum(row["failed"] for row in rows("panel Steps, B")) == len(failed) == 2 * len(error_classes())
    throughput = rows("panel Throughput, A $tag_outcome")
    assert sum(row["count"] for row in throughput) * INTERVAL == pytest.approx(len(records))
    (holders,) = {row["active"] for row in rows("panel Holders, A active holders")}
    assert holders == 20


def test_the_baseline_is_as_far_away_as_it_is(influxd: Influxd) -> None:
    view = View.of("compare", influxd, RUN, BASELINE)
    assert view.values["offset"] == [str(STARTS[RUN] - STARTS[BASELINE])]
