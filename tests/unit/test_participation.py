"""What the filters of the roles derive from the variables of the load hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template
from plugin_files import REPOSITORY

from stampede.fleet import participation

HOSTS: dict[str, dict[str, Any]] = {
    "load-1": {
        "run_host": {"offset": 0.01, "uncertainty": 0.002, "cores": 4},
        "controller_process": {"unit": "stampede-run@r1.service", "pid": 0},
        "run_collected": {"collected": True, "failed": False},
    },
    "load-2": {
        "stampede_weight": "2.5",  # as -e gives it
        "run_host": {"offset": -0.02, "uncertainty": 0.003, "cores": 8},
        "controller_process": {"pid": 7},
        "run_collected": {"unreachable": True},
    },
    "load-3": {"run_host": {"failed": True}, "run_left_out": {"since": "12.5", "reason": "Its clock is off."}},
}
UP = {name: HOSTS[name] for name in ("load-1", "load-2")}


def test_holders_are_shared_by_weight_or_cores() -> None:
    assert participation.weights(UP) == {"load-1": 4.0, "load-2": 2.5}
    assert participation.weights({"load-1": HOSTS["load-1"] | {"stampede_weight": 0}}) == {"load-1": 4.0}


def test_started_controllers_are_found() -> None:
    assert participation.controllers(HOSTS, "/runs/r1") == {
        "load-1": {"dir": "/runs/r1", "pid": 0, "unit": "stampede-run@r1.service"},
        "load-2": {"dir": "/runs/r1", "pid": 7, "unit": ""},
    }


def test_clocks_of_hosts_that_answered() -> None:
    assert participation.clocks(HOSTS) == {
        "load-1": {"offset": 0.01, "uncertainty": 0.002},
        "load-2": {"offset": -0.02, "uncertainty": 0.003},
    }


def test_a_fault_for_each_host_that_was_left_out() -> None:
    assert participation.left_out_faults(HOSTS) == [
        {
            "host": "load-3",
            "kind": "left_out",
            "since": 12.5,
            "until": None,
            "text": "load-3 took no part in the run: Its clock is off.",
        }
    ]


@pytest.mark.parametrize("result", [{"unreachable": True}, {"failed": True, "msg": "No space left"}])
def test_a_fault_for_each_host_that_could_not_be_collected(result: dict[str, Any]) -> None:
    hosts = HOSTS | {"load-2": HOSTS["load-2"] | {"run_collected": result}}
    (fault,) = participation.not_collected_faults(hosts, "r1", 99.0)
    assert (fault["host"], fault["kind"], fault["since"], fault["until"]) == ("load-2", "not_collected", 99.0, None)
    assert "The results of load-2 could not be collected" in fault["text"]
    assert "stampede collect -e stampede_run_id=r1 " in fault["text"]


def test_runs_that_match() -> None:
    runs = [{"id": "a", "alive": False}, {"id": "b", "alive": True}, {"id": "c", "alive": False}]

    def matching(run_id: str, active: bool) -> str:
        return "".join(run["id"] for run in participation.matching_runs(runs, run_id, active))

    assert [matching("", False), matching("", True), matching("c", False), matching("c", True)] == [
        "abc",
        "b",
        "c",
        "",
    ]


def test_runs_without_results(tmp_path: Path) -> None:
    (tmp_path / "r1/load-1").mkdir(parents=True)
    assert participation.uncollected_runs(["r2", "r1", "r0"], tmp_path) == ["r0", "r2"]
    assert participation.uncollected_runs(["r1"], tmp_path, "load-1") == []
    assert participation.uncollected_runs(["r1"], tmp_path, "load-2") == ["r1"]


def test_templates_use_them_as_filters() -> None:
    filter_loader.add_directory(str(REPOSITORY / "plugins/filter"))
    variables = {"hostvars": HOSTS, "names": ["load-1", "load-2"], "runs": [{"id": "a", "alive": True}]}
    templar = Templar(loader=DataLoader(), variables=variables)

    def value(expression: str) -> Any:
        return templar.template(trust_as_template("{{ " + expression + " }}"))

    assert value("names | stampede_weights(hostvars)") == participation.weights(UP)
    assert value("names | stampede_controllers(hostvars, '/r')") == participation.controllers(UP, "/r")
    assert value("names | stampede_clocks(hostvars)") == participation.clocks(UP)
    assert value("hostvars | stampede_left_out_faults(hostvars)") == participation.left_out_faults(HOSTS)
    assert value("names | stampede_not_collected_faults(hostvars, 'r1', 9)") == participation.not_collected_faults(
        UP, "r1", 9
    )
    assert value("runs | stampede_matching_runs('a', true)") == [{"id": "a", "alive": True}]
    assert value("['r1'] | stampede_uncollected_runs('/nowhere', 'load-1')") == ["r1"]
