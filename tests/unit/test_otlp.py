"""OpenTelemetry metrics: what comes out of the journal reaches a receiver, whatever that answers meanwhile."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme
from google.rpc.status_pb2 import Status
from otlp_receiver import PROTOBUF, Receiver, Trouble, attributes, partly, receiving

from controller.metrics import otlp_points, otlp_push
from controller.metrics.journal import Journal
from controller.metrics.journal_tail import JournalTail
from controller.metrics.otlp_push import Collector, Export, totals_of
from controller.metrics.push import Pusher, read_progress, write_progress
from controller.metrics.push_process import PushProcess
from stampede.fleet.participation import not_pushed
from stampede.influxdb.delivery import LAST_RETRY
from stampede.otlp import failure_message
from stampede.prepare.preflight import probe_otlp
from stampede.schema.push_progress import OTLP_FILE, PushProgress
from stampede.schema.records import AgentRecord, EventKind, EventRecord, LoadRecord, Outcome, StepRecord
from stampede.schema.settings.otlp_settings import Otlp
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.settings.secret_settings import not_sendable

START = 1_800_000_000_000_000_000
"""The time of a journal's first record."""
SECOND = 1_000_000_000
TOKEN = "hush-hush-token"


class Waits:
    """An ``EndOfJournal`` without a clock; ``late_at`` counts waits."""

    def __init__(self, late_at: int = 50) -> None:
        self.waited: list[float] = []
        self.reached = True
        self._late_at = late_at

    @property
    def expired(self) -> bool:
        return len(self.waited) >= self._late_at

    def wait(self, seconds: float) -> None:
        if seconds:
            self.waited.append(seconds)


class Run:
    """A run's folder, whose journal records are written to, a second apart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "logs").mkdir()
        self.journal = Journal(folder / "journal.lp", {"run": "r 1", "host": "load-1", "scenario": "s"})
        self._time = START
        self.write(EventRecord(EventKind.PHASE, "running"))

    def write(self, record: Any) -> None:
        self.journal.write(record, self._time)
        self._time += SECOND

    def step(self, name: str, seconds: float, outcome: Outcome = Outcome.OK, **more: Any) -> None:
        self.write(StepRecord(name, outcome, 1, 0, 1, more.pop("service", ""), seconds, 2 * seconds, **more))

    def load(self, **figures: Any) -> None:
        usual = dict.fromkeys(
            ("active", "ready", "in_flight", "arrivals", "finished", "lag_p50", "lag_p99", "lag_max", "loop_lag_max"),
            0,
        )
        of_host = {"cpu": 0.5, "rss": 1000, "host_cpu": 1.0, "host_cores": 4, "host_memory_used": 0.25}
        self.write(LoadRecord(**usual | of_host | figures))

    def push(self, receiver: Receiver, waits: Waits | None = None, **target: Any) -> PushProgress:
        """What a pusher comes to, that goes on from where the one before it stood."""
        self.journal.flush()
        collector = Otlp(receiver.url, **target)
        before = read_progress(self.folder, OTLP_FILE)
        tail = JournalTail(self.folder / "journal.lp")
        totals = totals_of(tail, before.offset)
        pusher = Pusher(
            tail,
            partial(Export, Collector(collector, dict.fromkeys(collector.secrets, TOKEN)), totals),
            waits or Waits(),
            before,
            describe_failure=partial(failure_message, collector),
            save=partial(write_progress, self.folder, file=OTLP_FILE),
            rng=random.Random(1),
        )
        pusher.run()
        return read_progress(self.folder, OTLP_FILE)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    found = Run(tmp_path)
    with found.journal:
        yield found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's exporter gives up soon."""
    monkeypatch.setattr(otlp_push, "TIMEOUT", 0.3)


def by(points: Any, name: str) -> dict[Any, Any]:
    return {attributes(point).get(name): point for point in points}


# -------------------------------------------------------------------- what is exported


def test_steps_are_counted_and_timed(run: Run, receiver: Receiver) -> None:
    for seconds in (0.004, 0.005, 0.2, 130):
        run.step("connect", seconds, service="issuer")
    run.step("connect", 1.0, Outcome.FAILED, service="issuer", error="timeout")
    run.step("present_proof", 1.0, service="verifier", script="a", group="login")
    assert run.push(receiver).complete

    (request,) = receiver.requests
    (resource,) = request.resource_metrics
    assert attributes(resource.resource) == {
        "service.name": "stampede",
        "service.version": otlp_points.VERSION,
        "service.instance.id": "r 1/load-1",
        "host.name": "load-1",
        "stampede.run.id": "r 1",
        "stampede.scenario.name": "s",
    }
    count = receiver.metrics()["stampede.step.count"]
    assert count.unit == "{step}" and count.sum.is_monotonic and count.sum.aggregation_temporality == 2
    assert {(p.start_time_unix_nano, p.time_unix_nano) for p in count.sum.data_points} == {
        (START, START + 6 * SECOND)
    }
    step, outcome, error = "stampede.step.name", "stampede.step.outcome", "error.type"
    assert receiver.counts(step, outcome, error, "stampede.service.name", "stampede.script.name") == {
        ("connect", "ok", "", "issuer", ""): 4,
        ("connect", "failed", "timeout", "issuer", ""): 1,
        ("present_proof", "ok", "", "verifier", "a"): 1,
    }
    times = receiver.metrics()["stampede.step.service_time"]
    assert times.unit == "s" and times.histogram.aggregation_temporality == 2
    connect = next(
        p for p in times.histogram.data_points if (attributes(p)[step], attributes(p)[outcome]) == ("connect", "ok")
    )
    assert (connect.count, connect.sum, connect.min, connect.max) == (4, pytest.approx(130.209), 0.004, 130)
    buckets = dict(zip([*connect.explicit_bounds, "more"], connect.bucket_counts, strict=True))
    assert {bound: n for bound, n in buckets.items() if n} == {0.005: 2, 0.25: 1, "more": 1}
    response = by(receiver.metrics()["stampede.step.response_time"].histogram.data_points, "stampede.group.name")
    assert response["login"].sum == 2.0 and "error.type" not in attributes(response["login"])


def test_loads_are_those_of_the_moment_and_lags_the_worst(run: Run, receiver: Receiver) -> None:
    run.load(active=1, lag_max=0.5, loop_lag_max=0.01)
    run.load(active=7, in_flight=3, lag_max=0.1, loop_lag_max=0.02)
    run.write(AgentRecord("agent-1", 2.0, 5000, 0, True))
    assert run.push(receiver).complete
    found = receiver.metrics()
    gauges = {name: metric for name, metric in found.items() if metric.WhichOneof("data") == "gauge"}
    assert {name: (each.unit, each.gauge.data_points[0].as_double) for name, each in gauges.items()} == {
        "stampede.holder.active": ("{holder}", 7),
        "stampede.step.in_flight": ("{step}", 3),
        "stampede.schedule.lag": ("s", 0.5),
        "stampede.event_loop.lag": ("s", 0.02),
        "system.cpu.utilization": ("1", 0.25),
        "system.memory.utilization": ("1", 0.25),
        "process.cpu.utilization": ("1", 0.125),
    }
    assert found["system.cpu.logical.count"].sum.data_points[0].as_int == 4
    cpu = by(found["process.cpu.utilization"].gauge.data_points, "stampede.process.name")
    assert {name: point.as_double for name, point in cpu.items()} == {"controller": 0.125, "agent-1": 0.5}
    memory = found["process.memory.usage"]
    assert memory.unit == "By" and not memory.sum.is_monotonic
    points = by(memory.sum.data_points, "stampede.process.name")
    assert {name: point.as_int for name, point in points.items()} == {"controller": 1000, "agent-1": 5000}
    run.step("connect", 1.0)
    run.push(receiver)
    assert "stampede.schedule.lag" not in receiver.metrics(), "what is of a moment is told once"


def test_a_pusher_that_was_restarted_goes_on_with_the_same_sums(run: Run, receiver: Receiver) -> None:
    run.step("connect", 1.0)
    first = run.push(receiver)
    run.step("connect", 3.0)
    second = run.push(receiver)
    assert first.points == 3 and second.points == 6 and second.complete
    before, after = (receiver.metrics(number)["stampede.step.service_time"] for number in (0, 1))
    (before,), (after,) = before.histogram.data_points, after.histogram.data_points
    assert (before.count, before.sum, after.count, after.sum) == (1, 1.0, 2, 4.0)
    assert before.start_time_unix_nano == after.start_time_unix_nano == START
    assert before.time_unix_nano < after.time_unix_nano


def test_a_long_journal_is_exported_in_parts_that_add_up(run: Run, receiver: Receiver) -> None:
    for number in range(11_000):
        run.step("connect", 0.001 * (number % 100))
    progress = run.push(receiver)
    assert progress.complete and len(receiver.requests) == 3
    assert [sum(receiver.counts("x", number=number).values()) for number in range(3)] == [4999, 9999, 11_000]


def test_what_there_is_too_much_of_is_summed_up(
    run: Run, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_points, "MOST_SERIES", 5)
    for number in range(20):
        run.step(f"step {number}", 1.0)
    assert run.push(receiver).complete
    counts = receiver.counts("stampede.step.name", "otel.metric.overflow")
    assert len(counts) == 6 and counts["", True] == 15 and sum(counts.values()) == 20


def test_lines_of_no_journal_cost_nothing_but_themselves(run: Run, receiver: Receiver) -> None:
    run.step("connect", 1.0)
    run.journal.flush()
    with (run.folder / "journal.lp").open("a") as file:
        file.write('garbage\nstep,step=x,outcome=ok service_time="text",response_time=1 1\nagent x=1 1\nload x=1 1\n')
    run.step("connect", 1.0)
    progress = run.push(receiver)
    assert progress.rejected == 4 and not progress.complete and progress.behind == 0
    assert receiver.counts("stampede.step.name") == {("connect",): 2}
    assert "lines of the journal cannot be read" in not_pushed(run.folder.parent, run.folder.name)


# -------------------------------------------------------------------- what the receiver answers


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_receiver_that_is_busy_is_asked_again(run: Run, receiver: Receiver, impatient: None, status: int) -> None:
    run.step("connect", 1.0)
    receiver.troubles = [Trouble(status, b"busy")] * 3
    waits = Waits()
    progress = run.push(receiver, waits)
    assert progress.complete and progress.points == 3 and progress.rejected == 0 and not progress.error
    assert len(waits.waited) == 3 and len(receiver.requests) == 1


def test_it_says_when_to_ask_again(run: Run, receiver: Receiver, impatient: None) -> None:
    run.step("connect", 1.0)
    receiver.troubles = [Trouble(503, headers={"Retry-After": "77"})]
    waits = Waits()
    assert run.push(receiver, waits).complete
    assert waits.waited == [77]


def test_one_that_is_down_is_waited_for_and_gets_everything(run: Run, receiver: Receiver, impatient: None) -> None:
    run.step("connect", 1.0)
    receiver.stop()
    waits = Waits(late_at=3)
    progress = run.push(receiver, waits)
    assert not progress.complete and progress.points == 0 and progress.behind > 0
    assert progress.error == f"the OpenTelemetry collector at {receiver.url} cannot be reached: Connection refused"
    assert max(waits.waited) <= LAST_RETRY
    sentence = not_pushed(run.folder.parent, run.folder.name)
    assert sentence.startswith(
        f"The OpenTelemetry collector does not have all metrics of {run.folder.name}: the Open"
    )
    run.step("connect", 1.0)
    receiver.start()
    assert run.push(receiver).complete
    assert receiver.counts("stampede.step.name") == {("connect",): 2}


def test_one_that_does_not_answer_has_not_acknowledged(run: Run, receiver: Receiver, impatient: None) -> None:
    run.step("connect", 1.0)
    receiver.troubles = [Trouble(200, delay=1.0)] * 4
    progress = run.push(receiver, Waits(late_at=1))
    assert progress.points == 0 and "it did not answer in time" in progress.error and not progress.complete


def test_an_answer_that_is_cut_off_acknowledges_nothing(run: Run, receiver: Receiver, impatient: None) -> None:
    run.step("connect", 1.0)
    receiver.troubles = [Trouble(200, b"x", {"Content-Length": "9", "Content-Type": PROTOBUF})] * 3
    progress = run.push(receiver, Waits(late_at=1))
    assert progress.points == 0 and "cannot be reached" in progress.error and not progress.complete
    problems, (warning,) = probe_otlp(Otlp(receiver.url), {})
    assert problems == [] and "cannot be reached" in warning


def test_an_answer_without_end_is_not_read_to_its_end(run: Run, receiver: Receiver) -> None:
    run.step("connect", 1.0)
    receiver.troubles = [Trouble(400, b"x" * 10_000_000)]
    progress = run.push(receiver)
    assert progress.rejected == 3 and len(progress.first_rejected) < 300


IN_JSON = Trouble(
    200,
    b'{"partialSuccess": {"rejectedDataPoints": "2", "errorMessage": "too old"}, "more": 1}',
    {"Content-Type": "application/json"},
)


@pytest.mark.parametrize("answer", [partly(2, "too old"), IN_JSON], ids=["protobuf", "json"])
def test_points_that_it_refused_are_not_claimed(run: Run, receiver: Receiver, answer: Trouble) -> None:
    run.step("connect", 1.0)
    receiver.troubles = [answer]
    progress = run.push(receiver)
    assert (progress.points, progress.rejected, progress.first_rejected) == (1, 2, "too old")
    assert not progress.complete
    assert ": too old." in not_pushed(run.folder.parent, run.folder.name)


def test_a_warning_without_a_refusal_is_none(run: Run, receiver: Receiver) -> None:
    run.step("connect", 1.0)
    receiver.troubles = [partly(0, "use delta")]
    assert run.push(receiver).complete


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 413])
def test_what_it_refuses_for_good_is_told_and_not_sent_again(run: Run, receiver: Receiver, status: int) -> None:
    run.step("connect", 1.0)
    elsewhere = {"Location": receiver.url.replace("127.0.0.1", "localhost"), "Content-Type": PROTOBUF}
    receiver.troubles = [Trouble(status, Status(message=f"not for {TOKEN}").SerializeToString(), elsewhere)]
    progress = run.push(receiver, headers={"X-Key": "${secret:key}"})
    assert (progress.points, progress.rejected) == (0, 3) and not progress.complete
    assert progress.first_rejected == f"it answered {status}: not for ***"
    assert len(receiver.headers) == 1 and receiver.requests == []
    run.step("connect", 1.0)
    run.push(receiver, headers={"X-Key": "${secret:key}"})
    assert receiver.counts("stampede.step.name") == {("connect",): 2}, "the next export has it all"


def test_headers_carry_secrets_and_the_environment_none(
    run: Run, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.step("connect", 1.0)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert run.push(receiver, headers={"Authorization": "Bearer ${secret:otlp_token}", "X-Name": " Grüße €"}).complete
    assert receiver.headers[0]["authorization"] == f"Bearer {TOKEN}"
    assert receiver.headers[0]["x-name"].encode("latin-1").decode() == "Grüße €"


@pytest.fixture
def in_short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pusher exports each two lines of the journal by themselves."""
    monkeypatch.setattr("controller.metrics.push.MAX_LINES", 2)


TAKEN = Trouble(200)


@pytest.mark.parametrize("refusal", [Trouble(401), partly(2, "it answered 401")])
def test_a_later_export_makes_up_for_the_sums_of_one_that_was_refused(
    run: Run, receiver: Receiver, in_short_parts: None, refusal: Trouble
) -> None:
    for _ in range(3):
        run.step("connect", 1.0)
        run.load()
    receiver.troubles = [TAKEN, refusal]
    progress = run.push(receiver)
    assert len(receiver.headers) == 4 and receiver.counts("stampede.step.name") == {("connect",): 3}
    assert progress.complete and progress.lacking == "" and progress.rejected > 0
    sentence = not_pushed(run.folder.parent, run.folder.name)
    assert sentence == (
        f"The OpenTelemetry collector has all sums and histograms of {run.folder.name}. Of exports before the last "
        f"one it refused data points ({progress.rejected} in all, first: it answered 401); values of gauges and "
        "up-down counters among them are missing there. The journal has them all."
    )


@pytest.mark.parametrize("refusal", [Trouble(403), partly(1, "it answered 403")])
def test_the_last_export_must_be_acknowledged(
    run: Run, receiver: Receiver, in_short_parts: None, refusal: Trouble
) -> None:
    for _ in range(5):
        run.step("connect", 1.0)
    receiver.troubles = [Trouble(401), TAKEN, refusal]
    progress = run.push(receiver)
    assert not progress.complete and progress.first_rejected == "it answered 401"
    said = not_pushed(run.folder.parent, run.folder.name)
    assert said.startswith(f"The OpenTelemetry collector does not have all metrics of {run.folder.name}: it")
    assert "answered 403. The report" in said and "401" not in said
    assert not run.push(receiver).complete, "nothing was exported since"
    run.step("connect", 1.0)
    assert run.push(receiver).complete


def test_no_export_makes_up_for_lines_that_cannot_be_read(run: Run, receiver: Receiver) -> None:
    run.step("connect", 1.0)
    run.journal.flush()
    with (run.folder / "journal.lp").open("a") as file:
        file.write("garbage\n")
    assert not run.push(receiver).complete
    run.step("connect", 1.0)
    progress = run.push(receiver)
    assert not progress.complete and progress.rejected == 1
    assert "lines of the journal cannot be read" in not_pushed(run.folder.parent, run.folder.name)


def test_a_refusal_that_was_made_up_for_is_not_why_there_was_no_time(run: Run, receiver: Receiver) -> None:
    found = PushProgress(rejected=3, first_rejected="it answered 401")
    write_progress(run.folder, found, OTLP_FILE)
    said = not_pushed(run.folder.parent, run.folder.name)
    assert "there was no time left" in said and "401" not in said


PAGE = Trouble(200, b"<html>Log in</html>", {"Content-Type": "text/html; charset=utf-8"})


def test_a_page_acknowledges_nothing(run: Run, receiver: Receiver) -> None:
    run.step("connect", 1.0)
    receiver.troubles = [PAGE]
    progress = run.push(receiver)
    assert (progress.points, progress.rejected) == (0, 3) and not progress.complete
    assert progress.first_rejected == (
        "it answered 200: it sent text/html, where an OTLP receiver sends application/x-protobuf, application/json "
        "or nothing"
    )


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"", "text/html"),
        (204, b"", ""),
        (200, b"{}", "Application/JSON; charset=utf-8"),
        (202, b"\n\0", "application/x-protobuf; x=y"),
    ],
)
def test_what_acknowledges(run: Run, receiver: Receiver, status: int, body: bytes, kind: str) -> None:
    receiver.troubles = [Trouble(status, body, {"Content-Type": kind} if kind else {})] * 2
    assert probe_otlp(Otlp(receiver.url), {}) == ([], [])
    run.step("connect", 1.0)
    progress = run.push(receiver)
    assert progress.complete and (progress.points, progress.rejected) == (3, 0)


# -------------------------------------------------------------------- the process


async def test_the_process_pushes_while_the_journal_grows_and_to_its_end(
    run: Run, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-own=1")
    target = Otlp(receiver.url, {"X-Key": "${secret:key}"})
    run.step("connect", 1.0)
    run.journal.flush()
    async with asyncio.timeout(60), PushProcess(target, {"key": TOKEN}, 30, run.folder) as push:
        while push.progress().points < 3:
            await asyncio.sleep(0.05)
        receiver.stop()
        run.step("connect", 1.0)
        run.journal.flush()
        receiver.start()
        await push.finish()
        assert push.progress().complete
    assert receiver.counts("stampede.step.name") == {("connect",): 2}
    assert {headers["x-key"] for headers in receiver.headers} == {TOKEN} and "x-own" not in receiver.headers[0]
    for file in run.folder.rglob("*"):
        assert file.is_dir() or TOKEN not in file.read_text(), file


async def test_one_that_is_killed_is_succeeded_by_one_with_the_same_sums(run: Run, receiver: Receiver) -> None:
    run.step("connect", 1.0)
    run.journal.flush()
    async with asyncio.timeout(60), PushProcess(Otlp(receiver.url), {}, 30, run.folder) as push:
        while push.progress().points < 3:
            await asyncio.sleep(0.05)
        (pusher,) = [
            process
            for process in psutil.Process().children()
            if "controller.metrics.otlp_push" in process.cmdline() and str(run.folder) in process.cmdline()
        ]
        pusher.kill()
        run.step("connect", 3.0)
        run.journal.flush()
        while push.progress().points < 6:
            await asyncio.sleep(0.05)
        await push.finish()
        assert push.progress().complete
    (point,) = receiver.metrics()["stampede.step.service_time"].histogram.data_points
    assert (point.count, point.sum, point.start_time_unix_nano) == (2, 4.0, START)


async def test_one_that_comes_to_nothing_is_told(run: Run, receiver: Receiver) -> None:
    run.step("connect", 1.0)
    run.journal.flush()
    receiver.troubles = [Trouble(503, delay=20)]
    async with asyncio.timeout(60), PushProcess(Otlp(receiver.url), {}, 1, run.folder) as push:
        await push.finish()
    assert not push.progress().complete
    assert "came to nothing in the time that it had" in not_pushed(run.folder.parent, run.folder.name)


async def test_one_that_cannot_begin_is_told(run: Run, receiver: Receiver) -> None:
    target = Otlp(receiver.url, ca_file="/none.pem")
    async with asyncio.timeout(60), PushProcess(target, {}, 1, run.folder) as push:
        while not push.progress().error:
            await asyncio.sleep(0.05)
    assert push.progress().error == "the pusher exited with code 1; logs/push-otlp.log says why"
    assert "push-otlp.log" in not_pushed(run.folder.parent, run.folder.name)
    assert "stampede_otlp_ca_file is '/none.pem'" in (run.folder / "logs/push-otlp.log").read_text()


# -------------------------------------------------------------------- settings, and the check before a run

URL = "https://collector.example.org:4318/v1/metrics"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"url": "collector:4318"}, "stampede_otlp_url is 'collector:4318'; it must be the URL that metrics are"),
        ({"url": "https://collector.example.org:4318"}, "such as https://collector.example.org:4318/v1/metrics"),
        (
            {"url": "https://u:hush@c.example.org/v1/metrics"},
            "stampede_otlp_url holds more than an address and a path",
        ),
        ({"url": f"{URL}?key=hush"}, "stampede_otlp_url holds more than an address and a path"),
        (
            {"url": "http://c.example.org/v1/metrics", "headers": {"X-Key": "${secret:key}"}},
            "it must start with https://, or stampede_otlp_headers would go in clear",
        ),
        (
            {"headers": {"Authorization": "Bearer hush"}},
            "stampede_otlp_headers.Authorization holds a secret in",
        ),
        ({"headers": {"X-Key": "${secret:other}"}}, "${secret:other}, but stampede_secrets has no 'other'"),
        ({"headers": {"X-Key": "${holder}"}}, "uses ${holder}; it may use secret:NAME alone"),
        ({"headers": {"Content-Length": "1"}}, "stampede_otlp_headers has Content-Length"),
        ({"headers": {"X-Key": ["hush"]}}, "stampede_otlp_headers.X-Key is a list"),
        ({"headers": "X-Key: hush"}, "stampede_otlp_headers is "),
    ],
)
def test_wrong_settings(variables: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    given = {"url": URL, "secrets": {"key": "k" * 12}} | change
    secrets = given.pop("secrets")
    wrong = variables | {"stampede_secrets": secrets} | {f"stampede_otlp_{k}": v for k, v in given.items()}
    (found,) = check_variables(wrong)
    assert sentence in found


def test_the_collector_that_metrics_go_to(variables: dict[str, Any]) -> None:
    assert Settings.from_variables(variables).otlp is None
    named = variables | {"stampede_otlp_url": URL, "stampede_ca_file": "/ca.pem"}
    assert Settings.from_variables(named).otlp == Otlp(URL, {}, "/ca.pem")
    own = Settings.from_variables(named | {"stampede_otlp_ca_file": "/own.pem"}).otlp
    assert own is not None and own.ca_file == "/own.pem"
    secret = {"stampede_secrets": {"key": "a\nb"}, "stampede_otlp_headers": {"X-Key": "${secret:key}"}}
    (sentence,) = not_sendable(named | secret)
    assert sentence.startswith("stampede_otlp_headers.X-Key uses stampede_secrets.key, which holds a line break")


@pytest.mark.parametrize(
    ("status", "problem", "warning"),
    [
        (200, "", ""),
        (400, "", ""),
        (401, "answered 401: what stampede_otlp_headers has does not let anybody in: no ***", ""),
        (404, "the path of stampede_otlp_url usually ends with /v1/metrics", ""),
        (307, "answered 307", ""),
        (503, "", "answered 503: no ***. The run continues without it"),
    ],
)
def test_the_check_before_a_run(receiver: Receiver, status: int, problem: str, warning: str) -> None:
    receiver.troubles = [
        Trouble(status, b"" if status == 200 else f"no {TOKEN}".encode(), {"Location": receiver.url})
    ]
    target = Otlp(receiver.url, {"X-Key": "${secret:key}"})
    problems, warnings = probe_otlp(target, {"key": TOKEN, "other": "no"})
    assert [problem in each for each in problems] == [True] * bool(problem)
    assert [warning in each for each in warnings] == [True] * bool(warning)
    assert [headers["x-key"] for headers in receiver.headers] == [TOKEN] and receiver.requests == []


def test_the_check_of_what_is_no_receiver(receiver: Receiver) -> None:
    receiver.troubles = [PAGE]
    (problem,), warnings = probe_otlp(Otlp(receiver.url), {})
    assert warnings == [] and problem == (
        f"stampede_otlp_url cannot be used: the OpenTelemetry collector at {receiver.url} answered 200: it sent "
        "text/html, where an OTLP receiver sends application/x-protobuf, application/json or nothing; the path of "
        "stampede_otlp_url usually ends with /v1/metrics"
    )
    for kind in ({}, {"Content-Type": "no type"}, {"Content-Type": f"text/{'x' * 1000}"}, {"Content-Type": "a/\x1b"}):
        receiver.troubles = [Trouble(201, b"welcome", kind)]
        (problem,), _ = probe_otlp(Otlp(receiver.url), {})
        assert "answered 201: it sent a body without a valid content type, where" in problem
    receiver.troubles = [Trouble(200, b"x", {"Content-Type": f"text/{TOKEN}"})]
    (problem,), _ = probe_otlp(Otlp(receiver.url, {"X-Key": "${secret:key}"}), {"key": TOKEN})
    assert "it sent text/***, where" in problem


def test_the_check_of_what_is_no_host() -> None:
    for url in ("https://*.example.org/v1/metrics", f"https://{'a' * 64}.example.org/v1/metrics"):
        problems, warnings = probe_otlp(Otlp(url), {})
        assert problems + warnings and all(url in sentence for sentence in problems + warnings)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver with a certificate of the authority in ``ca.pem``."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with receiving(context) as found:
        yield found


def test_nothing_is_exported_to_one_that_is_not_trusted(run: Run, secure: Receiver, impatient: None) -> None:
    run.step("connect", 1.0)
    progress = run.push(secure, Waits(late_at=1))
    assert "its certificate is not trusted" in progress.error and secure.headers == []
    assert run.push(secure, ca_file=str(run.folder / "ca.pem")).complete
    assert secure.counts("stampede.step.name") == {("connect",): 1}


def test_the_check_of_one_that_is_away_or_not_trusted(receiver: Receiver, secure: Receiver, tmp_path: Path) -> None:
    receiver.stop()
    problems, (warning,) = probe_otlp(Otlp(receiver.url), {})
    assert problems == [] and "cannot be reached: Connection refused. The run continues" in warning
    receiver.start()
    (problem,), _ = probe_otlp(Otlp(receiver.url, ca_file="/none.pem"), {})
    assert problem == "stampede_otlp_ca_file is '/none.pem'; it must be a PEM file that can be read"
    (problem,), _ = probe_otlp(Otlp(secure.url), {})
    assert "its certificate is not trusted" in problem
    assert "name the CA's PEM file in stampede_otlp_ca_file" in problem
    assert probe_otlp(Otlp(secure.url, ca_file=str(tmp_path / "ca.pem")), {}) == ([], [])
