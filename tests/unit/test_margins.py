"""Warm-up and cool-down are kept out of the figures, live and at the end alike; what fails in them still counts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_samples as samples

from stampede import wording
from stampede.analysis.collected_run import read_run
from stampede.comparison.runs import build_comparison
from stampede.schema.margins import Margins
from stampede.schema.records import Outcome, StepRecord
from stampede.schema.settings import thresholds
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.tally import Tallies

SETTINGS = {
    "stampede_duration": "100s",
    "stampede_ramp_up": "10s",
    "stampede_warm_up": "30s",
    "stampede_cool_down": "20s",
}
TEXTS = ["errors = 0", "throughput >= 1/s", "p95 < 2 s", "errors < 1 % during drain"]
STAGES = [{"holders": 10, "for": "60s"}, {"holders": 20, "for": "30s"}, {"holders": 5, "for": "20s"}]


class TestSpan:
    """Of a run with a ramp-up of 10 s that lasts for 100 s and is drained for 5 s."""

    @staticmethod
    def measured(margins: Margins, draining: float | None = 100, end: float = 105) -> tuple[float, float]:
        begins = margins.cool_down_begins(100)
        spans = thresholds.spans(10, draining, end, warm_up=margins.warm_up, cool_down_begins=begins)
        return spans[thresholds.RUN]

    @pytest.mark.parametrize(
        ("margins", "span"),
        [
            (Margins(), (0, 105)),
            (Margins(warm_up=30), (30, 105)),
            (Margins(cool_down=20), (0, 80)),
            (Margins(30, 20), (30, 80)),
        ],
    )
    def test_the_cool_down_ends_with_the_duration_and_takes_the_drain_with_it(
        self, margins: Margins, span: tuple[float, float]
    ) -> None:
        assert self.measured(margins) == span

    def test_a_run_that_is_stopped_is_measured_until_then(self) -> None:
        assert self.measured(Margins(30, 20), draining=50, end=52) == (30, 50)
        assert self.measured(Margins(30), draining=50, end=52) == (30, 52)
        assert self.measured(Margins(30, 20), draining=12, end=14) == (12, 12), "nothing"
        assert self.measured(Margins(30, 20), draining=None, end=40) == (30, 40), "while it goes on"

    def test_what_was_measured_stays_measured_when_the_next_stage_begins_before_its_time(self) -> None:
        margins = Margins(cool_down=20)
        begins = margins.cool_down_begins(110)
        assert begins == 90
        assert margins.cool_down_begins(70, since=20, before=begins) == 50
        assert margins.cool_down_begins(70, since=60, before=begins) == 60
        assert margins.cool_down_begins(105, since=95, before=begins) == 90, "it had begun"
        assert math.isinf(Margins(warm_up=9).cool_down_begins(70, since=20))


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"stampede_warm_up": "soon"}, "stampede_warm_up is 'soon'; it must be a number of seconds"),
            (
                {"stampede_cool_down": "20s", "stampede_duration": 0},
                "stampede_cool_down is 20 s, but the run lasts until its iterations are done",
            ),
            (
                {"stampede_warm_up": "1m", "stampede_cool_down": 30, "stampede_duration": "90s"},
                "stampede_warm_up and stampede_cool_down are 90 s together, but the run lasts 90 s; they must be",
            ),
            (
                {
                    "stampede_warm_up": "1m",
                    "stampede_load_model": "search",
                    "stampede_thresholds": ["p95 < 2 s"],
                    "stampede_holders": 4,
                },
                "stampede_warm_up is 60 s, but the load model judges each of its levels by itself",
            ),
        ],
    )
    def test_one_sentence(self, variables: dict[str, Any], changes: dict[str, Any], sentence: str) -> None:
        (found,) = check_variables(variables | changes)
        assert found.startswith(sentence)

    def test_a_run_by_iterations_may_have_a_warm_up(self, variables: dict[str, Any]) -> None:
        settings = Settings.from_variables(variables | {"stampede_warm_up": "1m", "stampede_duration": 0})
        assert settings.margins == Margins(60, 0)


def steps(seed: int, number: int = 600) -> list[tuple[float, StepRecord]]:
    """Steps and when they ended, in seconds from the start."""
    rng = np.random.default_rng(seed)
    found = []
    for end in sorted(rng.uniform(2, 104, number)):
        seconds = round(float(rng.lognormal(-1, 0.5)), 6)
        outcome = Outcome(str(rng.choice(["ok", "failed", "interrupted"], p=[0.9, 0.08, 0.02])))
        name = str(rng.choice(["connect", "present_proof"]))
        error = "timeout" if outcome == Outcome.FAILED else None
        found.append((round(float(end), 6), StepRecord(name, outcome, 1, 1, 1, "issuer", seconds, seconds, error)))
    return found


def reported(
    folder: Path, records: list[tuple[float, StepRecord]], settings: dict[str, Any], *events: str, drains: float = 100
) -> dict[str, Any]:
    """The summary of a run on one host that recorded these."""
    (folder / "load-1").mkdir(parents=True)
    start = samples.START
    lines = [
        samples.step_line(
            "load-1",
            record.step,
            start + end,
            record.service_time,
            outcome=record.outcome,
            error=record.error or "",
        )
        for end, record in records
    ]
    phases = [samples.event("load-1", start + drains, "phase", "draining")[1]]
    phases.append(samples.event("load-1", start + drains + 6, "phase", "done")[1])
    (folder / "load-1" / "journal.lp").write_text("\n".join([*lines, *events, *phases, ""]))
    (folder / "load-1" / "state.json").write_text(json.dumps({"phase": "done", "start_at": start}))
    (folder / "run.json").write_text(json.dumps({"settings": settings, "started": start}))
    return samples.report(folder)


class TestFigures:
    def test_are_those_of_the_measured_part(self, tmp_path: Path) -> None:
        records = steps(1)
        found = reported(tmp_path, records, SETTINGS)
        inside = [record for end, record in records if 30 <= end < 80]
        ok = [record for record in inside if record.outcome == Outcome.OK]
        for name, step in found["steps"].items():
            times = [record.service_time for record in ok if record.step == name]
            assert step["ok"] == len(times)
            assert step["per_second"] == pytest.approx(len(times) / 50)
            assert step["service_time"]["p95"] == pytest.approx(np.percentile(times, 95))
        assert found["load"]["steps_per_second"] == pytest.approx(len(ok) / 50)
        assert found["hosts"]["load-1"]["steps_per_second"] == pytest.approx(len(ok) / 50)
        measured = found["measured"]
        assert (measured["since"], measured["until"]) == pytest.approx((30, 80))
        left_out = sum(sum(counts.values()) for counts in measured["left_out"].values())
        assert left_out == len(records) - len(inside)
        assert found["load"]["ok"] + found["load"]["failed"] + found["load"]["interrupted"] == len(records)

    def test_are_those_of_checks_and_measures_too(self, tmp_path: Path) -> None:
        start, texts = samples.START, ["check valid passed >= 100 %", "measure size max < 9"]
        said = []
        for number, end in enumerate((29.9, 30, 79.9, 80)):
            outcome = "ok" if 30 <= end < 80 else "failed"
            moment = int((start + end) * 1e9)
            fields = "holder=1i,iteration=1i,attempt=1i"
            said.append(f"{samples.tags('check', 'load-1', check='valid', outcome=outcome)} {fields} {moment}")
            value = 5.0 + number % 2 if outcome == "ok" else 20.0
            said.append(f"{samples.tags('measure', 'load-1', measure='size')} {fields},value={value} {moment}")
        found = reported(tmp_path, steps(1), SETTINGS | {"stampede_thresholds": texts}, *said)
        assert found["checks"] == {"valid": {"passed": 2, "failed": 0}}
        assert (found["measures"]["size"]["count"], found["measures"]["size"]["max"]) == (2, 6.0)
        assert [verdict["passed"] for verdict in found["thresholds"]] == [True, True]

    def test_a_run_without_margins_is_measured_as_a_whole(self, tmp_path: Path) -> None:
        settings = SETTINGS | {"stampede_warm_up": 0, "stampede_cool_down": 0}
        found = reported(tmp_path, steps(1), settings)
        assert found["measured"] is None
        assert sum(step["ok"] for step in found["steps"].values()) == found["load"]["ok"]

    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("cut", [None, 40.0, 70.0, 95.0])
    def test_thresholds_count_the_same_live_and_at_the_end(
        self, tmp_path: Path, variables: dict[str, Any], seed: int, cut: float | None
    ) -> None:
        records = steps(seed)
        changes = {"stampede_stages": STAGES, "stampede_warm_up": "30s", "stampede_cool_down": "25s"}
        load = Settings.from_variables(variables | changes).load
        tallies = Tallies(TEXTS, load.plan, Margins(30, 25))
        tallies.begin(1000)
        duration = (load.cut(cut) if cut else load).plan.duration
        is_cut = is_draining = False
        for end, record in records:
            if cut and end > cut and not is_cut:
                is_cut = True
                tallies.replan(load.cut(cut).plan, cut)
            if end >= duration and not is_draining:
                is_draining = True
                tallies.drain(1000 + duration)
            tallies.step_ended(record, 1000 + end)
        tallies.end()
        events = (
            [
                f'{samples.tags("event", "load-1", kind="next_stage")} text="",value={cut} '
                f"{int((samples.START + (cut or 0)) * 1e9)}"
            ]
            if cut
            else []
        )
        found = reported(tmp_path, records, changes | {"stampede_thresholds": TEXTS}, *events, drains=duration)
        states = tallies.states(2000)
        at_end = {verdict["text"]: verdict["value"] for verdict in found["thresholds"]}
        assert at_end["errors = 0"] == states[0].failed
        assert at_end["throughput >= 1/s"] == pytest.approx(states[1].ok / states[1].elapsed, rel=1e-6)
        assert states[2].ok == states[1].ok
        until = found["measured"]["until"]
        expected = {None: 85, 40.0: 65, 70.0: 70, 95.0: 85}[cut]
        assert until == pytest.approx(expected, abs=0.01)


class TestWithoutTheControlNodesRecord:
    """A run of which the load hosts' records alone are left is told as the whole of its results tells it."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"stampede_stages": STAGES},
            {"stampede_load_model": "flat_out"},
            {"stampede_load_model": "open", "stampede_rate": "2/s", "stampede_holders": 30},
            {
                "stampede_load_model": "open",
                "stampede_stages": [{"rate": 3, "for": "60s"}, {"rate": 1, "over": "50s"}],
            },
            {"stampede_load_model": "rounds", "stampede_rate": "2/s", "stampede_holders": 30},
        ],
    )
    def test_its_figures_are_the_same(
        self, tmp_path: Path, variables: dict[str, Any], changes: dict[str, Any]
    ) -> None:
        variables |= SETTINGS | {"stampede_thresholds": TEXTS} | changes
        whole = reported(tmp_path, steps(1), variables)
        (tmp_path / "run.json").unlink()
        noted = {"host": "load-1", "settings": Settings.from_variables(variables).public()}
        (tmp_path / "load-1" / "host.json").write_text(json.dumps(noted))
        found = samples.report(tmp_path)
        assert found["measured"]
        for part in ("measured", "thresholds", "steps", "load", "losses"):
            assert found[part] == whole[part], part
        assert found["journal"]["notes"] == whole["journal"]["notes"]

    @pytest.mark.parametrize("stages", [5, "soon", {"pieces": []}, ["soon"], [None], [{"holders": []}], [[1]]])
    def test_stages_that_are_none_are_noted(self, tmp_path: Path, stages: Any) -> None:
        found = reported(tmp_path, steps(1), SETTINGS | {"stampede_stages": stages})
        assert any("stampede_stages" in note for note in found["journal"]["notes"])

    def test_a_cool_down_of_a_run_of_unknown_length_leaves_nothing_out(self, tmp_path: Path) -> None:
        found = reported(tmp_path, steps(1), SETTINGS | {"stampede_duration": 0})
        assert found["measured"]["until"] > 100


class TestFailures:
    """A run with one failure in its warm-up and none while it was measured."""

    @staticmethod
    def run(folder: Path, *texts: str) -> dict[str, Any]:
        good = [(end, record) for end, record in steps(2) if record.outcome == Outcome.OK]
        bad = (5.0, StepRecord("connect", Outcome.FAILED, 1, 1, 1, "issuer", 1, 1, "timeout"))
        return reported(folder, [bad, *good], SETTINGS | {"stampede_thresholds": list(texts)})

    def test_in_the_warm_up_fail_the_run(self, tmp_path: Path) -> None:
        found = self.run(tmp_path)
        assert found["run"]["outcome"] == "failed"
        assert found["run"]["headline"].startswith("Failed: 1 of ")
        assert found["steps"]["connect"]["failed"] == 0
        assert found["measured"]["left_out"]["connect"]["failed"] == 1
        junit = (tmp_path / "junit.xml").read_text()
        assert "failed: 1 x timeout." in junit
        assert any(finding["text"].endswith("1 of which failed.") for finding in found["run"]["findings"])

    def test_are_a_matter_of_a_threshold_on_errors_where_there_is_one(self, tmp_path: Path) -> None:
        found = self.run(tmp_path, "errors = 0")
        assert found["run"]["outcome"] == "passed"


def test_a_run_of_which_nothing_was_measured_did_not_pass(tmp_path: Path) -> None:
    early = [(end, record) for end, record in steps(3) if end < 25 and record.outcome == Outcome.OK]
    found = reported(tmp_path, early, SETTINGS)
    assert found["run"]["outcome"] == "no_load" and not found["run"]["passed"]
    assert found["run"]["headline"] == "No load was measured: every step ended in the warm-up or the cool-down"


class TestStepsOfTheWarmUpAlone:
    """A run that receives its credentials in the warm-up."""

    EARLY = (4.0, StepRecord("receive_credential", Outcome.OK, 1, 1, 1, "issuer", 1, 1))

    def run(self, folder: Path, settings: dict[str, Any], *, more: bool = True) -> dict[str, Any]:
        good = [(end, record) for end, record in steps(2) if record.outcome == Outcome.OK and more]
        return reported(folder, [self.EARLY, *good], settings)

    def test_are_not_said_to_be_missing_from_the_run(self, tmp_path: Path) -> None:
        found = self.run(tmp_path, SETTINGS | {"stampede_thresholds": ["receive_credential p95 < 2 s"]})
        assert found["thresholds"][0]["sentence"] == (
            "receive_credential p95 response_time could not be judged because no such step was recorded in the "
            "measured part of the run; the threshold is < 2 s."
        )

    def test_are_too_few_to_compare_but_were_executed(self, tmp_path: Path) -> None:
        for name, more in (("part", {}), ("whole", {"stampede_warm_up": 0, "stampede_cool_down": 0})):
            self.run(tmp_path / name, SETTINGS | more)
        both = [read_run(tmp_path / name) for name in ("part", "whole")]
        for a, b in (both, both[::-1]):
            assert build_comparison(a, b).steps["receive_credential"].verdict == "too_few"

    def test_are_no_load_for_junit_either_when_there_are_no_others(self, tmp_path: Path) -> None:
        found = self.run(tmp_path, SETTINGS, more=False)
        assert found["run"]["outcome"] == "no_load"
        assert wording.NONE not in found["run"]["findings"][0]["text"]
        assert '<failure message="No step ended in the measured part' in (tmp_path / "junit.xml").read_text()
