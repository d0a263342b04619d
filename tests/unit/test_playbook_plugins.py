"""The plugins' own logic: verdict, ports, and finding runs."""

import json
import os
import socket
import time
from pathlib import Path

import pytest
from plugin_files import load_plugin

verdict = load_plugin("action/stampede_verdict")
ports = load_plugin("modules/stampede_ports")
runs = load_plugin("modules/stampede_runs")
settings = load_plugin("action/stampede_settings")


class TestVerdict:
    report = Path("results/r1/report.html")

    def test_a_run_without_failures_is_good(self) -> None:
        steps = {"connect": {"ok": 3, "failed": 0, "errors": {}}}
        assert verdict.shortcomings({"steps": steps, "thresholds": []}, self.report, True) == []

    def test_counts_what_failed_and_why(self) -> None:
        steps = {
            "connect": {"ok": 3, "failed": 0, "errors": {}},
            "present_proof": {"ok": 4, "failed": 3, "errors": {"timeout": 2, "agent_error": 1}},
        }
        summary = {"steps": steps, "thresholds": []}
        (sentence,) = verdict.shortcomings(summary, self.report, True)
        assert "3 of 10 steps failed (2 x present_proof: timeout, 1 x present_proof: agent_error)" in sentence
        assert verdict.shortcomings(summary, self.report, False) == []

    def test_a_threshold_on_errors_decides_about_the_failures_of_its_step(self) -> None:
        steps = {
            "connect": {"ok": 3, "failed": 1, "errors": {"timeout": 1}},
            "present_proof": {"ok": 4, "failed": 3, "errors": {"timeout": 2, "agent_error": 1}},
        }
        kept = {"step": "present_proof", "metric": "errors", "passed": True, "sentence": "Kept."}
        (sentence,) = verdict.shortcomings({"steps": steps, "thresholds": [kept]}, self.report, True)
        assert sentence.startswith("1 of 11 steps failed (1 x connect: timeout); see ")
        kept |= {"step": None}
        assert verdict.shortcomings({"steps": steps, "thresholds": [kept]}, self.report, True) == []
        crossed = kept | {"passed": False, "sentence": "Crossed."}
        unknown = {"step": "ping", "metric": "p95", "passed": None, "sentence": "Nothing to judge."}
        summary = {"steps": steps, "thresholds": [crossed, unknown]}
        assert verdict.shortcomings(summary, self.report, False) == ["Crossed.", "Nothing to judge."]

    def test_no_steps_are_never_good(self) -> None:
        assert "no steps at all" in verdict.shortcomings({"steps": {}, "thresholds": []}, self.report, False)[0]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_is_taken_while_something_listens(address: str) -> None:
    with socket.socket() as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert ports.is_taken(port)
        assert f"(pid {os.getpid()})" in ports.by_whom(port)
    assert not ports.is_taken(port)


def test_runs_are_found_the_newest_last(tmp_path: Path) -> None:
    for age, (name, state) in enumerate(
        {"new": {"pid": os.getpid(), "phase": "running"}, "old": {"pid": 0, "phase": "done"}}.items()
    ):
        (tmp_path / name).mkdir()
        script = tmp_path / name / "controller_script.py"
        script.write_text("")
        os.utime(script, (time.time() - age, time.time() - age))
        (tmp_path / name / "state.json").write_text(json.dumps(state))
    found = runs.find(tmp_path)
    assert [(run["id"], run["phase"]) for run in found] == [("old", "done"), ("new", "running")]
    # This process lives, but its command line does not name the run: the number is another process's by now.
    assert not any(run["alive"] for run in found)


@pytest.mark.parametrize(("value", "right"), [(0, True), ("3", True), (4, False), (-1, False), ("two", False)])
def test_no_more_hosts_can_be_asked_for_than_there_are(value: object, right: bool) -> None:
    assert (settings.wrong_min_hosts(value, 3) == []) is right


def test_a_results_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "results"
    (sentence,) = settings.cannot_write(folder, "stampede_results_dir", str(folder))
    assert sentence.startswith(f"stampede_results_dir is '{folder}', but {folder} cannot be written (")
    assert settings.cannot_write(tmp_path / "new" / "results", "stampede_results_dir", "new/results") == []
    assert not (tmp_path / "new").exists()


def test_ca_files_have_names_of_their_own_on_the_host() -> None:
    variables = {
        "stampede_ca_file": "/here/ca.pem",
        "stampede_influxdb_ca_file": "/here/influx.pem",
        "stampede_services": {"influxdb": {"ca_file": "/here/service.pem"}, "issuer": {}},
    }
    files = settings.move_ca_files(variables, "/there")
    assert files == {
        "ca.pem": "/here/ca.pem",
        "ca-influxdb.pem": "/here/influx.pem",
        "influxdb-ca.pem": "/here/service.pem",
    }
    assert variables["stampede_ca_file"] == "/there/ca.pem"
    assert variables["stampede_influxdb_ca_file"] == "/there/ca-influxdb.pem"
    assert variables["stampede_services"]["influxdb"]["ca_file"] == "/there/influxdb-ca.pem"


def test_a_run_is_compared_only_with_the_results_of_a_run(tmp_path: Path) -> None:
    (sentence,) = settings.nothing_to_compare_with(str(tmp_path))
    assert sentence.startswith(f"stampede_compare_with is '{tmp_path}', but {tmp_path} holds no journal")
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1" / "journal.lp.gz").touch()
    assert settings.nothing_to_compare_with(str(tmp_path)) == []
    assert settings.nothing_to_compare_with("") == []
