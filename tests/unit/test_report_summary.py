"""summary.json: exact percentiles over all hosts, the verdict in words, the generator's verdict, broken runs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import report_samples as samples

from stampede.report.output import ReportError

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    sample = samples.Sample(holders=60, duration=120, ramp=30)
    return samples.write_results(tmp_path_factory.mktemp("run") / samples.RUN, sample, packed=False)


@pytest.fixture(scope="module")
def summary(results) -> dict:
    return samples.report(results)


@pytest.fixture(scope="module")
def raw(results) -> list[dict]:
    """The step records of all hosts, read by other means than the report's."""
    records = []
    for path in results.glob("*/journal.lp"):
        for text in path.read_text().splitlines():
            if text.startswith("step,"):
                head, _, rest = text.partition(" ")
                record = dict(pair.split("=") for pair in head.split(",")[1:])
                record |= {
                    name: float(re.search(rf"{name}=([\d.]+)", rest)[1]) for name in ("service_time", "response_time")
                }
                record["end"] = int(rest.rsplit(" ", 1)[1])
                records.append(record)
    return records


def test_percentiles_are_exact_over_the_ok_records_of_all_hosts(summary, raw):
    assert {record["host"] for record in raw} == {"load-1", "load-2"}
    for step, figures in summary["steps"].items():
        for kind in ("service_time", "response_time"):
            times = [record[kind] for record in raw if record["step"] == step and record["outcome"] == "ok"]
            expected = {f"p{p}": np.percentile(times, p) for p in (50, 90, 95, 99)}
            expected |= {"mean": np.mean(times), "max": max(times)}
            assert figures[kind] == pytest.approx(expected)


def test_counts_of_each_step_and_of_all(summary, raw):
    for outcome in ("ok", "failed", "interrupted"):
        assert summary["load"][outcome] == sum(record["outcome"] == outcome for record in raw)
        for step, figures in summary["steps"].items():
            its = [record for record in raw if record["step"] == step and record["outcome"] == outcome]
            assert figures[outcome] == len(its)
    for figures in summary["steps"].values():
        assert sum(figures["errors"].values()) == figures["failed"]
    assert sum(host["steps"]["ok"] for host in summary["hosts"].values()) == summary["load"]["ok"]


def test_throughput_is_counted_from_the_common_start_to_the_last_steps_end(summary, raw):
    seconds = (max(record["end"] for record in raw) - samples.START * SECOND) / SECOND
    presented = sum(record["step"] == "present_proof" and record["outcome"] == "ok" for record in raw)
    assert summary["run"]["duration"] == pytest.approx(seconds)
    assert summary["load"]["steps_per_second"] == pytest.approx(summary["load"]["ok"] / seconds)
    assert summary["load"]["presentations_per_second"] == pytest.approx(presented / seconds)


def test_active_holders_are_summed_over_the_hosts(summary):
    assert summary["load"]["peak_active_holders"] == 120


def test_what_the_run_was(summary):
    run = summary["run"]
    assert (run["id"], run["scenario"], run["seed"]) == (samples.RUN, samples.SCENARIO, 42)
    assert run["started"] == "2026-11-22T18:03:12Z"
    assert run["versions"]["acapy-agent"] == "1.7.0"
    assert run["settings"]["stampede_holders"] == 120


def test_errors_by_class_with_the_first_of_each(summary, raw):
    errors = summary["errors"]
    assert set(errors) == {"agent_died", "timeout", "service_refused"} & set(errors) >= {"agent_died"}
    assert list(errors) == sorted(errors, key=lambda name: -errors[name]["count"])
    died = errors["agent_died"]
    assert sum(died["steps"].values()) == died["count"] == sum(example["count"] for example in died["examples"])
    assert died["first"]["after"] == pytest.approx(66.4, abs=1)
    assert died["first"]["host"] == "load-1"


def test_the_verdict_says_what_failed_first_and_what_was_slow(summary):
    run = summary["run"]
    ended = summary["load"]["ok"] + summary["load"]["failed"]
    assert (run["outcome"], run["passed"]) == ("failed", False)
    assert run["headline"].startswith(f"Failed: {summary['load']['failed']} of {ended:,} steps (")
    words = {finding["about"]: finding["text"] for finding in run["findings"]}
    assert words["load"].startswith("Up to 120 active holders on 2 hosts completed ")
    assert "receive_revocation_notification" in words["slowest"]
    assert re.search(r"first failure was at \+\d:\d\d: \w+ of holder \d+ on host load-1 \(", words["failures"])
    assert "was not the bottleneck" in words["generator"]


def test_the_summary_is_written_as_strict_json(results, summary):
    def refuse(text: str) -> float:
        raise AssertionError(f"{text} in JSON")

    text = (results / "summary.json").read_text()
    assert json.loads(text, parse_constant=refuse) == summary


def test_events_are_in_order_of_time(summary):
    times = [event["after"] for event in summary["events"]]
    assert times == sorted(times)
    assert "agent_died" in {event["kind"] for event in summary["events"]}


def test_the_report_can_be_made_again(results, summary):
    assert samples.report(results) == summary


def small(**more) -> samples.Sample:
    return samples.Sample(**{"hosts": ("load-1",), "holders": 5, "duration": 30, "ramp": 5, "failures": False} | more)


def test_a_run_without_failures_passes(tmp_path):
    run = samples.report(samples.write_results(tmp_path / "run", small()))["run"]
    assert (run["outcome"], run["passed"], run["headline"]) == ("passed", True, "Passed: no step failed")


def test_steps_without_an_ok_record_have_no_times(tmp_path):
    samples.write_results(tmp_path, small())
    lost = samples.step_line("load-1", "ping", samples.START + 3, 1.0, outcome="failed", error="timeout")
    (tmp_path / "load-1" / "journal.lp").write_text(lost + "\n")
    (tmp_path / "load-1" / "journal.lp.gz").unlink()
    ping = samples.report(tmp_path)["steps"]["ping"]
    assert ping["errors"] == {"timeout": 1}
    assert set(ping["service_time"].values()) == {None}


def test_a_controller_ended_by_kill_9_is_reported_from_its_journal_alone(tmp_path):
    samples.write_results(tmp_path / samples.RUN, samples.Sample(holders=5, duration=60), packed=False)
    results = tmp_path / samples.RUN
    for name in ("run.json", "load-2/state.json", "load-2/host.json", "load-2/controller_script.py"):
        (results / name).unlink()
    journal = results / "load-2" / "journal.lp"
    text = journal.read_text()
    journal.write_text(text[: len(text) // 2])
    summary = samples.report(results)
    host = summary["hosts"]["load-2"]
    assert (host["phase"], host["finished"]) == ("running", False)
    assert host["steps"]["ok"] > 0
    assert summary["run"]["id"] == samples.RUN
    words = {finding["about"]: finding["text"] for finding in summary["run"]["findings"]}
    assert re.match(
        r"load-2 ended abruptly while it was running: its journal ends at 18:0\d:\d\d UTC", words["hosts"]
    )
    assert any("left no state.json" in note for note in summary["journal"]["notes"])


def test_a_stale_state_does_not_hide_that_a_host_broke_off(tmp_path):
    samples.write_results(tmp_path, small(), packed=False)
    state = tmp_path / "load-1" / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"phase": "running"}))
    journal = tmp_path / "load-1" / "journal.lp"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(text for text in lines if 'text="done"' not in text))
    run = samples.report(tmp_path)["run"]
    assert (run["outcome"], run["passed"]) == ("broken_off", False)
    assert run["headline"] == "Incomplete: load-1 did not finish; no step failed"


def test_a_run_stopped_on_request_says_so(tmp_path):
    samples.write_results(tmp_path, small())
    state = tmp_path / "load-1" / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"phase": "stopped"}))
    assert samples.report(tmp_path)["run"]["outcome"] == "stopped"


def test_a_host_that_left_nothing_is_named(tmp_path):
    samples.write_results(tmp_path, small())
    run = json.loads((tmp_path / "run.json").read_text()) | {"hosts": ["load-1", "load-9"]}
    (tmp_path / "run.json").write_text(json.dumps(run))
    summary = samples.report(tmp_path)
    assert summary["hosts"]["load-9"]["phase"] == "missing"
    assert summary["run"]["outcome"] == "broken_off"


def test_a_run_that_failed_at_arming_gives_the_reason(tmp_path):
    host = tmp_path / "load-1"
    host.mkdir()
    (host / "journal.lp").write_text(
        "".join(samples.event("load-1", at, "phase", text)[1] + "\n" for at, text in ((5, "arming"), (9, "failed")))
    )
    (host / "state.json").write_text(
        json.dumps({"phase": "failed", "start_at": None, "message": "agent-0 did not start: port 8600 is taken."})
    )
    summary = samples.report(tmp_path)
    assert (summary["run"]["outcome"], summary["run"]["started"]) == ("no_load", None)
    assert summary["run"]["findings"] == [
        {
            "about": "hosts",
            "text": "Host load-1 failed (agent-0 did not start: port 8600 is taken).",
            "warning": True,
        }
    ]
    assert summary["generator"]["bottleneck"] is None
    assert "No load was generated" in (tmp_path / "report.html").read_text()


def test_an_empty_journal_gives_a_report(tmp_path):
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1" / "journal.lp").touch()
    assert samples.report(tmp_path)["run"]["outcome"] == "no_load"


def test_without_load_no_threshold_can_be_judged(tmp_path):
    asked = {"stampede_thresholds": ["present_proof p95 < 2 s", "throughput > 1/s"]}
    samples.write_results(tmp_path, samples.Sample(holders=1, duration=5, settings=asked), packed=False)
    for journal in tmp_path.glob("*/journal.lp"):
        journal.write_text("")
    found = samples.report(tmp_path)
    assert [threshold["passed"] for threshold in found["thresholds"]] == [None, None]
    assert found["run"]["headline"] == "No load was generated: no step was executed"


def test_a_hosts_record_of_version_0_1_was_called_run_json(tmp_path):
    samples.write_results(tmp_path, small())
    expected = samples.report(tmp_path)["run"]["versions"]
    for record in (records := list(tmp_path.glob("*/host.json"))):
        record.rename(record.with_name("run.json"))
    assert records
    versions = samples.report(tmp_path)["run"]["versions"]
    assert versions == expected and versions["acapy-agent"] == "1.7.0"


def test_a_hosts_own_run_folder_can_be_reported(tmp_path):
    samples.write_results(tmp_path, small())
    summary = samples.report(tmp_path / "load-1")
    assert list(summary["hosts"]) == ["load-1"]
    assert summary["load"]["ok"] > 0


def test_a_torn_state_is_noted_and_passed_over(tmp_path):
    samples.write_results(tmp_path, small())
    (tmp_path / "load-1" / "state.json").write_text('{"phase": "runn')
    notes = samples.report(tmp_path)["journal"]["notes"]
    assert any("state.json was ignored" in note for note in notes)


def test_a_part_of_a_state_that_does_not_fit_is_noted_and_the_rest_is_used(tmp_path):
    samples.write_results(tmp_path, small())
    state = tmp_path / "load-1" / "state.json"
    odd = {"message": "Look here.", "start_at": "noon", "phase": "asleep", "steps": []}
    state.write_text(json.dumps(json.loads(state.read_text()) | odd))
    summary = samples.report(tmp_path)
    host = summary["hosts"]["load-1"]
    assert (host["message"], host["phase"], host["steps_counted"]) == ("Look here.", "done", None)
    notes = [note for note in summary["journal"]["notes"] if "state.json" in note]
    assert [note.split(" was ignored: ")[1].split(";")[0] for note in notes] == [
        "phase is 'asleep'",
        "start_at is 'noon'",
        "steps is []",
    ]


# ------------------------------------------------------------------ generator


def test_an_agent_that_used_up_its_core_makes_the_generator_the_bottleneck(tmp_path):
    sample = samples.Sample(holders=10, duration=120, busy_agent=True, failures=False)
    generator = samples.report(samples.write_results(tmp_path, sample))["generator"]
    assert generator["bottleneck"] is True
    assert re.match(
        r"4 of 4 agents used more than 90 % of a core for more than 20 % of the time; the busiest was agent-\d on",
        generator["reasons"][0],
    )


def write_load(folder: Path, lags: list[float], **fields: float) -> Path:
    """A journal of steps with the given lags, and a minute of load samples."""
    (folder / "load-1").mkdir(parents=True)
    load = {"active": 5, "cpu": 0.3, "host_cpu": 1.0, "host_cores": 2, "host_memory_used": 0.4} | fields
    text = ",".join(f"{name}={value}" for name, value in load.items())
    lines = [
        samples.step_line("load-1", "ping", samples.START + 1 + number / 100, 0.5, response_time=0.5 + lag)
        for number, lag in enumerate(lags)
    ]
    lines.append(samples.step_line("load-1", "ping", samples.START + 60, 0.5))
    lines += [f"{samples.tags('load', 'load-1')} {text} {(samples.START + n) * SECOND}" for n in range(1, 60)]
    (folder / "load-1" / "journal.lp").write_text("\n".join(lines) + "\n")
    (folder / "load-1" / "state.json").write_text(json.dumps({"phase": "done", "start_at": samples.START}))
    return folder


def test_schedule_lag_counts_only_steps_that_had_a_moment_to_begin_at(tmp_path):
    lags = [0.001 * n for n in range(1, 50)]
    generator = samples.report(write_load(tmp_path, lags + [0.0] * 500))["generator"]
    found = generator["schedule_lag"]
    assert found.pop("by_kind") == {"arrivals": {"number": 1, "late": 0}, "think_times": {"number": 48, "late": 0}}
    assert found == pytest.approx({"p50": np.percentile(lags, 50), "p99": np.percentile(lags, 99), "max": max(lags)})
    assert generator["bottleneck"] is False


def test_an_arrival_is_due_with_the_outer_of_two_steps(tmp_path):
    folder = write_load(tmp_path, [0.0])
    with (folder / "load-1" / "journal.lp").open("a") as journal:
        for end, took, response_time in ((2.9, 0.8, 0.8), (3.0, 1.0, 1.05)):
            line = samples.step_line(
                "load-1", "connect", samples.START + end, took, response_time=response_time, holder=2
            )
            journal.write(line + "\n")
    lag = samples.report(folder)["generator"]["schedule_lag"]
    assert lag["by_kind"] == {"arrivals": {"number": 1, "late": 0}}


@pytest.mark.parametrize(
    ("lags", "is_bottleneck", "late"),
    [
        ([0.001] * 300 + [0.2], False, "More than 100 ms late were 1 of 300 think times."),
        ([0.2] * 50, True, "More than 100 ms late were 1 of 1 arrival and 49 of 49 think times."),
    ],
)
def test_what_was_late_is_told_whether_or_not_the_generator_was_the_bottleneck(tmp_path, lags, is_bottleneck, late):
    summary = samples.report(write_load(tmp_path, lags))
    assert summary["generator"]["bottleneck"] is is_bottleneck
    [said] = [finding["text"] for finding in summary["run"]["findings"] if finding["about"] == "generator"]
    assert said.endswith(f" {late}")


@pytest.mark.parametrize(
    ("lags", "fields", "reason"),
    [
        ([0.2] * 50, {}, "Steps started late: 1 in 100 started more than 200 ms after it was due (limit 100 ms)."),
        ([], {"cpu": 0.99}, "The controller on host load-1 used more than 90 % of a core for 100 % of the time."),
        ([], {"host_cpu": 1.9}, "Host load-1 used more than 90 % of all cores for 100 % of the time."),
        ([], {"host_memory_used": 0.95}, "Host load-1 used 95 % of its memory."),
    ],
)
def test_what_makes_the_generator_the_bottleneck(tmp_path, lags, fields, reason):
    generator = samples.report(write_load(tmp_path, lags, **fields))["generator"]
    assert generator["bottleneck"] is True
    assert len(generator["reasons"]) == 1
    assert generator["reasons"][0].startswith(reason)


# ------------------------------------------------------------------ the folder


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ReportError, match=r"results folder .*nowhere does not exist"):
        samples.report(tmp_path / "nowhere")


def test_a_file_in_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(ReportError, match="is a file, not a folder"):
        samples.report(tmp_path / "run")


def test_a_folder_without_a_journal_is_named(tmp_path):
    (tmp_path / "services").mkdir()
    with pytest.raises(ReportError, match=r"holds no journal: expected .*HOST/journal\.lp"):
        samples.report(tmp_path)


def test_a_report_that_cannot_be_written_is_named(tmp_path):
    samples.write_results(tmp_path, small())
    (tmp_path / "report.html").mkdir()
    with pytest.raises(ReportError, match=r"report\.html cannot be written"):
        samples.report(tmp_path)


def test_passwords_and_secrets_are_not_passed_on(tmp_path):
    settings = {
        "stampede_postgresql_url": "postgresql://stampede:hunter2@db.example/holders",
        "stampede_secrets": {"issuer_key": "hunter2"},
    }
    samples.report(samples.write_results(tmp_path, small(settings=settings)))
    for name in ("summary.json", "report.html"):
        text = (tmp_path / name).read_text()
        assert "hunter2" not in text
        assert "issuer_key" in text
