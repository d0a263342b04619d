"""The plugins' own logic: ports, and finding runs."""

import json
import os
import socket
import time
from pathlib import Path

import pytest
from plugin_files import load_plugin

ports = load_plugin("modules/stampede_ports")
runs = load_plugin("modules/stampede_runs")


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
