"""A load host's state.json may hold anything: it costs that host its row, with a sentence, and no other host."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples
from fleet_views import NOW, STATE, snapshot
from hypothesis import given
from hypothesis import strategies as st

from stampede.fleet import live_table
from stampede.fleet.host_poller import HostPoller
from stampede.fleet.host_view import HostView
from stampede.fleet.run_watch import progress
from stampede.fleet.snapshot import Snapshot, Unreachable, parsed_state, snapshot_of_process, snapshot_of_unit
from stampede.fleet.standings import Crossings, standings
from stampede.fleet.watch import Run, runs_of_units
from stampede.schema import state
from stampede.schema.json_form import to_json

VALID = to_json(STATE)
NO_STATES = {
    "not JSON": "gone {",
    "cut in the middle": json.dumps(VALID)[:100],
    "a list": "[]",
    "a number": "7",
    "not a number": '{"cpu": NaN}',
    "infinite": '{"cpu": Infinity}',
    "beyond every float": '{"cpu": 1e999}',
    "an endless number": '{"holders": {"total": ' + "9" * 5000 + "}}",
    "a number beyond 64 bits": '{"cpu": ' + "9" * 400 + "}",
    "nested": "[" * 200_000 + "]" * 200_000,
    "nested within": '{"p95": ' + '{"a":' * 500 + "1" + "}" * 501,
    "NUL": "\x00" * 100,
    "much too long": json.dumps({"message": "x" * state.LONGEST}),
    "nothing but letters": "x" * (state.LONGEST + 1),
}
ODD_PARTS = {
    "phase": ["asleep", 7, None, [], {}],
    "time": [4e12, -1, "noon", 1e300, True],
    "ends_at": [4e12, -1.0, 2**62],
    "start_at": [4e12, "soon"],
    "phase_since": [1e18],
    "pid": [2**31, -1, "1; reboot"],
    "message": [7, None, ["a"]],
    "holders": [{"total": -1}, {"total": 2**62}, {"active": "many"}, [], {"total": 1.5}],
    "steps": [{"ok": -5}, {"ok": 2**60}, {"per_s": 1e300}, {"ok": None}],
    "errors": [{"timeout": -1}, {"timeout": "x"}, ["timeout"]],
    "p95": [{"connect": -1.0}, {"connect": 1e300}, {"connect": "slow"}, {"connect": None}],
    "by_step": [
        {"connect": {"ok": -1}},
        {"connect": {"ok": 2**62}},
        {"connect": {"times": 7}},
        ["connect"],
        {"a": 1},
    ],
    "stage": [{"number": -1}, {"ends_at": 1e300}, [], 7],
    "thresholds": [
        [{"text": "errors < 1", "ok": -1, "failed": 0, "total": 0, "most": 0}],
        [{"text": "connect p95 < 1 s", "ok": 99, "failed": 0, "total": 1, "most": 1, "buckets": [[10**9, 99]]}],
        [{"text": "connect p95 < 1 s", "ok": 99, "failed": 0, "total": 1, "most": 1, "buckets": [[-(10**9), 99]]}],
        [{"text": "connect p95 < 1 s", "ok": 99, "failed": 0, "total": 1, "most": 1, "buckets": [[1]]}],
        [{"text": "connect max < 1 s", "ok": 1, "failed": 0, "total": 1e300, "most": 1e300}],
        [{}],
        7,
    ],
    "lag_p99": [1e300, -1.0, "late"],
    "host_cpu": [1e300],
    "host_cores": [-1, 2**62],
    "agents": [[{"name": 7}], [{"cpu": -1}], {}],
    "losses": [{"records": -1}, {"records": 2**62}, []],
    "push": [{"points": -1}, {"error_since": 1e18}, 7],
}


def watched(name: str, found: Snapshot) -> HostView:
    view = HostView(name, "see its logs", NOW)
    view.update(found, NOW)
    view.check_absence(NOW + 1)
    return view


def of_text(text: str | bytes, *, alive: bool = True) -> Snapshot:
    """What a host with such a state answers."""
    found, problem = parsed_state(text)
    return Snapshot(alive, found, NOW, "", problem)


def displayed(*hosts: HostView) -> str:
    """All that a watch displays of hosts, which can be displayed."""
    crossings = Crossings().new(standings(hosts), NOW)
    figures = [live_table.host_figures(host, NOW) for host in hosts] + [live_table.fleet_figures(hosts, NOW)]
    text = "\n".join([*crossings, live_table.text(hosts, NOW), live_table.line(hosts, NOW), progress(hosts, NOW)])
    assert all(line.isprintable() for line in text.split("\n"))
    assert json.loads(json.dumps([*figures, [each.as_dict() for each in standings(hosts)]], allow_nan=False))
    return text


@pytest.mark.parametrize("what", NO_STATES)
def test_a_state_that_is_none_costs_its_host_the_row(what: str) -> None:
    broken, sound = watched("broken", of_text(NO_STATES[what])), watched("sound", snapshot())
    assert broken.state is None and sound.state == STATE
    text = displayed(broken, sound)
    assert "broken: its state.json cannot be read: " in " ".join(text.split())
    assert "8/10" in text  # the other host's holders
    assert len(broken.note(NOW)) < 300 and sound.note(NOW) == ""


@pytest.mark.parametrize(("part", "odd"), [(part, odd) for part, odds in ODD_PARTS.items() for odd in odds])
def test_a_part_that_cannot_be_is_left_out_and_told(part: str, odd: Any) -> None:
    broken = watched("broken", of_text(json.dumps(VALID | {part: odd})))
    assert broken.state is not None and broken.state.p95.get("present_proof", 0.81) == 0.81
    assert broken.note(NOW).startswith("broken: a part of its state.json was ignored: ")
    assert part in broken.note(NOW)
    displayed(broken, watched("sound", snapshot()))


def test_a_state_that_is_being_written_is_nobody_s_business() -> None:
    assert of_text("").problem == of_text("  \n").problem == ""


def test_an_unreadable_state_does_not_undo_what_was_known() -> None:
    view = watched("h1", snapshot())
    view.update(of_text("{"), NOW)
    assert view.state == STATE and view.note(NOW).startswith("h1: its state.json cannot be read")
    view.update(snapshot(), NOW)
    assert view.note(NOW) == ""


def test_a_message_of_a_megabyte_is_cut() -> None:
    view = watched("h1", of_text(json.dumps(VALID | {"message": "x" * 900_000, "p95": {"y" * 50_000: 1.0}})))
    assert len(displayed(view)) < 10_000


@pytest.mark.parametrize("clock", ["nan", "inf", "-1", "1e300", "5e9"])
def test_a_clock_that_is_none(clock: str) -> None:
    with pytest.raises(Unreachable, match="it answered"):
        snapshot_of_unit(lambda command: f"active\n{clock}\n\n{{}}", Path("/r"), "u")


def test_no_more_is_asked_of_a_host_than_a_state_can_have() -> None:
    commands: list[str] = []

    def run(command: str) -> str:
        commands.append(command)
        return f"active\n{NOW}\n\n"

    snapshot_of_unit(run, Path("/r"), "u")
    assert (
        f"dd if=/r/state.json iflag=nofollow,nonblock bs={state.LONGEST + 1} count=1" in commands[0]
        and "head -c 2000 | tr" in commands[0]
    )


def test_a_process_s_endless_files(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "state.json").symlink_to("/dev/zero")
    (tmp_path / "logs" / "controller.out").write_text("x" * 100_000 + "\n")
    found = snapshot_of_process(tmp_path, pid=2**22 + 1)
    assert found.state is None and "longer than" in found.problem
    assert len(found.last_output) == 2000


def test_a_probe_that_raises_anything_loses_its_host_alone() -> None:
    def broken() -> Snapshot:
        raise RecursionError

    views = {name: HostView(name, "see its logs", time.time()) for name in ("broken", "sound")}
    poller = HostPoller({"broken": broken, "sound": lambda: snapshot(time.time())}, views, 0.01)
    while not views["sound"].has_answered:
        poller.wait(0.05)
    assert not views["broken"].has_answered


def test_runs_that_cannot_be() -> None:
    folders = "\n".join(
        [
            "1.5 /runs/r1",
            "nan /runs/r2",
            "1e300 /runs/r3",
            "1.5 /runs/\x1b[2J",
            "1.5 /runs/..",
            "-1 /runs/r4",
            "2 /runs/r5",
        ]
    )
    units = "stampede-run@r1.service loaded"
    assert runs_of_units(lambda command: f"{folders}\n\n{units}", Path("/runs")) == [
        Run("r1", 1.5, True),
        Run("r5", 2.0, False),
    ]


# ------------------------------------------------------------------ collected


@pytest.mark.parametrize("what", NO_STATES)
def test_a_collected_state_that_is_none_costs_its_host_the_row(what: str, tmp_path: Path) -> None:
    folder = samples.write_results(tmp_path, samples.Sample(holders=5, duration=30, ramp=5, failures=False))
    sound = samples.report(folder)["hosts"]["load-2"]
    (folder / "load-1" / "state.json").write_text(NO_STATES[what])
    found = samples.report(folder)
    assert found["hosts"]["load-2"] == sound
    (note,) = [note for note in found["journal"]["notes"] if "load-1/state.json" in note]
    assert " was ignored: " in note and len(note) < 600


@pytest.mark.parametrize("part", ODD_PARTS)
def test_a_collected_state_with_odd_parts(part: str, tmp_path: Path) -> None:
    folder = samples.write_results(tmp_path, samples.Sample(holders=3, duration=15, ramp=2, failures=False))
    sound = samples.report(folder)["hosts"]["load-2"]
    file = folder / "load-1" / "state.json"
    usual = json.loads(file.read_text())
    for odd in ODD_PARTS[part]:
        file.write_text(json.dumps(usual | {part: odd}))
        found = samples.report(folder)
        assert found["hosts"]["load-2"] == sound
        assert any(part in note for note in found["journal"]["notes"])


def test_a_start_that_a_host_makes_up_moves_nobody(tmp_path: Path) -> None:
    folder = samples.write_results(tmp_path, samples.Sample(holders=5, duration=30, ramp=5, failures=False))
    sound = samples.report(folder)
    file = folder / "load-1" / "state.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"start_at": 1.0}))
    found = samples.report(folder)
    assert found["load"] == sound["load"] and found["run"]["duration"] == sound["run"]["duration"]


def test_a_host_s_record_may_be_anything_too(tmp_path: Path) -> None:
    folder = samples.write_results(tmp_path, samples.Sample(holders=3, duration=15, ramp=2, failures=False))
    for text in NO_STATES.values():
        (folder / "load-1" / "host.json").write_text(text)
        assert samples.report(folder)["run"]["id"] == samples.RUN


# ------------------------------------------------------------------ fuzzing

numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 2**31, 2**63, 10**400, 1e308, 4e9])
texts = st.text(max_size=20) | st.sampled_from(["\x1b[2J", "\u202e", "\ud800", "errors < 1", "connect p95 < 1 s"])
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
states = st.fixed_dictionaries({}, optional=dict.fromkeys(VALID, anything))
tallies = st.fixed_dictionaries(
    {"text": texts, "ok": numbers, "failed": numbers, "total": numbers, "most": numbers},
    optional={
        "buckets": st.lists(st.tuples(numbers, numbers), max_size=5),
        "elapsed": numbers,
        "left": st.none() | numbers,
        "ramped_up": st.booleans(),
    },
)


@pytest.mark.fuzz
@given(states, st.lists(tallies, max_size=3), st.booleans())
def test_whatever_a_state_says_can_be_displayed(
    parts: dict[str, Any], found: list[dict[str, Any]], alive: bool
) -> None:
    text = json.dumps(VALID | {"thresholds": found} | parts)
    displayed(watched("broken", of_text(text, alive=alive)), watched("sound", snapshot()))


@pytest.mark.fuzz
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_whatever_bytes_a_state_has(text: str | bytes) -> None:
    displayed(watched("broken", of_text(text)), watched("sound", snapshot()))
