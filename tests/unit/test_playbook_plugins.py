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
settings = load_plugin("action/stampede_settings")
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
