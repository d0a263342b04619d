"""Every query of every dashboard, asked as Grafana would ask it, of a real InfluxDB that holds two runs."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
from chromium import browser  # noqa: F401  a fixture
from dashboard_view import DASHBOARDS, INTERVAL, TAGS, View
from grafana_drawn import DRAWN, MAJOR, Drawn, bundled, drawn
from grafana_figures import MAJORS, Figures, grafana
from grafana_figures import figures as figures_of
from influxdb_servers import Influxd, running
from installs import had

from controller.metrics.journal import Journal
from controller.metrics.machine import MachineSample
from controller.metrics.monitor import Sample, load_record
from controller.metrics.recorder import Recorder, journaling
from stampede.schema.errors import StepError
from stampede.schema.records import (
    AgentRecord,
    CheckRecord,
    EventKind,
    EventRecord,
    MeasureRecord,
    Outcome,
    PhonesRecord,
)

SECOND = 1_000_000_000

RUN, BASELINE = "2026-11-22T20-03-12Z", "2026-11-22T18-03-12Z"
STARTS = {BASELINE: 1_795_370_592, RUN: 1_795_377_792}
LENGTH = 60
"""Seconds of a run that is made up."""
MACHINE = MachineSample(steal=0.1, running=3, sockets=120, resent=0.001)
STEPS = {"connect": 0.2, "ping": 0.1, "receive_credential": 0.9, "present_proof": 0.5}


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
                agent = AgentRecord("agent-0", 0.7, 190_000_000, number // 300, number != 300, 0.02, 3, 0.1)
                phones = PhonesRecord("agent-0", 10, 9, 1, 1, 1, 0.4, 0.4, 1, 2, 3, 1, 1)
                for record in (agent, phones):
                    journal.write(record, clock.epoch_ns(clock.now()))
            if number == 300:
                interrupted = {"start": begin, "due": begin, "holder": 0, "iteration": 1, "attempt": 2, "error": ""}
                recorder.step(name, Outcome.INTERRUPTED, **interrupted, script="members", group="")
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
    "several": {"host": ["load-1", "load-2"], "step": [*STEPS]},
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


def last_rows(server: Influxd, name: str, run: str, *panels: str, to: int | None = None) -> list[dict[str, Any]]:
    """The last row of each of a dashboard's panels; ``to`` is the end of the time range, in seconds after START."""
    view = View.of(name, server, run, run)
    if to is not None:
        view.begin, view.end = START * 1000, (START + to) * 1000
    asked = dict(view.queries())
    return [(server.query(asked[f"panel {panel}"]) or [{}])[-1] for panel in panels]


def points(run: str, host: str, fields: str, *seconds: float, series: str = "load") -> list[str]:
    return [f"{series},run={run},host={host} {fields} {int((START + at) * SECOND)}" for at in seconds]


START = 1_795_370_590
"""A multiple of INTERVAL."""


@pytest.fixture(scope="module")
def counted() -> Iterator[Influxd]:
    """Runs whose figures are known."""
    lines = [
        *points("open", "a", "arrivals=1i,rounds=3i,dropped=5i,rounds_dropped=0i", *range(5)),
        *points("rounds", "a", "arrivals=1i,rounds=3i,dropped=5i,rounds_dropped=5i", *range(5)),
        *points("older", "a", "arrivals=1i,rounds=3i,dropped=5i", *range(5)),
        *points("late", "a", "active=1i", 0, 4),
    ]
    for number in range(1000):
        late = 0.5 if number % 100 < 3 else 0.002
        for step, lag in enumerate((late, 0, 0, 0, 0, 0)):
            fields = f"service_time=0.25,response_time={0.25 + lag}"
            lines += points("late", "a", fields, (number * 6 + step) / 1500, series="step")
    for host, at in (("a", 0.2), ("b", 1.9), ("c", 3.6), ("died", -15)):
        seconds = [at + 5 * number for number in range(4)]
        lines += points("phones", host, "wanted=1000i,open=1000i", *seconds, series="phones,agent=agent-0")
        lines += points("phones", host, "active=1000i,in_flight=10i", *seconds)
    with running(Influxd) as server:
        server.write("\n".join(lines).encode())
        yield server


def test_what_is_dropped_is_of_the_kind_that_was_due(counted: Influxd) -> None:
    def rates(run: str) -> dict[str, list[float | None]]:
        names = [f"{title}, {what}" for title in ("Arrivals", "Rounds") for what in ("A due", "B begun", "C dropped")]
        found = last_rows(counted, "load", run, *names)
        values = [next((value for name, value in row.items() if name not in TAGS), None) for row in found]
        return {"arrivals": values[:3], "rounds": values[3:]}

    assert rates("open") == {"arrivals": [6, 1, 5], "rounds": [3, 3, 0]}
    assert rates("rounds") == {"arrivals": [1, 1, 0], "rounds": [8, 3, 5]}
    assert rates("older") == {"arrivals": [None, 1, None], "rounds": [None, 3, None]}, "not known which they were"


def test_the_schedule_lag_is_that_of_steps_that_were_due(counted: Influxd) -> None:
    for name in ("run", "load"):
        (number,) = last_rows(counted, name, "late", "Schedule lag, p99, A")
        assert number["p99"] == pytest.approx(0.5), name
    (chart,) = last_rows(counted, "run", "late", "Schedule lag, A $col")
    assert [chart[column] for column in ("p50", "p99", "max")] == pytest.approx([0.002, 0.5, 0.5])


@pytest.mark.parametrize("to", range(15, 20))
def test_numbers_of_the_moment_have_all_hosts(counted: Influxd, to: int) -> None:
    """Whichever of them reported last, but not those that no longer do."""
    (up,) = last_rows(counted, "phones", "phones", "Links up, A", to=to)
    active, in_flight = last_rows(counted, "load", "phones", "Active holders, A", "Steps in flight, A", to=to)
    (holders,) = last_rows(counted, "run", "phones", "Active holders, A", to=to)
    assert (up["open"], active["active"], in_flight["in_flight"], holders["active"]) == (3000, 3000, 30, 3000)


def test_the_baseline_is_as_far_away_as_it_is(influxd: Influxd) -> None:
    view = View.of("compare", influxd, RUN, BASELINE)
    assert view.values["offset"] == [str(STARTS[RUN] - STARTS[BASELINE])]


# ---------------------------------------------------------- what Grafana shows

HEADINGS = {
    ("run", "Steps"): ["Step", "Ok", "Failed", "Mean", "p50", "p95", "p99", "Max"],
    ("run", "Events"): ["Time", "Host", "Kind", "Event"],
    ("run", "Runs"): ["Run", "Began", "Ended"],
    ("hosts", "Load hosts"): [
        *("Load host", "Steps ok", "Steps failed", "Response time, p95", "Schedule lag, max p99"),
        *("Event loop lag, max", "CPU, mean", "Controller, max", "Memory, max", "Agent restarts"),
    ],
    ("compare", "Steps of both runs"): [
        "Step",
        *(f"{what}, {run}" for what in ("Ok", "Failed", "p50", "p95", "p99") for run in ("baseline", "this run")),
    ],
    ("compare", "Response time, p50"): ["step", "baseline", "this run"],
    ("compare", "Response time, p95"): ["step", "baseline", "this run"],
}
"""Of each table and bar chart, in their order."""


type Shown = dict[str, list[Figures]]
"""Of each dashboard's panels."""


type Asked = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def asked(influxd: Influxd) -> Asked:
    """All panels with the answers to their queries, by dashboard."""
    views = {name: View.of(name, influxd, RUN, BASELINE) for name in DASHBOARDS}
    return {
        name: [
            {
                "panel": panel,
                "from": view.begin - view.shift(panel),
                "to": view.end - view.shift(panel),
                "answers": [target | {"series": influxd.series(target["query"])} for target in targets],
            }
            for panel, targets in view.panels()
            if targets
        ]
        for name, view in views.items()
    }


@pytest.fixture(scope="module")
def made(asked: Asked) -> Callable[[int], Shown]:
    """What a major version of Grafana makes of all panels."""

    @cache
    def make(major: int) -> Shown:
        had(lambda: grafana(major))
        figures = iter(figures_of(major, [panel for panels in asked.values() for panel in panels]))
        return {name: [*islice(figures, len(panels))] for name, panels in asked.items()}

    return make


@pytest.fixture(scope="module", params=MAJORS)
def shown(request: pytest.FixtureRequest, made: Callable[[int], Shown]) -> Shown:
    return made(request.param)


def the(shown: Shown, name: str, title: str) -> Figures:
    """The panel of that title; numbers have titles of charts."""
    (found,) = (figures for figures in shown[name] if figures.title == title and figures.type != "stat")
    return found


def test_grafana_knows_all_that_panels_use(shown: Shown) -> None:
    for name, panels in shown.items():
        assert {figures.title: figures.faults for figures in panels if figures.faults} == {}, name
        assert {figures.title: figures.unmatched for figures in panels if figures.unmatched} == {}, name


def test_grafana_has_columns_in_their_order(shown: Shown) -> None:
    found = {(name, title): list(the(shown, name, title).columns) for name, title in HEADINGS}
    assert found == HEADINGS
    tables = {
        (name, figures.title)
        for name, panels in shown.items()
        for figures in panels
        if figures.type in ("table", "barchart")
    }
    assert tables == set(HEADINGS)


def seconds_shown(value: float) -> str:
    return f"{value:.3f} s" if value >= 1 else f"{value * 1000:.3f} ms"


def test_grafana_shows_the_figures_in_their_columns(shown: Shown, influxd: Influxd) -> None:
    asked = dict(View.of("run", influxd, RUN, BASELINE).queries())
    rows = {row["step"]: row for row in influxd.query(asked["panel Steps, A"])}
    failed = {row["step"]: row["failed"] for row in influxd.query(asked["panel Steps, B"])}
    columns = the(shown, "run", "Steps").columns
    steps = columns["Step"]
    assert sorted(steps) == sorted(STEPS)
    assert columns["Ok"] == [str(rows[step]["ok"]) for step in steps]
    assert columns["Failed"] == [str(failed[step]) for step in steps]
    for heading in ("Mean", "p50", "p95", "p99", "Max"):
        assert columns[heading] == [seconds_shown(rows[step][heading.lower()]) for step in steps]
    both = the(shown, "compare", "Steps of both runs").columns
    assert [both[f"{what}, this run"] for what in ("Ok", "Failed", "p95")] == [
        columns[what] for what in ("Ok", "Failed", "p95")
    ]
    hosts = the(shown, "hosts", "Load hosts").columns
    assert sum(map(int, hosts["Steps ok"])) == sum(row["ok"] for row in rows.values())
    assert hosts["CPU, mean"] == ["37.5%", "37.5%"] and hosts["Agent restarts"] == ["1", "1"]
    assert the(shown, "run", "Runs").columns["Run"] == [RUN, BASELINE]
    assert set(the(shown, "run", "Events").columns["Kind"]) == {"phase", "agent_died"}


def test_grafana_names_every_series_and_reduces_it(shown: Shown) -> None:
    for name, panels in shown.items():
        for figures in panels:
            if figures.type == "timeseries":
                where = f"{name}, {figures.title}"
                assert figures.legend and all(figures.legend), where
                texts = [text for calcs in figures.legend.values() for text in calcs.values()]
                assert len(texts) == 2 * len(figures.legend), where
                assert all(re.match(r"-?\d", text) for text in texts), where
            elif figures.type == "stat":
                assert len(figures.stats) == 1 and re.match(r"\d", figures.stats[0]), f"{name}, {figures.title}"
    throughput = the(shown, "run", "Throughput").legend
    assert set(throughput) == {"ok", "failed", "interrupted"}
    assert throughput["ok"]["max"] == "20 ops/s"
    assert the(shown, "load", "Arrivals").legend["due"]["max"] == "2 ops/s"
    links = the(shown, "phones", "Links").legend
    assert (links["wanted"]["max"], links["open"]["max"]) == ("20", "18"), "of both hosts"
    assert set(the(shown, "run", "Response time by step, p95").legend) == set(STEPS)
    assert the(shown, "run", "Holders").legend["active holders"] == {"mean": "20", "max": "20"}


# ---------------------------------------------------------- what Grafana draws


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of the page that draws."""
    return had(lambda: bundled(tmp_path_factory.mktemp("page")))


@pytest.fixture(scope="module", params=DASHBOARDS)
def looked_at(
    request: pytest.FixtureRequest,
    browser: Any,  # noqa: F811
    page: dict[str, Path],
    asked: Asked,
    made: Callable[[int], Shown],
) -> list[tuple[Figures, Drawn]]:
    """A dashboard's panels: the figures, and what is drawn."""
    figures = [each for each in made(MAJOR)[request.param] if each.type in DRAWN]
    return [*zip(figures, drawn(browser, page, asked[request.param]), strict=True)]


def test_grafana_draws_every_number(looked_at: list[tuple[Figures, Drawn]]) -> None:
    for figures, panel in looked_at:
        assert (panel.title, panel.type) == (figures.title, figures.type)
        if panel.type == "table":
            assert panel.headings == [*figures.columns]
            rows = [*map(list, zip(*figures.columns.values(), strict=True))]
            assert panel.rows and panel.rows == rows[: len(panel.rows)], "those that need no scrolling"
            assert panel.unseen == [], f"{panel.title}: cells are cut, or off the screen"
        elif panel.type == "stat":
            (value,) = figures.stats
            assert value.replace(" ", "") in panel.text.replace(" ", "")
        else:
            legend = {name.removesuffix(" (right y-axis)"): calcs for name, *calcs in panel.legend}
            assert legend == {name: [*calcs.values()] for name, calcs in figures.legend.items()}, panel.title


def test_grafana_draws_every_series_in_a_colour(looked_at: list[tuple[Figures, Drawn]]) -> None:
    for _, panel in looked_at:
        if panel.type == "timeseries":
            assert panel.coloured > 100, panel.title
