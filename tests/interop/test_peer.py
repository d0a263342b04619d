"""benchmarks/peer.py: holders of Credo beside those of Stampede."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from credo import node_modules
from installs import had

from stampede.machine.ports import free_ports

pytestmark = pytest.mark.timeout(1500)  # the first test installs Credo

REPOSITORY = Path(__file__).resolve().parents[2]
BENCHMARKS = REPOSITORY / "benchmarks"


def running_in(folder: Path) -> Iterator[str]:
    """The command lines of processes that have the folder in them, or as their home."""
    for process in psutil.process_iter():
        try:
            if str(folder) in f"{process.cmdline()} {process.environ().get('HOME')}":
                yield " ".join(process.cmdline())
        except psutil.Error:
            continue


def test_it_compares_both_kinds_step_by_step_and_leaves_nothing_running(tmp_path: Path) -> None:
    had(node_modules)
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "peer.py"), "--quick", "--port", str(free_ports())],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 holders; Credo in 1 process; 0 steps failed" in done.stdout
    rows = re.findall(r"^  (.+?) +(-?[\d.]+) (ms|MB) +(-?[\d.]+) (?:ms|MB) +\S+$", done.stdout, re.MULTILINE)
    figures = {name: (float(own), float(peer)) for name, own, _, peer in rows}
    assert [(name, unit) for name, _, unit, _ in rows] == [
        ("made ready", "ms"),
        ("connect, first round", "ms"),
        ("receive, first round", "ms"),
        ("present, first round", "ms"),
        ("made ready, and the last round", "ms"),
        ("an additional holder, PSS", "MB"),
        ("its wallet files", "MB"),
        ("all 4, with everything", "MB"),
    ]
    assert min(figures["connect, first round"]) > 0
    assert min(figures["all 4, with everything"]) > 50, "a process of either kind takes more"
    assert not list(running_in(tmp_path))


def test_a_step_that_fails_is_counted_and_ends_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    had(node_modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from local_run import MeasurementFailed
    from sides import Journey, credo

    journey = Journey(1, 2, {"connect": f"http://127.0.0.1:{free_ports()}/invitation"})
    folder = tmp_path / "credo"
    with credo(folder, {"ca_file": "/dev/null"}, journey, 3, per_process=2) as side:
        assert len(side.processes) == 2
        assert side.files() > 0
        with pytest.raises(MeasurementFailed, match=r"^Credo, connect of round 1: 3 holders failed: holder 0: .*"):
            side.go_through("connect", 0)
    assert not list(running_in(folder))


def test_what_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "peer.py"), "--quick"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path), "PATH": "", "STAMPEDE_INTEROP_CACHE": str(tmp_path / "empty")},
    )
    assert done.returncode == 1
    assert done.stderr == "Credo cannot be had, for want of npm (Debian: apt install npm)\n"
