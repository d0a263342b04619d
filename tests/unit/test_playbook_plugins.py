"""The plugins' own logic: ports, clocks, and finding runs."""

import json
import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from plugin_files import load_plugin

ports = load_plugin("modules/stampede_ports")
runs = load_plugin("modules/stampede_runs")
meet = load_plugin("action/stampede_meet")


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
