"""Why a playbook fails after a run: thresholds that were not met, and failed steps that no threshold covers."""

from dataclasses import replace
from pathlib import Path

import pytest
import report_samples as samples

from stampede.analysis.verdict.failure_reasons import failure_reasons
from stampede.schema.summary import ErrorSummary, FirstError, StepSummary, Summary, ThresholdVerdict, Times

REPORT = Path("results/r1/report.html")
FIRST = FirstError(None, None, "load-1", "connect", 0, "", "")
NO_TIMES = Times(None, None, None, None, None, None)


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Summary:
    folder = tmp_path_factory.mktemp("run")
    (folder / "load-1").mkdir()
    (folder / "load-1" / "journal.lp").touch()
    return samples.typed(samples.report(folder))


def reasons(
    empty: Summary,
    steps: dict[str, tuple[int, dict[str, int]]],
    *thresholds: ThresholdVerdict,
    fail_on_errors: bool = True,
) -> list[str]:
    """Of a run with such steps: how many were ok, and the errors of those that failed."""
    found = {
        name: StepSummary(ok, sum(errors.values()), 0, None, errors, NO_TIMES, NO_TIMES)
        for name, (ok, errors) in steps.items()
    }
    errors: dict[str, dict[str, int]] = {}
    for name, step in found.items():
        for error, number in step.errors.items():
            errors.setdefault(error, {})[name] = number
    summaries = {name: ErrorSummary(sum(by.values()), by, FIRST, []) for name, by in errors.items()}
    summary = replace(empty, steps=found, errors=summaries, thresholds=list(thresholds))
    return failure_reasons(summary, REPORT, fail_on_errors)


STEPS = {"connect": (3, {"timeout": 1}), "present_proof": (4, {"timeout": 2, "agent_error": 1})}


def test_a_run_without_failures_is_good(empty: Summary) -> None:
    assert reasons(empty, {"connect": (3, {})}) == []


def test_counts_what_failed_and_why(empty: Summary) -> None:
    steps = STEPS | {"connect": (3, {})}
    (sentence,) = reasons(empty, steps)
    assert "3 of 10 steps failed (2 x present_proof: timeout, 1 x present_proof: agent_error)" in sentence
    assert reasons(empty, steps, fail_on_errors=False) == []


def test_a_threshold_on_errors_decides_about_the_failures_of_its_step(empty: Summary) -> None:
    met = samples.threshold_verdict("present_proof errors < 90 %", passed=True)
    (sentence,) = reasons(empty, STEPS, met)
    assert sentence.startswith("1 of 11 steps failed (1 x connect: timeout); see ")
    assert reasons(empty, STEPS, samples.threshold_verdict("errors < 90 %", passed=True)) == []


def test_thresholds_that_were_not_met_are_reasons_whatever_the_errors(empty: Summary) -> None:
    crossed = samples.threshold_verdict("errors < 1 %", passed=False, sentence="Crossed.")
    unknown = samples.threshold_verdict("ping p95 < 1 s", passed=None, sentence="Nothing to judge.")
    assert reasons(empty, STEPS, crossed, unknown, fail_on_errors=False) == ["Crossed.", "Nothing to judge."]


def test_no_steps_are_never_good(empty: Summary) -> None:
    assert "no steps at all" in reasons(empty, {}, fail_on_errors=False)[0]
