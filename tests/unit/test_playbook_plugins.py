"""The plugins' own logic: progress, verdict, ports, and finding runs."""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from plugin_files import load_plugin

watch = load_plugin("action/stampede_watch")
verdict = load_plugin("action/stampede_verdict")
ports = load_plugin("modules/stampede_ports")
runs = load_plugin("modules/stampede_runs")
settings = load_plugin("action/stampede_settings")


def host(name: str = "h1", **state: Any) -> Any:
    values = {
        "phase": "running",
        "time": 100.0,
        "ends_at": 190.0,
        "holders": {"total": 10, "active": 8, "ready": 10, "finished": 2},
        "steps": {"ok": 1000, "failed": 1, "interrupted": 0, "per_s": 4.2},
        "p95": {"connect": 0.5, "present_proof": 0.81, "request_revocation": 0.2},
        "lag_p99": 0.002,
        "host_cpu": 1.0,
        "host_cores": 2,
    }
    return watch.Host(name, Path("/nowhere"), 1, values | state)


class TestProgress:
    def test_tells_one_host(self) -> None:
        assert watch.progress([host()], now=100.0) == (
            "running | 8 of 10 holders active, 2 finished | 4.2 steps/s: 1000 ok, 1 failed"
            " | p95 present_proof 0.81 s, connect 0.50 s | lag 2 ms | CPU 50% | 1:30 left"
        )

    def test_adds_up_hosts_and_shows_the_worst(self) -> None:
        line = watch.progress([host(), host("h2", host_cpu=1.9, p95={"connect": 3.0})], now=100.0)
        assert "16 of 20 holders" in line and "2000 ok" in line
        assert "p95 connect 3.00 s, present_proof 0.81 s" in line and "CPU 95%" in line

    def test_has_no_time_left_when_iterations_decide(self) -> None:
        assert "left" not in watch.progress([host(ends_at=None)], now=100.0)

    def test_names_a_host_that_is_silent_and_one_that_is_dead(self) -> None:
        dead = host("h2")
        dead.alive = False
        line = watch.progress([host(), dead], now=120.0)
        assert line.startswith("dead, running") and line.endswith("silent: h1")

    def test_before_the_start_tells_how_many_are_ready(self) -> None:
        assert watch.progress([host(phase="arming")], now=100.0) == "arming | 10 of 10 holders ready"
        assert watch.progress([watch.Host("h1", Path("/nowhere"), 1)], now=100.0) == "starting"


class TestObituary:
    def test_has_the_state_s_own_message(self) -> None:
        assert host(phase="failed", message="No agent came up").how_it_ended() == (
            "The controller on h1 failed: No agent came up"
        )

    def test_has_the_last_words_of_one_that_said_nothing_else(self, tmp_path: Path) -> None:
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs/controller.out").write_text("Traceback\nMemoryError\n\n")
        dead = host()
        dead.folder = tmp_path
        assert "died while running: MemoryError; see " in dead.how_it_ended()


class TestVerdict:
    report = Path("results/r1/report.html")

    def test_a_run_without_failures_is_good(self) -> None:
        steps = {"connect": {"ok": 3, "failed": 0, "errors": {}}}
        assert verdict.shortcomings(steps, self.report, True) == []

    def test_counts_what_failed_and_why(self) -> None:
        steps = {
            "connect": {"ok": 3, "failed": 0, "errors": {}},
            "present_proof": {"ok": 4, "failed": 3, "errors": {"timeout": 2, "agent_error": 1}},
        }
        (sentence,) = verdict.shortcomings(steps, self.report, True)
        assert "3 of 10 steps failed (2 x present_proof: timeout, 1 x present_proof: agent_error)" in sentence
        assert verdict.shortcomings(steps, self.report, False) == []

    def test_no_steps_are_never_good(self) -> None:
        assert "no steps at all" in verdict.shortcomings({}, self.report, False)[0]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_is_taken_while_something_listens(address: str) -> None:
    with socket.socket() as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert ports.is_taken(port)
        assert f"(pid {os.getpid()})" in ports.by_whom(port)
    assert not ports.is_taken(port)


def test_runs_are_found_newest_first(tmp_path: Path) -> None:
    for age, (name, state) in enumerate(
        {"new": {"pid": os.getpid(), "phase": "running"}, "old": {"pid": 0, "phase": "done"}}.items()
    ):
        (tmp_path / name).mkdir()
        script = tmp_path / name / "controller_script.py"
        script.write_text("")
        os.utime(script, (time.time() - age, time.time() - age))
        (tmp_path / name / "state.json").write_text(json.dumps(state))
    found = runs.find(tmp_path)
    assert [(run["id"], run["phase"]) for run in found] == [("new", "running"), ("old", "done")]
    # This process lives, but its command line does not name the run: the number is another process's by now.
    assert not any(run["alive"] for run in found)


def test_a_results_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "results"
    (sentence,) = settings.cannot_write(folder, "stampede_results_dir", str(folder))
    assert sentence.startswith(f"stampede_results_dir is '{folder}', but {folder} cannot be written (")
    assert settings.cannot_write(tmp_path / "new" / "results", "stampede_results_dir", "new/results") == []
    assert not (tmp_path / "new").exists()
