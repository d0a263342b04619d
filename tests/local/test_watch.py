"""``stampede watch`` on this machine, at the folder of a run that is none: a process that writes a state."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from page_client import WatchedPage

REPOSITORY = Path(__file__).resolve().parents[2]
STAMPEDE = Path(sys.executable).with_name("stampede")
STATE = {
    "phase": "running",
    "holders": {"total": 10, "active": 8, "ready": 10, "finished": 2},
    "steps": {"ok": 1000, "failed": 1, "interrupted": 0, "per_s": 4},
    "p95": {"connect": 0.5},
    "host_cpu": 1.0,
    "host_cores": 2,
    "host_memory_used": 0.61,
}


class FakeRun:
    """A run folder whose controller only sleeps."""

    def __init__(self, work_dir: Path, name: str) -> None:
        self.folder = work_dir / name
        (self.folder / "logs").mkdir(parents=True)
        script = self.folder / "controller_script.py"
        script.write_text("import time\ntime.sleep(600)\n")
        self.controller = subprocess.Popen([sys.executable, script])
        self.write()

    def write(self, **changes: object) -> None:
        state = STATE | {"time": time.time(), "pid": self.controller.pid} | changes
        draft = self.folder / "draft"
        draft.write_text(json.dumps(state))
        draft.replace(self.folder / "state.json")

    def end(self, **changes: object) -> None:
        self.write(**changes)
        self.controller.kill()
        self.controller.wait()


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    (tmp_path / "here.yml").write_text(f"load_hosts: {{hosts: {{local: {{stampede_work_dir: {folder}}}}}}}\n")
    return folder


@pytest.fixture
def run(work_dir: Path) -> Iterator[FakeRun]:
    run = FakeRun(work_dir, "r1")
    yield run
    run.end()


def words(work_dir: Path, *options: str) -> list[str]:
    return [str(STAMPEDE), "watch", "-i", "inventory/local", "-i", str(work_dir.parent / "here.yml"), *options]


def watch(work_dir: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(work_dir, *options), capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=60
    )


def test_one_look_at_the_run_that_goes_on(work_dir: Path, run: FakeRun) -> None:
    done = watch(work_dir, "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 load host: 1 running | 1000 steps ok" in done.stdout
    assert "local running 8/10 4.0 1 0.50 connect" in " ".join(done.stdout.split())


def test_a_threshold_that_is_crossed(work_dir: Path, run: FakeRun) -> None:
    counted = {"text": "max < 2 s", "ok": 7, "failed": 0, "total": 9.0, "most": 2.5, "buckets": []}
    run.write(thresholds=[counted | {"elapsed": 30.0, "left": 30.0, "ramped_up": True}])
    table = watch(work_dir, "--once").stdout
    assert table.startswith("max response_time is 2.50 s, the threshold is < 2 s; crossed since ")
    assert "  ✗ max response_time is 2.50 s, the threshold is < 2 s\n" in table
    (standing,) = json.loads(watch(work_dir, "--once", "--json").stdout)["thresholds"]
    assert standing == {"text": "max < 2 s", "value": 2.5, "unit": "s", "crossed": True}


def test_json_until_all_have_ended(work_dir: Path, run: FakeRun) -> None:
    watching = subprocess.Popen(
        words(work_dir, "--json", "--interval", "0.5"), stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert watching.stdout
    first = json.loads(watching.stdout.readline())
    assert first["run"] == "r1" and first["hosts"]["local"]["condition"] == "running"
    assert first["fleet"]["steps"] == {"ok": 1000, "failed": 1, "interrupted": 0, "per_s": 4}
    run.end()
    last = json.loads(watching.communicate(timeout=60)[0].splitlines()[-1])
    assert watching.returncode == 0 and last["fleet"]["hosts"] == {"died": 1}
    (fault,) = last["faults"]
    assert fault["kind"] == "died" and f"(pid {run.controller.pid}) died while running" in fault["text"]


def test_a_run_that_has_ended_is_shown_once(work_dir: Path, run: FakeRun) -> None:
    run.end(phase="done")
    done = watch(work_dir)
    assert done.returncode == 0 and done.stdout.count("local ") == 1 and "1 load host: 1 done" in done.stdout


def test_a_run_is_chosen_by_name_or_by_its_going_on(work_dir: Path, run: FakeRun) -> None:
    newer = FakeRun(work_dir, "r2")
    newer.end(phase="done")
    assert json.loads(watch(work_dir, "--json", "--once").stdout)["run"] == "r1"
    assert json.loads(watch(work_dir, "--json", "--once", "--run", "r2").stdout)["run"] == "r2"
    done = watch(work_dir, "--run", "r3")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"stampede watch: --run is 'r3', which was not found in {work_dir}; there is r1, r2\n"


def test_a_host_that_takes_no_part_is_none_of_the_page(work_dir: Path, run: FakeRun, tmp_path: Path) -> None:
    another = {"ansible_connection": "local", "stampede_work_dir": str(tmp_path / "another")}
    here = yaml.safe_load((work_dir.parent / "here.yml").read_text())
    here["load_hosts"]["hosts"]["another"] = another
    (work_dir.parent / "here.yml").write_text(json.dumps(here))
    run.end(phase="done", steps={"ok": 1000, "failed": 0, "interrupted": 0, "per_s": 4})
    with WatchedPage(words(work_dir)[2:], REPOSITORY) as page:
        while not page.data()["over"]:
            time.sleep(0.2)
        found = page.data()
        assert found["headline"] == "Ended; the run had no thresholds" and len(found["hosts"]) == 1


def test_the_page_s_options_are_checked(work_dir: Path, run: FakeRun) -> None:
    for options, said in (
        (["--port", "8000"], "--port is that of the page; it needs --web"),
        (["--web", "--once"], "--web goes without --once and --interval"),
        (["--web", "--json"], "not allowed with argument"),
        (["--web", "--port", "70000"], "'70000' must be a port from 1 to 65535"),
    ):
        done = watch(work_dir, *options)
        assert done.returncode == 2 and said in done.stderr and done.stdout == ""


def test_the_page_stops_the_run_and_outlasts_it(work_dir: Path, run: FakeRun) -> None:
    with WatchedPage(words(work_dir)[2:], REPOSITORY) as page:
        assert page.first.startswith("Run r1: http://127.0.0.1:")
        assert page.data()["headline"] == "Running"
        assert page.ask("next-stage") == "There is no next stage that could begin now."
        assert page.ask("stop") == "All load hosts were asked to end the run."
        assert (run.folder / "stop").read_text() == "stopped from the page"
        taken = watch(work_dir, "--web", "--port", page.home.split(":")[2].split("/")[0])
        assert taken.returncode == 2 and "which cannot be used: " in taken.stderr
        run.end(phase="stopped")
        while not page.data()["over"]:
            time.sleep(0.2)
        assert page.data()["headline"] == "Stopped before its time"
        said = page.end()
    assert "All load hosts were asked to end the run." in said
    assert "Run r1: Stopped before its time. The page stays for an hour, or until Ctrl-C." in said
    assert "run r1 continues" not in said, "it has ended"


def test_no_run_at_all(work_dir: Path) -> None:
    done = watch(work_dir)
    assert done.returncode == 2
    assert done.stderr.startswith(f"stampede watch: No run was found in {work_dir} on local; ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_redrawn_in_place_until_it_is_left(work_dir: Path, run: FakeRun, number: int) -> None:
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        words(work_dir),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=REPOSITORY,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""
    while seen.count(b"8/10") < 3:  # of host and fleet, more than once
        seen += os.read(ours, 65536)
    assert b"\x1b[1A" in seen  # up, to draw over what is there
    watching.send_signal(number)
    while b"No longer watching; run r1 continues." not in seen:
        seen += os.read(ours, 65536)
    assert watching.wait(30) == 0 and run.controller.poll() is None
    os.close(ours)
