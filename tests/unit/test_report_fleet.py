"""Several load hosts in the report: how they began, what happened to whom since when, and which stands out."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples

from stampede.analysis import host_differences
from stampede.report import terminal
from stampede.report.charts import timeline
from stampede.report.page import ending

ALIKE = {"holders": 30, "duration": 60, "ramp": 10, "failures": False}


def make(folder: Path, **more: Any) -> dict[str, Any]:
    """The summary of a small run, by default of two hosts to which nothing happened."""
    return samples.report(samples.write_results(folder, samples.Sample(**ALIKE | more)))


def findings(summary: dict[str, Any], about: str) -> list[str]:
    return [finding["text"] for finding in summary["run"]["findings"] if finding["about"] == about]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> dict[str, Any]:
    return samples.report(samples.write_fleet(tmp_path_factory.mktemp("fleet") / samples.RUN))


# ------------------------------------------------------------------ the start


def test_the_start_skew_is_that_of_the_hosts_own_events(fleet):
    delays = {name: host["start_delay"] for name, host in fleet["hosts"].items()}
    assert delays == {
        "load-1": pytest.approx(0.002, abs=1e-6),
        "load-2": pytest.approx(0.004, abs=1e-6),
        "load-3": pytest.approx(0.006, abs=1e-6),
        "load-4": pytest.approx(0.008, abs=1e-6),
        "load-5": None,
    }
    assert fleet["run"]["start_skew"] == pytest.approx(0.006, abs=1e-6)


def test_the_skew_is_told_beside_what_the_clocks_are_worth(fleet):
    assert findings(fleet, "start") == [
        "The 4 hosts started within 6.0 ms of each other by their own clocks, the last of them (load-4) 8.0 ms after "
        "the agreed time. The hosts' clocks agreed with the control node's to within 5.0 ms (measured to ± 9.0 ms)."
    ]


def test_without_measured_clocks_that_is_said(tmp_path):
    [text] = findings(make(tmp_path), "start")
    assert text.endswith("How closely their clocks agreed is not known.")


def test_a_single_host_has_no_skew(tmp_path):
    summary = make(tmp_path, hosts=("load-1",))
    assert summary["run"]["start_skew"] is None
    assert summary["hosts"]["load-1"]["start_delay"] == pytest.approx(0.002, abs=1e-6)
    assert findings(summary, "start") == []


def test_the_start_time_of_run_json_serves_where_no_state_came_home(tmp_path):
    samples.write_results(tmp_path, samples.Sample(**ALIKE))
    for state in tmp_path.glob("*/state.json"):
        state.unlink()
    assert samples.report(tmp_path)["run"]["start_skew"] == pytest.approx(0.002, abs=1e-6)


@pytest.mark.parametrize("clocks", [None, [], {"load-1": 3}, {"load-1": {"offset": "x", "uncertainty": 0.1}}])
def test_clocks_of_another_form_are_passed_over(tmp_path, clocks):
    assert make(tmp_path, run={"clocks": clocks})["hosts"]["load-1"]["clock"] is None


# ------------------------------------------------------------------ what happened


def test_what_happened_to_whom_since_when_and_what_there_is_of_it(fleet):
    steps = {name: sum(host["steps"].values()) for name, host in fleet["hosts"].items()}
    assert findings(fleet, "hosts") == [
        "load-3 could not be reached from 18:03:42 to 18:04:04 (22 s). It carried on by itself and finished; "
        f"its {steps['load-3']:,} steps are in this report.",
        "load-4 was lost: it could not be reached any more from 18:03:53 on. That was at 18:03:53 UTC, 41 s after "
        f"the start. Of the {steps['load-4'] + 3} steps that it had counted, {steps['load-4']} are in this report.",
        "load-5 took no part: its Python is 3.11.2, 3.13 is needed. Its holders were reassigned to the other hosts.",
    ]
    assert fleet["run"]["headline"] == "Incomplete: load-4 did not finish; no step failed"


def test_faults_are_events_and_so_are_their_ends(fleet):
    told = [(its["host"], its["kind"], round(its["after"])) for its in fleet["events"] if its["kind"] != "phase"]
    assert told == [
        ("load-5", "left_out", -30),
        ("load-3", "unreachable", 30),
        ("load-4", "lost", 41),
        ("load-3", "reachable_again", 52),
    ]


def test_a_journal_that_came_home_later_overrules_that_it_was_not_collected(fleet):
    assert [fault["kind"] for fault in fleet["hosts"]["load-4"]["faults"]] == ["lost"]
    assert "brought home" not in json.dumps(fleet)


def test_a_lost_host_whose_whole_journal_came_home_is_no_break(tmp_path):
    lost = samples.fault("load-2", "lost", 20, "load-2 was lost.")
    summary = make(tmp_path, run={"faults": [lost]})
    assert summary["run"]["outcome"] == "passed"
    assert "It carried on by itself and finished" in findings(summary, "hosts")[0]


def test_of_a_host_that_was_not_collected_nothing_is_claimed(tmp_path):
    faults = [
        samples.fault("load-9", "lost", 20, "load-9 was lost."),
        samples.fault(
            "load-9", "not_collected", 70, "Its journal could not be brought home; collect.yml does later."
        ),
    ]
    summary = make(tmp_path, run={"hosts": ["load-1", "load-2", "load-9"], "faults": faults})
    assert summary["hosts"]["load-9"]["phase"] == "lost"
    assert summary["run"]["outcome"] == "broken_off"
    assert findings(summary, "hosts") == [
        "load-9 was lost. That was at 18:03:32 UTC, 20 s after the start. Its journal could not be brought home; "
        "collect.yml does later. None of its data is in this report."
    ]


@pytest.mark.parametrize("with_record", [True, False])
def test_a_host_whose_journal_just_ends_is_named_with_its_last_record(tmp_path, with_record):
    samples.write_results(tmp_path, samples.Sample(**ALIKE, lost={"load-2": 30}))
    if not with_record:  # the control node was killed
        (tmp_path / "run.json").unlink()
    summary = samples.report(tmp_path)
    [text] = findings(summary, "hosts")
    assert text.startswith(
        "load-2 ended abruptly while it was running: its journal ends at 18:03:41 UTC. That was 30 s after the start."
    )
    assert summary["run"]["outcome"] == "broken_off"
    assert ending(samples.typed(summary).hosts["load-2"]) == "ended abruptly while running"
    assert [event["host"] for event in summary["events"] if event["kind"] == "broke_off"] == ["load-2"]


def test_a_host_left_out_does_not_break_a_run_off(tmp_path):
    left_out = samples.fault("load-3", "left_out", None, "load-3 took no part: it could not be reached.")
    run = {"hosts": ["load-1", "load-2", "load-3"], "faults": [left_out]}
    summary = make(tmp_path, run=run)
    host = summary["hosts"]["load-3"]
    assert (summary["run"]["outcome"], host["phase"], host["took_part"]) == ("passed", "left_out", False)
    assert findings(summary, "hosts") == [
        "load-3 took no part: it could not be reached. Its holders were reassigned to the other hosts."
    ]


def test_a_left_out_host_that_armed_too_late_is_left_out_all_the_same(tmp_path):
    left_out = samples.fault("load-3", "left_out", -2, "load-3 took no part: it was not armed in time.")
    samples.write_results(tmp_path, samples.Sample(**ALIKE, run={"faults": [left_out]}))
    (tmp_path / "load-3").mkdir()
    (tmp_path / "load-3" / "journal.lp").write_text(samples.event("load-3", samples.START - 9, "phase", "arming")[1])
    (tmp_path / "load-3" / "state.json").write_text('{"phase": "stopped", "holders": {"total": 30}}')
    summary = samples.report(tmp_path)
    assert summary["run"]["outcome"] == "passed"
    assert summary["hosts"]["load-3"]["phase"] == "left_out"


def test_that_holders_were_given_away_is_said_only_when_the_sum_is_right(tmp_path):
    left_out = samples.fault("load-3", "left_out", -2, "load-3 took no part.")
    summary = make(tmp_path, run={"faults": [left_out]}, settings={"stampede_holders": 90})
    assert findings(summary, "hosts") == ["load-3 took no part."]


@pytest.mark.parametrize("faults", [7, ["lost"], [{"host": "load-1", "kind": "odd"}], [{"kind": "lost"}]])
def test_faults_of_another_form_are_noted_and_passed_over(tmp_path, faults):
    summary = make(tmp_path, run={"faults": faults})
    assert summary["run"]["outcome"] == "passed"
    assert any("run.json was ignored" in note for note in summary["journal"]["notes"])


def test_a_run_that_was_stopped_has_one_sentence_for_all_its_hosts(tmp_path):
    samples.write_results(tmp_path, samples.Sample(**ALIKE))
    for path in tmp_path.glob("*/state.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"phase": "stopped"}))
    assert findings(samples.report(tmp_path), "hosts") == [
        "Hosts load-1 and load-2 were stopped before the end of the run."
    ]


def test_what_happened_comes_first_in_the_terminal(fleet):
    parts = terminal.table(samples.typed(fleet)).split("\n\n")
    assert parts[0] == fleet["run"]["headline"]
    assert [part.split()[0] for part in parts[1:4]] == ["load-3", "load-4", "load-5"]
    assert "service time" in parts[4]
    assert max(map(len, terminal.table(samples.typed(fleet)).splitlines())) <= 80


# ------------------------------------------------------------------ who stands out


def test_a_slow_host_stands_out_with_figures(fleet):
    assert list(fleet["comparison"]["stand_out"]) == ["load-2"]
    [text] = findings(fleet, "comparison")
    assert text.startswith("load-2 stands out: its ")
    assert " times the others' " in text
    by_step = {its["step"]: its for its in fleet["comparison"]["stand_out"]["load-2"] if its["figure"] == "p95"}
    presented = by_step["present_proof"]
    assert presented["value"] == fleet["hosts"]["load-2"]["p95"]["present_proof"]
    others = sorted(fleet["hosts"][name]["p95"]["present_proof"] for name in ("load-1", "load-3"))
    assert presented["others"] == pytest.approx(sum(others) / 2)


def test_hosts_that_broke_off_or_took_no_part_are_not_compared(fleet):
    assert fleet["comparison"]["hosts"] == ["load-1", "load-2", "load-3"]


@pytest.mark.parametrize("seed", range(1, 6))
def test_of_hosts_that_are_alike_none_stands_out(tmp_path, seed):
    summary = make(tmp_path, hosts=tuple(f"load-{number}" for number in range(5)), seed=seed * 100, think=(1, 2))
    assert summary["comparison"]["stand_out"] == {}
    assert findings(summary, "comparison")[0].startswith("No host stands out: their p95 of ")


def test_of_two_hosts_the_other_is_named(tmp_path):
    summary = make(tmp_path, slow={"load-2": 3}, think=(0.5, 1))
    assert " times load-1's " in findings(summary, "comparison")[0]


def test_a_host_on_which_steps_fail_stands_out(tmp_path):
    samples.write_results(tmp_path, samples.Sample(**ALIKE), packed=False)
    with (tmp_path / "load-1" / "journal.lp").open("a") as journal:
        for number in range(40):
            line = samples.step_line(
                "load-1", "ping", samples.START + 9 + number, 1, outcome="failed", error="timeout"
            )
            journal.write(line + "\n")
    summary = samples.report(tmp_path)
    assert [its["figure"] for its in summary["comparison"]["stand_out"]["load-1"]] == ["failed_share"]
    assert "of its steps failed (load-2: 0 %)" in findings(summary, "comparison")[0]


def test_a_host_that_hardly_did_anything_stands_out(tmp_path):
    samples.write_results(tmp_path, samples.Sample(**ALIKE), packed=False)
    journal = tmp_path / "load-2" / "journal.lp"
    kept = [line for line in journal.read_text().splitlines(keepends=True) if not line.startswith("step,")]
    journal.write_text("".join(kept) + samples.step_line("load-2", "connect", samples.START + 9, 1) + "\n")
    summary = samples.report(tmp_path)
    assert [its["figure"] for its in summary["comparison"]["stand_out"]["load-2"]] == ["steps_per_holder"]


def test_a_busy_host_stands_out(tmp_path):
    samples.write_results(tmp_path, samples.Sample(**ALIKE), packed=False)
    journal = tmp_path / "load-2" / "journal.lp"
    journal.write_text(journal.read_text().replace("host_cores=4i", "host_cores=2i"))
    summary = samples.report(tmp_path)
    assert [its["figure"] for its in summary["comparison"]["stand_out"]["load-2"]] == ["cpu"]
    assert "load-2 stands out: its CPUs were " in findings(summary, "comparison")[0]


def test_a_host_that_is_late_stands_out(tmp_path):
    samples.write_results(tmp_path, samples.Sample(**ALIKE), packed=False)
    with (tmp_path / "load-2" / "journal.lp").open("a") as journal:
        for number in range(60):
            line = samples.step_line("load-2", "ping", samples.START + 9 + number / 2, 0.1, response_time=0.5)
            journal.write(line + "\n")
    assert "schedule_lag" in [its["figure"] for its in samples.report(tmp_path)["comparison"]["stand_out"]["load-2"]]


def test_with_few_records_nothing_is_said(tmp_path):
    summary = make(tmp_path, holders=2, duration=20, think=(5, 5))
    assert findings(summary, "comparison")[0].startswith("There is too little data to tell whether a host stands out")


def test_one_host_is_compared_with_none(tmp_path):
    summary = make(tmp_path, hosts=("load-1",))
    assert summary["comparison"] is None
    assert findings(summary, "comparison") == []


def test_chance_is_no_difference():
    assert not host_differences._beyond_chance(8, 100, 15, 300)
    assert host_differences._beyond_chance(30, 100, 15, 300)
    assert not host_differences._beyond_chance(0, 100, 0, 300)


# ------------------------------------------------------------------ the page


def test_the_page_has_a_row_for_each_host_and_one_for_all(tmp_path):
    summary = samples.report(samples.write_fleet(tmp_path))
    page = (tmp_path / "report.html").read_text()
    table = page[page.index('<table class="figures hosts">') :].split("</table>")[0]
    assert re.findall(r'<th scope="row">([^<]*)</th>', table) == [*summary["hosts"], "all hosts"]
    assert re.findall(r'<td class="text[^"]*">([^<]*)</td>', table) == [
        "done",
        "done",
        "done",
        "lost while running",
        "left out",
    ]
    assert [text.split()[0] for text in re.findall(r'<tr class="happened">.*?<span>([^<]*)', table)] == [
        "load-3",
        "load-4",
        "load-5",
    ]
    assert 'data-p95="load-2" class="out"' in table
    widths = {
        row.count("<th") + row.count("<td") for row in re.findall(r"<tr(?! class=.happened).*?</tr>", table, re.S)
    }
    assert len(widths) == 1


def test_the_charts_of_each_host_add_up_to_those_of_all(tmp_path):
    data = chart_data(make(tmp_path) and tmp_path)
    assert set(data["by_host"]) == {"load-1", "load-2"}
    for number, step in enumerate(data["steps"]):
        parts = [its["steps"][number]["ok"] for its in data["by_host"].values()]
        assert [sum(values) for values in zip(*parts, strict=True)] == pytest.approx(step["ok"], rel=1e-3, abs=1e-3)
    assert data["p95"][""]["connect"][0] == pytest.approx(
        json.loads((tmp_path / "summary.json").read_text())["steps"]["connect"]["service_time"]["p95"]
    )


def test_a_step_that_a_host_did_not_do_is_null_in_its_charts(tmp_path):
    samples.write_results(tmp_path, samples.Sample(**ALIKE), packed=False)
    with (tmp_path / "load-2" / "journal.lp").open("a") as journal:
        journal.write(samples.step_line("load-2", "ping", samples.START + 9, 1) + "\n")
    samples.report(tmp_path)
    data = chart_data(tmp_path)
    number = [step["name"] for step in data["steps"]].index("ping")
    assert data["by_host"]["load-1"]["steps"][number] is None
    assert data["by_host"]["load-2"]["steps"][number]["name"] == "ping"


def test_the_charts_of_too_many_hosts_are_those_of_all_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(timeline, "MAX_POINTS", 1000)
    make(tmp_path)
    assert chart_data(tmp_path)["by_host"] == {}


def test_the_charts_mark_what_happened(tmp_path):
    samples.report(samples.write_fleet(tmp_path))
    marks = {mark["text"]: mark["kind"] for mark in chart_data(tmp_path)["marks"]}
    assert marks["lost, load-4"] == marks["unreachable, load-3"] == "fault"
    assert marks["reachable again, load-3"] == "note"


def chart_data(folder: Path) -> dict[str, Any]:
    page = (folder / "report.html").read_text()
    data: dict[str, Any] = json.loads(page.split('id="chart-data">')[1].split("</script>")[0])
    return data


def test_hosts_are_in_the_order_of_their_numbers(tmp_path):
    summary = make(tmp_path, hosts=("load-10", "load-2", "load-1"), holders=2)
    assert list(summary["hosts"]) == ["load-1", "load-2", "load-10"]
