"""Figures beyond percentiles: where the holders' time went, how times are distributed, what failed when."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_samples as samples
from hypothesis import given
from hypothesis import strategies as st
from test_report_page import Page

from stampede.analysis.collected_run import CollectedRun, read_run
from stampede.analysis.time_spent import build_time_spent
from stampede.analysis.verdict.load_sentences import time_spent_sentence
from stampede.report.charts.chart_data import Distribution, Mark
from stampede.report.charts.distribution import BINS_PER_DECADE, SHORTEST, build_distribution
from stampede.report.charts.timeline import build_charts
from stampede.report.template import with_unit
from stampede.results.journal_columns import JournalColumns


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    sample = samples.Sample(holders=40, duration=200, ramp=20)
    results = samples.write_results(tmp_path_factory.mktemp("run") / "r", sample)
    samples.report(results)
    return results


@pytest.fixture(scope="module")
def run(results) -> CollectedRun:
    return read_run(results)


# ------------------------------------------------------------------ where the time went


def write(folder: Path, *lines: str) -> dict[str, Any]:
    (folder / "load-1").mkdir()
    (folder / "load-1" / "journal.lp").write_text("".join(line + "\n" for line in lines))
    return samples.report(folder)


def active(second: int, holders: int) -> str:
    return f"{samples.tags('load', 'load-1')} active={holders}i {(samples.START + second) * samples.SECOND}"


def test_time_is_spent_in_steps_in_waiting_and_in_beginning_late(tmp_path):
    begin = samples.event("load-1", samples.START, "phase", "running")[1]
    summary = write(
        tmp_path,
        begin,
        *(active(second, 2) for second in range(1, 11)),
        samples.step_line("load-1", "connect", samples.START + 2, 1.0),
        samples.step_line("load-1", "present_proof", samples.START + 6, 2.0, response_time=2.5),
        samples.step_line("load-1", "present_proof", samples.START + 10, 1.0, outcome="failed", error="timeout"),
    )
    spent = summary["time_spent"]
    assert spent["steps"] == {
        "present_proof": {"seconds": 3.0, "share": 0.75},
        "connect": {"seconds": 1.0, "share": 0.25},
    }
    assert (spent["in_steps"], spent["late"]) == (4.0, pytest.approx(0.5))
    assert spent["active"] == pytest.approx(20, abs=2.1)  # two holders for ten seconds, to a second each
    assert spent["waiting"] == pytest.approx(spent["active"] - 4.5)
    [sentence] = [its["text"] for its in summary["run"]["findings"] if its["about"] == "time"]
    assert sentence.startswith("Of the time in steps, present_proof took 75 % and connect 25 %. Holders spent ")
    assert sentence.endswith(" of their time in steps and the rest waiting.")


def test_the_time_of_a_step_within_a_step_is_that_of_the_outer_one(tmp_path):
    lines = [samples.event("load-1", samples.START, "phase", "running")[1]]
    lines += [active(second, 2) for second in range(1, 91)]
    for end in range(9, 91, 9):
        lines.append(samples.step_line("load-1", "inner", samples.START + end - 1, 3.0))
        lines.append(samples.step_line("load-1", "inner", samples.START + end, 1.0))
        lines.append(samples.step_line("load-1", "outer", samples.START + end, 4.0))
        lines.append(samples.step_line("load-1", "ping", samples.START + end - 1, 1.0, holder=2))
    summary = write(tmp_path, *lines)
    spent = summary["time_spent"]
    assert spent["in_steps"] == pytest.approx(50)
    assert spent["steps"]["outer"] == {"seconds": pytest.approx(40), "share": pytest.approx(0.8)}
    assert spent["steps"]["ping"]["seconds"] == pytest.approx(10)
    assert spent["steps"]["inner"] == {"seconds": 0.0, "share": 0.0}
    assert spent["waiting"] == pytest.approx(spent["active"] - 50)
    [sentence] = [its["text"] for its in summary["run"]["findings"] if its["about"] == "time"]
    assert sentence.startswith("Of the time in steps, outer took 80 % and ping 20 %.")


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 30), st.integers(0, 20)), max_size=25))
def test_the_times_in_steps_are_together_those_in_which_holders_had_one(steps):
    journal = JournalColumns()
    records = journal.steps
    for host, holder, end, took in steps:
        journal.step_names.number(str(len(records)))
        records.step.append(len(records))
        records.host.append(host)
        records.holder.append(holder)
        records.end.append(samples.START * samples.SECOND + end * samples.SECOND)
        records.service_time.append(took)
        records.response_time.append(took)
    spent = build_time_spent(journal, None)
    seconds = {(host, holder, end - second) for host, holder, end, took in steps for second in range(took)}
    assert spent.in_steps == pytest.approx(len(seconds))


def test_without_samples_of_holders_only_the_steps_are_told(tmp_path):
    summary = samples.typed(write(tmp_path, samples.step_line("load-1", "ping", samples.START + 2, 1.0)))
    assert (summary.time_spent.active, summary.time_spent.waiting) == (None, None)
    assert time_spent_sentence(summary.time_spent) == "Of the time in steps, ping took 100 %."


def test_shares_add_up_and_the_page_draws_them(results):
    spent = json.loads((results / "summary.json").read_text())["time_spent"]
    shares = [its["share"] for its in spent["steps"].values()]
    assert sum(shares) == pytest.approx(1)
    assert shares == sorted(shares, reverse=True)
    bar = [attributes for tag, attributes in Page((results / "report.html").read_text()).tags if tag == "rect"]
    widths = [float(its["width"]) for its in bar if its.get("height") == "12"]
    assert sum(widths) == pytest.approx(1000, abs=2)


def test_a_page_without_a_step_has_no_share_of_time(tmp_path):
    write(tmp_path, active(1, 0))
    assert "Where the time went" not in (tmp_path / "report.html").read_text()


# ------------------------------------------------------------------ distributions


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_every_time_is_in_the_bin_that_it_belongs_to(times):
    found = build_distribution(np.array(times))
    assert sum(found.counts) == len(times)
    assert found.counts[0] and found.counts[-1]
    for time in times:
        number = int(np.floor(np.log10(max(time, SHORTEST)) * BINS_PER_DECADE))
        assert found.counts[number - found.first] > 0


def test_no_times_have_no_distribution():
    assert build_distribution(np.zeros(0)) is None


def test_the_distributions_of_hosts_add_up_to_that_of_all(run):
    charts = build_charts(run.journal, run.window)
    for number, step in enumerate(charts.steps):
        whole = bins(step.distribution.service)
        parts: dict[int, int] = {}
        for host in charts.by_host.values():
            for bin_, count in bins(host.steps[number].distribution.service).items():
                parts[bin_] = parts.get(bin_, 0) + count
        assert parts == whole
        assert sum(whole.values()) == run.summary.steps[step.name].ok
        exact = run.summary.steps[step.name].service_time.p95
        assert step.distribution.service.p95 == pytest.approx(exact, rel=1e-3)


def bins(found: Distribution) -> dict[int, int]:
    return {found.first + number: count for number, count in enumerate(found.counts) if count}


# ------------------------------------------------------------------ over time


def test_failures_over_time_are_those_of_the_steps(run):
    charts = build_charts(run.journal, run.window)
    counted = {
        error: {step: round(sum(rates) * charts.width) for step, rates in by_step.items()}
        for error, by_step in charts.failures.items()
    }
    assert counted == {name: error.steps for name, error in run.summary.errors.items()}


def test_crossed_thresholds_are_marked_in_order_of_time(run):
    thresholds = [
        samples.threshold_verdict("errors < 1 %", crossed_after=3.5),
        samples.threshold_verdict("ping max < 1 s", passed=True),
    ]
    marks = build_charts(run.journal, run.window, thresholds).marks
    assert Mark(3.5, "threshold", "crossed: errors < 1 %") in marks
    assert [mark.at for mark in marks] == sorted(mark.at for mark in marks)
    assert sum(mark.kind == "threshold" for mark in marks) == 1


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(2.314, "s", "2.31 s"), (0.44, "%", "0.44 %"), (66.49, "/s", "66.5/s"), (3.0, "", "3"), (None, "s", "–")],  # noqa: RUF001
)
def test_values_and_limits_of_thresholds_in_words(value, unit, text):
    assert with_unit(value, unit) == text
