"""What a hostile load host may say of runs, of itself and of its points: it concerns that host alone."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.fleet import clashes, participation, watch
from stampede.fleet.clock_check import read_clock
from stampede.fleet.found_runs import found_runs, is_run_id, wrong_answers

NOW = 1_795_000_000.0


def run(name: Any, modified: Any = NOW - 60, alive: Any = False, pid: Any = 0) -> dict[str, Any]:
    return {"id": name, "modified": modified, "alive": alive, "pid": pid, "phase": "done"}


def answers(**hosts: list[Any]) -> dict[str, Any]:
    return {host.replace("_", "-"): {"runs": runs} for host, runs in hosts.items()}


NAMES = [
    *("..", ".", "", "../../etc", "/etc", "a/b", "r1\n", "r1\0", "r1;reboot", "{{ 7*7 }}", "x" * 65, "ü", "\x1b[2J"),
    *(None, 7, True, ["r1"], {"r1": 1}),
]


@pytest.mark.parametrize("name", NAMES)
def test_what_can_be_no_run_is_passed_over_and_told(name: Any) -> None:
    said = answers(load_1=[run("r1")], load_2=[run(name), run("r1")])
    assert [(found.host, found.id) for found in found_runs(said, NOW)] == [("load-1", "r1"), ("load-2", "r1")]
    (sentence,) = wrong_answers(said)
    assert sentence.startswith("load-2 names ") and sentence.isprintable() and len(sentence) < 150


@pytest.mark.parametrize(
    "answer",
    [
        *(None, 7, "runs", [], {}, {"runs": None}, {"runs": "r1"}, {"runs": 7}, {"runs": {"id": "r1"}}),
        *({"runs": [None, 7, "r1", []]}, {"runs": [{}]}, {"failed": True}, {"unreachable": True}),
    ],
)
def test_an_answer_of_a_wrong_shape_is_no_run(answer: Any) -> None:
    said = answers(load_1=[run("r1")]) | {"load-2": answer}
    assert [found.host for found in found_runs(said, NOW)] == ["load-1"]
    assert all(sentence.startswith("load-2 ") for sentence in wrong_answers(said))


@pytest.mark.parametrize(
    "entry",
    [
        *(run("r1", modified=value) for value in (None, "now", True, math.nan, math.inf, -math.inf, 10**400)),
        *(run("r1", alive=value) for value in (None, 1, "true")),
        *(run("r1", pid=value) for value in (None, "1", 1.5, True)),
    ],
)
def test_so_is_an_entry_whose_values_are_wrong(entry: Any) -> None:
    assert found_runs(answers(load_1=[entry]), NOW) == []


def test_a_process_has_a_number_that_a_process_can_have() -> None:
    said = answers(load_1=[run("a", pid=-1), run("b", pid=1 << 40), run("c", pid=77)])
    assert [(found.id, found.pid) for found in found_runs(said, NOW)] == [("a", 0), ("b", 0), ("c", 77)]


def test_a_moment_in_the_future_makes_no_old_run_the_newest() -> None:
    said = answers(
        load_1=[run("old", NOW - 9000), run("new", NOW - 10)],
        load_2=[run("old", NOW - 9000), run("new", NOW - 10)],
        load_3=[run("old", NOW + 1e9), run("new", NOW - 10)],
    )
    found = found_runs(said, NOW)
    assert found[-1].id == "new" and max(entry.modified for entry in found) <= NOW


def test_nor_does_a_host_that_names_it_often() -> None:
    said = answers(
        load_1=[run("old", NOW - 900), run("new", NOW - 60)],
        load_2=[run("old", NOW - 900), run("new", NOW - 60)],
        load_3=[run("old", NOW)] * 99,
    )
    found = found_runs(said, NOW)
    assert found[-1].id == "new"
    assert sum(each.host == "load-3" for each in found) == 1


def test_a_host_says_where_a_run_is_for_itself_alone() -> None:
    """The run's folder is made of stampede_work_dir and the run's name, whatever a host calls it."""
    entry = run("r1") | {"dir": "/etc", "results": "/etc", "host": "load-1"}
    (found,) = found_runs(answers(load_2=[entry]), NOW)
    assert (found.host, found.id) == ("load-2", "r1") and not hasattr(found, "dir")


def test_thousands_of_runs_are_cut_to_the_newest() -> None:
    said = answers(load_1=[run(f"r{number}", NOW - number) for number in range(5000)])
    found = found_runs(said, NOW)
    assert len(found) == 1000 and found[-1].id == "r0"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "modified", "alive", "pid", "dir"), JSON))


@pytest.mark.fuzz
@given(JSON | st.fixed_dictionaries({"runs": st.lists(ENTRY | JSON, max_size=4)}))
def test_whatever_a_host_says_the_others_are_found(answer: Any) -> None:
    said = answers(load_1=[run("r1")]) | {"load-2": answer}
    found = found_runs(said, NOW)
    assert [entry.id for entry in found if entry.host == "load-1"] == ["r1"]
    assert all(is_run_id(entry.id) and entry.modified <= NOW for entry in found)
    assert all(sentence.isprintable() for sentence in wrong_answers(said))


# ----------------------------------------------------------------------- cores


@pytest.mark.parametrize(
    "said", ["nan 4", "inf 4", "12 0", "12 -4", "12 100000", "12 1e9", "12 4 5", "", "x 4", "12"]
)
def test_a_clock_and_cores_that_cannot_be_are_refused(said: str) -> None:
    """A host that claims a million cores would get all holders."""
    with pytest.raises(ValueError, match=r"."):
        read_clock(lambda: said)


# --------------------------------------------------------- names and machines


def test_a_run_s_name_in_use_is_told_with_its_hosts() -> None:
    hosts = {"load-1": {"run_before": {"runs": [run("r1", alive=True)]}}, "load-2": {"run_before": {"runs": []}}}
    (sentence,) = clashes.occupied_names(hosts, "r1")
    assert sentence.startswith("stampede_run_id is 'r1', but load-1 has a run of that name already, which is active;")
    assert clashes.occupied_names(hosts, "r2") == []


def test_one_machine_under_two_names_is_told() -> None:
    machine = {"load-1": "b4 pid:[1]", "load-2": "b4 pid:[2]", "load-3": "b4 pid:[1]", "load-4": "", "load-5": ""}
    hosts = {host: {"run_before": {"machine": value}} for host, value in machine.items()} | {"load-6": {}}
    (sentence,) = clashes.shared_machines(hosts)
    assert sentence.startswith("load-1 and load-3 are one machine under 2 names;")


def test_two_hosts_with_one_name_in_results_are_told() -> None:
    hosts = {"load-1": {}, "load-2": {"stampede_host_name": "load-1"}, "load-3": {"stampede_host_name": "c"}}
    (sentence,) = clashes.shared_names(hosts)
    assert (
        sentence == "stampede_host_name of load-1 and load-2 is 'load-1'; each load host must have a name of its own"
    )


@pytest.mark.parametrize("name", ["services", "run.json"])
def test_a_host_s_name_that_is_another_file_s_in_results_is_told(name: str) -> None:
    (sentence,) = clashes.shared_names({"load-1": {}, name: {}})
    assert sentence.startswith(f"stampede_host_name of {name} is {name!r}, which the results of a run have already")


@pytest.mark.parametrize("name", [".", "..", "a/b", "../a", "a\\b", "/", "a\x1b[2J"])
def test_names_of_the_inventory_that_lead_elsewhere_are_told(name: str) -> None:
    (sentence,) = clashes.odd_names(["load-1", name, "10.0.0.1", "fe80::1", "a.example.org"])
    assert sentence.startswith("The inventory has a host named ") and sentence.isprintable()


def test_uncollected_runs_with_odd_names_are_told_and_looked_for_nowhere(tmp_path: Path) -> None:
    (tmp_path / "r1/load-1").mkdir(parents=True)
    found = participation.uncollected_runs(["r1", "..", ".", "../x", "a\x1b[2J"], tmp_path, "load-1")
    assert found == ["'.'", "'..'", "'../x'", "'a\\x1b[2J'"]


# ---------------------------------------------------------------------- points


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", "7", '{"error": 7}', "[" * 100_000, '{"complete": "yes"}', "\xff"]
)
def test_a_push_file_that_cannot_be_read_costs_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1/push.json").write_text(text, encoding="latin-1")
    assert "InfluxDB does not have all points of load-1" in participation.not_pushed(tmp_path, "load-1")


def test_points_that_were_pushed_need_no_sentence(tmp_path: Path) -> None:
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1/push.json").write_text(json.dumps({"complete": True}))
    assert participation.not_pushed(tmp_path, "load-1") == participation.not_pushed(tmp_path, "load-2") == ""
    (tmp_path / "load-1/push.json").write_text(json.dumps({"error": "refused"}))
    assert participation.not_pushed(tmp_path, "load-1").startswith(
        "InfluxDB does not have all points of load-1: refused. To push what is missing: stampede replay "
    )


# ----------------------------------------------------------------- seen from afar


def test_a_watch_passes_over_what_can_be_no_run() -> None:
    said = "\n".join(
        [
            "1795000000.5 /var/lib/stampede/runs/r1",
            "9e9 /var/lib/stampede/runs/r2",
            "9999999999 /var/lib/stampede/runs/r3",
            "nan /var/lib/stampede/runs/r4",
            "1795000000 /var/lib/stampede/runs/..",
            "1795000000 /var/lib/stampede/runs/\x1b[2J",
            "1795000000",
            "",
            "stampede-run@r1.service loaded active",
            "",
        ]
    )
    found = watch.runs_of_units(lambda _: said, Path("/var/lib/stampede/runs"))
    assert [run.id for run in found] == ["r1", "r3"] and all(run.deployed <= time.time() for run in found)
