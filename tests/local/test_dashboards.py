"""Every query of every dashboard, asked as Grafana would ask it, of a real InfluxDB that holds two runs."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from influxd import Influxd, running

from controller.errors import StepError
from controller.metrics.journal import Journal
from controller.metrics.monitor import Sample, load_fields
from controller.metrics.recorder import Recorder

DASHBOARDS = sorted((Path(__file__).parents[2] / "dashboards").glob("*.json"))
DATABASE = "stampede"
INTERVAL = 5
"""Seconds between the points of a chart."""
SECOND = 1_000_000_000

RUN, BASELINE = "2026-11-22T20-03-12Z", "2026-11-22T18-03-12Z"
STARTS = {BASELINE: 1_795_370_592, RUN: 1_795_377_792}
LENGTH = 60
"""Seconds of a run that is made up."""
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
        recorder = Recorder(clock, journal)
        for at, phase in ((-2, "armed"), (0.01, "running")):
            clock.moment = start + at
            recorder.event("phase", phase)
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
                "failed" if error else "ok",
                start=begin,
                due=begin - rng.uniform(0, 0.01),
                holder=number % 10,
                iteration=1,
                attempt=1,
                error=error,
            )
            if number % 10 == 0:
                sample = Sample(
                    cpu=0.3, rss=80_000_000, host_cpu=1.5, host_cores=4, host_memory_used=0.4, lag_p99=0.01
                )
                counts = {"active": 10, "ready": 10, "in_flight": 2, "arrivals": 1, "finished": 0}
                recorder.sample("load", load_fields(sample, **counts))
            if number % 50 == 0:
                fields = {"cpu": 0.7, "rss": 190_000_000, "restarts": number // 300, "up": number != 300}
                recorder.sample("agent", fields, agent="agent-0")
            if number == 300:
                recorder.event("agent_died", "agent-0 ended with signal 9 (killed)")
        for phase in ("draining", "done"):
            recorder.event("phase", phase)
    return file


def error_classes(kind: type[StepError] = StepError) -> set[str]:
    return {kind.error_class}.union(*map(error_classes, kind.__subclasses__()))


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    folder = tmp_path_factory.mktemp("journals")
    journals = [write_journal(folder, run, host) for run in STARTS for host in ("load-1", "load-2")]
    with running() as server:
        load(server, journals)
        yield server


def load(server: Influxd, journals: list[Path]) -> None:
    """Write journals, also packed ones, to the server."""
    server.query(f"CREATE DATABASE {DATABASE}")
    for journal in journals:
        raw = journal.read_bytes()
        server.write(DATABASE, gzip.decompress(raw) if journal.suffix == ".gz" else raw)


# ------------------------------------------------------------------- Grafana


@dataclass
class View:
    """A dashboard as somebody looks at it: its variables' values, by name, and the time range, in ms since 1970."""

    dashboard: dict[str, Any]
    values: dict[str, list[str]]
    begin: int
    end: int

    def interpolated(self, text: str, shift: int = 0) -> str:
        """The text as Grafana asks it: a list is what somebody chose, ``.*`` is All. ``shift`` in ms."""
        time = f"time >= {self.begin - shift}ms and time <= {self.end - shift}ms"
        text = text.replace("$timeFilter", time).replace("$__interval_ms", str(INTERVAL * 1000))
        text = text.replace("$__interval", f"{INTERVAL}s")
        text = re.sub(r"\$\{(\w+):regex\}", lambda found: as_regex(self.values[found[1]]), text)
        return re.sub(r"\$\{(\w+)\}", lambda found: self.values[found[1]][0], text)

    def queries(self) -> Iterator[tuple[str, str]]:
        """Every query, after what it is for."""
        for variable in self.dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"variable {variable['name']}", self.interpolated(variable["query"])
        for annotation in self.dashboard["annotations"]["list"]:
            yield f"annotation {annotation['name']}", self.interpolated(annotation["target"]["query"])
        for panel in self.dashboard["panels"]:
            seconds = re.sub(r"s$", "", self.interpolated(panel.get("timeShift", ""))) or "0"
            for target in panel.get("targets", ()):
                name = f"panel {panel['title']}, {target['refId']} {target['alias']}"
                yield name, self.interpolated(target["query"], int(seconds) * 1000)

    def unanswered(self, server: Influxd) -> list[str]:
        """What the server has no data for. Fails when it does not understand a query."""
        left = []
        for name, text in self.queries():
            assert "$" not in text.replace("$/", ""), f"{name}: {text}"
            rows = server.query(text, DATABASE)
            if not any(value is not None for row in rows for column, value in row.items() if column not in TAGS):
                left.append(name)
        return left


TAGS = {"time", "host", "step", "agent", "run", "outcome", "kind", "key"}


def as_regex(chosen: list[str]) -> str:
    """Values as Grafana's format ``regex`` writes them."""
    if chosen == [".*"]:
        return ".*"
    escaped = [re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", value) for value in chosen]
    return f"({'|'.join(escaped)})" if len(escaped) > 1 else escaped[0]


def look(server: Influxd, file: Path, run: str, baseline: str, **chosen: list[str]) -> View:
    """A dashboard with the run's time range, and its baseline's distance asked for as Grafana does."""
    dashboard = json.loads(file.read_text())
    view = View(dashboard, {"run": [run], "baseline": [baseline], "host": [".*"], "step": [".*"], **chosen}, 0, 0)
    moments = [row["time"] // 1_000_000 for row in server.query(f"SELECT * FROM load WHERE run = '{run}'", DATABASE)]
    view.begin, view.end = min(moments) - 5000, max(moments) + 5000
    for variable in dashboard["templating"]["list"]:
        if variable["name"] == "offset":
            rows = server.query(view.interpolated(variable["query"]), DATABASE)
            view.values["offset"] = [str(row["elapsed"]) for row in rows]
    return view


# --------------------------------------------------------------------- tests

CHOICES = {
    "all": {},
    "one": {"host": ["load-1"], "step": ["present_proof"]},
    "several": {"host": ["load-1", "load-2"], "step": ["connect", "receive_credential", "present_proof"]},
}


@pytest.mark.parametrize("chosen", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_query_is_answered(influxd: Influxd, file: Path, chosen: dict[str, list[str]]) -> None:
    view = look(influxd, file, RUN, BASELINE, **chosen)
    left = view.unanswered(influxd)
    if chosen.get("step") == ["present_proof"]:  # it did not fail in all ways
        left = [name for name in left if "Errors by class" not in name]
    assert left == []
    assert sum(1 for _ in view.queries()) > 20


def test_what_does_not_match_is_not_answered(influxd: Influxd) -> None:
    """The test above could fail: without the variables' values, there is nothing."""
    view = look(influxd, DASHBOARDS[-1], RUN, BASELINE, host=["load-9"])
    assert len(view.unanswered(influxd)) > 20


def test_the_figures_are_those_of_the_journal(influxd: Influxd) -> None:
    (run_file,) = (file for file in DASHBOARDS if file.stem == "run")
    view = look(influxd, run_file, RUN, BASELINE)
    asked = dict(view.queries())

    def rows(name: str) -> list[dict[str, Any]]:
        return influxd.query(asked[name], DATABASE)

    records = influxd.query(f"SELECT response_time, error, outcome, step FROM step WHERE run = '{RUN}'", DATABASE)
    table = {row["step"]: row for row in rows("panel Steps, A ")}
    for step in STEPS:
        times = sorted(row["response_time"] for row in records if row["step"] == step and row["outcome"] == "ok")
        assert table[step]["ok"] == len(times) and table[step]["max"] == times[-1]
        assert table[step]["p95"] in times[int(0.95 * len(times)) - 1 : int(0.95 * len(times)) + 1]
    failed = [row for row in records if row["error"]]
    assert sum(row["failed"] for row in rows("panel Steps, B ")) == len(failed) == 2 * len(error_classes())
    throughput = rows("panel Throughput, A $tag_outcome")
    assert sum(row["count"] for row in throughput) * INTERVAL == pytest.approx(len(records))
    (holders,) = {row["active"] for row in rows("panel Holders, A active holders")}
    assert holders == 20

    (compare_file,) = (file for file in DASHBOARDS if file.stem == "compare")
    assert look(influxd, compare_file, RUN, BASELINE).values["offset"] == [str(STARTS[RUN] - STARTS[BASELINE])]
