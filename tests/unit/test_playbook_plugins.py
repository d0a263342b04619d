"""The plugins' own logic: progress, verdict, packing, ports, and finding runs."""

import json
import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from plugin_files import load_plugin

watch = load_plugin("action/stampede_watch")
verdict = load_plugin("action/stampede_verdict")
collect = load_plugin("action/stampede_collect")
pack = load_plugin("modules/stampede_pack")
ports = load_plugin("modules/stampede_ports")
runs = load_plugin("modules/stampede_runs")
settings = load_plugin("action/stampede_settings")
meet = load_plugin("action/stampede_meet")


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


class TestCollecting:
    def test_compresses_and_keeps(self, tmp_path: Path) -> None:
        source, dest = tmp_path / "run", tmp_path / "results"
        (source / "logs").mkdir(parents=True)
        (source / "journal.lp").write_text("step 1\n" * 1000)
        (source / "logs/agent-0.log").write_text("hello\n")
        (source / "state.json").write_text("{}")
        (source / "secrets.json").write_text('{"token": "s3cret"}')
        dest.mkdir()
        tar = source / ".collect.tar"
        names = pack.pack(source, ["journal.lp", "logs/*.log"], ["state.json", "run.json"], tar)
        assert names == ["journal.lp.gz", "logs/agent-0.log.gz", "state.json"]
        assert collect.unpack(tar, dest) == names
        assert sorted(str(file.relative_to(dest)) for file in dest.rglob("*") if file.is_file()) == sorted(
            ["SHA256SUMS", *names]
        )
        assert not list(source.glob("*.gz"))

    def test_a_file_that_arrives_damaged_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "state.json").write_text("{}")
        tar = tmp_path / "run.tar"
        pack.pack(tmp_path, [], ["state.json"], tar)
        tar.write_bytes(tar.read_bytes().replace(b"{}", b"[]", 1))
        with pytest.raises(AnsibleActionFail, match=r"state\.json arrived damaged"):
            collect.unpack(tar, tmp_path / "dest")


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


def test_a_clock_is_compared_by_the_answer_that_came_soonest(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([100.0, 101.0, 200.0, 200.2, 300.0, 309.0, 400.0, 404.0, 500.0, 503.0])
    monkeypatch.setattr(meet, "time", SimpleNamespace(time=lambda: next(moments)))
    answers = iter(f"{105.0 + middle} 4" for middle in (100.5, 200.1, 304.5, 402.0, 501.5))
    offset, uncertainty, cores = meet.compare(lambda: next(answers))
    assert (round(offset, 6), round(uncertainty, 6), cores) == (105.0, 0.1, 4)


def test_a_host_that_does_not_tell_its_time_is_quoted() -> None:
    with pytest.raises(ValueError, match="it said 'who are you'"):
        meet.compare(lambda: "who are you")


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
