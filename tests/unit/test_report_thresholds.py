"""Thresholds at the end of a run: exact over all hosts, since when they are crossed, and what the verdict says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_samples as samples

from stampede.report.terminal import table
from stampede.schema.settings.thresholds import Threshold, parse

SETTINGS = {"stampede_ramp_up": "10s", "stampede_duration": "60s"}
TEXTS = [
    "present_proof p95 < 1.2 s",
    "present_proof p50 service_time < 1 s during steady",
    "connect p99.9 <= 800 ms during ramp_up",
    "present_proof max < 3 s",
    "present_proof mean < 0.9 s",
    "p90 < 1 s during drain",
    "errors < 12 %",
    "present_proof errors <= 3",
    "connect errors = 0 during steady",
    "throughput >= 2.5/s",
    "present_proof throughput > 1/s during steady",
]


class Record:
    """A step, `end` in seconds after the start."""

    def __init__(
        self, end: float, seconds: float, step: str = "present_proof", outcome: str = "ok", waited: float = 0
    ):
        self.end, self.step, self.outcome = end, step, outcome
        self.service_time, self.response_time = seconds, seconds + waited

    def line(self, host: str) -> str:
        error = "timeout" if self.outcome == "failed" else ""
        return samples.step_line(
            host,
            self.step,
            samples.START + self.end,
            self.service_time,
            response_time=self.response_time,
            outcome=self.outcome,
            error=error,
        )


type Judge = Callable[..., dict[str, Any]]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """``judge(texts, load_1=[Record(...)], load_2=...)`` returns the summary of such a run."""

    def judge(texts: list[str], settings: dict[str, Any] | None = None, **hosts: list[Record]) -> dict[str, Any]:
        for name, records in hosts.items():
            folder = tmp_path / name
            folder.mkdir()
            drains = samples.event(name, samples.START + 60, "phase", "draining")[1]
            done = samples.event(name, samples.START + 70, "phase", "done")[1]
            lines = [record.line(name) for record in records]
            (folder / "journal.lp").write_text("\n".join([*lines, drains, done, ""]))
            (folder / "state.json").write_text(json.dumps({"phase": "done", "start_at": samples.START}))
        run = {"settings": SETTINGS | {"stampede_thresholds": texts} | (settings or {}), "started": samples.START}
        (tmp_path / "run.json").write_text(json.dumps(run))
        return samples.report(tmp_path)

    return judge


def random_records(seed: int, count: int = 400) -> list[Record]:
    rng = np.random.default_rng(seed)
    return [
        Record(
            round(float(end), 6),
            round(float(rng.lognormal(-0.6, 0.6) * (1 + end / 50)), 6),
            str(rng.choice(["present_proof", "connect"])),
            str(rng.choice(["ok", "failed", "interrupted"], p=[0.88, 0.1, 0.02])),
            round(float(rng.exponential(0.1)), 6),
        )
        for end in rng.uniform(5, 70, count)
    ]


def value_until(threshold: Threshold, records: list[Record], until: float) -> float | None:
    """The figure at a moment, worked out afresh; None when there is nothing to judge."""
    last = max(record.end for record in records)
    since, end = {"run": (0, last), "ramp_up": (0, 10), "steady": (10, 60), "drain": (60, last)}[threshold.phase]
    until = min(until, end)
    its = [
        record
        for record in records
        if threshold.step in (None, record.step)
        and since <= record.end <= until
        and (record.end < end or end == last)
    ]
    ok = [record for record in its if record.outcome == "ok"]
    failed = sum(record.outcome == "failed" for record in its)
    if threshold.metric == "throughput":
        return len(ok) / (until - since) if until > since else None
    if threshold.metric == "errors":
        share = 100 * failed / (len(ok) + failed) if ok or failed else None
        return share if threshold.unit or share is None else failed
    times = [getattr(record, threshold.time or "") for record in ok]
    if not times:
        return None
    if threshold.quantile is not None:
        return float(np.percentile(times, 100 * threshold.quantile))
    return max(times) if threshold.metric == "max" else float(np.mean(times))


@pytest.mark.parametrize("seed", range(4))
def test_each_figure_is_exact_over_the_records_of_all_hosts(judge: Judge, seed: int) -> None:
    first, second = random_records(seed), random_records(100 + seed, 150)
    for its in judge(TEXTS, load_1=first, load_2=second)["thresholds"]:
        threshold = parse(its["text"])
        assert its["value"] == pytest.approx(value_until(threshold, first + second, math.inf), rel=1e-6), its["text"]
        assert its["passed"] is threshold.is_kept_by(its["value"])
        assert (its["crossed_after"] is None) is (its["crossed_at"] is None) is its["passed"]
        assert its["sentence"].startswith(threshold.what)


@pytest.mark.parametrize("seed", range(4))
def test_since_when_it_is_crossed(judge: Judge, seed: int) -> None:
    """From that moment on the figure is beyond the limit at each step, and at the step before it was not."""
    records = random_records(seed)
    crossed = [its for its in judge(TEXTS, load_1=records)["thresholds"] if its["passed"] is False]
    assert len(crossed) >= 3
    for its in crossed:
        threshold, since = parse(its["text"]), its["crossed_after"]
        begin, end = {"ramp_up": (0, 10), "steady": (10, 60), "drain": (60, 71)}.get(threshold.phase, (0, 71))
        moments = sorted(record.end for record in records if begin <= record.end < end)
        for moment in moments:
            figure = value_until(threshold, records, moment)
            if moment > since + 1e-6:
                assert figure is not None and not threshold.is_kept_by(figure), (its["text"], moment)
        before = [moment for moment in moments if moment < since - 1e-6 and is_judged(threshold, records, moment)]
        if before:
            assert threshold.is_kept_by(value_until(threshold, records, before[-1])), its["text"]


def is_judged(threshold: Threshold, records: list[Record], moment: float) -> bool:
    """Whether a step that ends at this moment is one that the threshold is about."""
    outcomes = ("ok", "failed") if threshold.metric == "errors" else ("ok",)
    return any(
        record.end == moment and threshold.step in (None, record.step) and record.outcome in outcomes
        for record in records
    )


def test_since_when_a_percentile_is_crossed(judge: Judge) -> None:
    quick, slow = [Record(second, 1.0) for second in range(1, 31)], [Record(second, 3.0) for second in range(31, 60)]
    summary = judge(["present_proof p95 response_time < 2 s"], load_1=quick, load_2=slow)
    (its,) = summary["thresholds"]
    # Of 32 steps p95 lies 0.45 of the way from the last quick one to the first slow one, at 1.9 s; of 33 at 3 s.
    assert its["crossed_after"] == 33
    assert its["crossed_at"] == "2026-11-22T18:03:45Z"
    assert its["sentence"] == (
        "present_proof p95 response_time was 3.00 s, the threshold is < 2 s; "
        "crossed since 18:03:45 UTC, 33 s after the start."
    )


def test_a_bad_while_that_is_made_up_for_is_no_crossing(judge: Judge) -> None:
    records = [Record(second / 10, 3.0 if 50 < second < 60 else 1.0) for second in range(1, 600)]
    (its,) = judge(["p95 < 2 s"], load_1=records)["thresholds"]
    assert its["passed"] is True and its["crossed_at"] is None
    assert its["sentence"] == "p95 response_time was 1.00 s, the threshold is < 2 s."


def test_since_when_a_throughput_is_too_low(judge: Judge) -> None:
    records = [Record(second / 10, 0.05) for second in range(1, 301)]  # 10/s for 30 s, then nothing until the end
    low, never = judge(["throughput >= 6/s", "throughput >= 50/s"], load_1=[*records, Record(60, 0.05)])["thresholds"]
    assert low["value"] == pytest.approx(301 / 60)
    assert low["crossed_after"] == pytest.approx(300 / 6)
    assert never["crossed_after"] == 0


def test_nothing_to_judge_is_not_passed(judge: Judge) -> None:
    summary = judge(["ping p95 < 2 s", "connect errors = 0", "errors < 1 %"], load_1=[Record(5, 1.0)])
    ping, connect, errors = summary["thresholds"]
    assert ping["passed"] is None and connect["passed"] is None and errors["passed"] is True
    assert ping["value"] is None and ping["crossed_at"] is None
    assert ping["sentence"] == (
        "ping p95 response_time could not be judged because no such step was recorded; the threshold is < 2 s."
    )
    assert (summary["run"]["outcome"], summary["run"]["passed"]) == ("thresholds", False)
    assert summary["run"]["headline"] == (
        "Failed: 2 of 3 thresholds could not be judged: ping p95 < 2 s and connect errors = 0"
    )


def test_a_run_without_load_keeps_no_threshold(judge: Judge) -> None:
    summary = judge(["errors < 1 %", "throughput >= 1/s"], load_1=[])
    assert all(not its["passed"] for its in summary["thresholds"])
    assert summary["run"]["outcome"] == "no_load"


def test_texts_that_are_no_thresholds_are_noted(judge: Judge) -> None:
    summary = judge(["errors < 1", 7, "errors < 1 furlong"], load_1=[Record(5, 1.0)])
    assert [its["text"] for its in summary["thresholds"]] == ["errors < 1"]
    assert any("'errors < 1 furlong' was ignored" in note for note in summary["journal"]["notes"])


def test_without_thresholds_there_are_none(judge: Judge) -> None:
    summary = judge([], load_1=[Record(5, 1.0)])
    assert summary["thresholds"] == [] and summary["run"]["headline"] == "Passed: no step failed"


def test_settings_of_the_host_serve_when_there_is_no_run_file(judge: Judge, tmp_path: Path) -> None:
    judge([], load_1=[Record(5, 1.0)])
    (tmp_path / "run.json").unlink()
    settings = {"thresholds": ["errors = 0"], "ramp_up": 10.0, "duration": 0.0}
    (tmp_path / "load_1" / "run.json").write_text(json.dumps({"settings": settings}))
    assert [its["passed"] for its in samples.report(tmp_path)["thresholds"]] == [True]


class TestVerdict:
    some_failed = (*(Record(number / 10, 1.0) for number in range(1, 200)), Record(30, 1.0, outcome="failed"))

    def test_crossed_thresholds_fail_a_run_in_which_no_step_failed(self, judge: Judge) -> None:
        run = judge(["p95 < 2 s", "max < 500 ms", "mean < 0.5 s"], load_1=[Record(5, 1.0)])["run"]
        assert (run["outcome"], run["passed"]) == ("thresholds", False)
        assert run["headline"] == "Failed: 2 of 3 thresholds were crossed: max < 500 ms and mean < 0.5 s"
        told = [finding for finding in run["findings"] if finding["about"] == "thresholds"]
        assert [finding["warning"] for finding in told] == [True, True]
        assert told[0]["text"].startswith("max response_time was 1.00 s, the threshold is < 500 ms; crossed since ")

    def test_a_threshold_on_errors_decides_about_failures(self, judge: Judge) -> None:
        run = judge(["errors < 1 %"], load_1=self.some_failed)["run"]
        assert (run["outcome"], run["passed"]) == ("passed", True)
        assert run["headline"] == "Passed: the threshold was met, 1 of 200 steps (0.50 %) failed"
        assert any(finding["about"] == "failures" for finding in run["findings"])

    def test_crossed_by_failures(self, judge: Judge) -> None:
        run = judge(["errors < 0.2 %"], load_1=self.some_failed)["run"]
        assert run["headline"] == "Failed: 1 of 1 threshold was crossed: errors < 0.2 %"

    def test_failures_of_other_steps_count_as_ever(self, judge: Judge) -> None:
        texts = ["connect errors < 1 %", "p95 < 500 ms"]
        run = judge(texts, load_1=[*self.some_failed, Record(31, 0.1, "connect")])["run"]
        assert (run["outcome"], run["passed"]) == ("failed", False)
        assert run["headline"] == "Failed: 1 of 201 steps (0.50 %); 1 of 2 thresholds was crossed"

    def test_the_terminal_shows_all_thresholds(self, judge: Judge) -> None:
        text = table(samples.typed(judge(["p95 < 2 s", "present_proof max < 500 ms"], load_1=[Record(5, 1.0)])))
        assert "\n✓ p95 response_time was 1.00 s, the threshold is < 2 s.\n" in text
        assert text.count("present_proof max response_time was 1.00 s") == 1
        assert "\n✗ present_proof max response_time was 1.00 s, the threshold is < 500 ms;" in text
        assert max(map(len, text.splitlines())) <= 80
