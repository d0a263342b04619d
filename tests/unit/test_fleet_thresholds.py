"""Thresholds while a run goes on: over all hosts together, told once, and when there is no hope for them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from fleet_views import NOW, host

from stampede.fleet import live_table as table
from stampede.fleet.host_view import HostView
from stampede.fleet.run_watch import Judge, stop_command
from stampede.fleet.standings import Crossings, Standing, standings
from stampede.schema.json_form import to_json
from stampede.schema.settings.thresholds import parse
from stampede.schema.tally import Tally


def counted(
    text: str,
    times: list[float] | None = None,
    failed: int = 0,
    *,
    elapsed: float = 30,
    left: float | None = 30,
    ramped_up: bool = True,
) -> dict[str, Any]:
    """What a host's state says of a threshold."""
    tally = Tally(parse(text))
    for seconds in times or ():
        tally.count(seconds)
    tally.failed = failed
    return to_json(tally.state(elapsed, left, ramped_up=ramped_up))


def stands(*entries: dict[str, Any]) -> Standing:
    """How a threshold stands, of which each host says one of the entries."""
    hosts = [host(f"h{number}", thresholds=[entry]) for number, entry in enumerate(entries)]
    (standing,) = standings(hosts)
    return standing


def test_percentiles_are_those_of_all_hosts_together() -> None:
    # Each host alone has its p50 at 1 s or at 9 s; the mean of the two would be 5 s.
    quick, slow = counted("p50 < 2 s", [1.0] * 90), counted("p50 < 2 s", [9.0] * 30)
    assert stands(slow).crossed
    standing = stands(quick, slow)
    assert standing.value == pytest.approx(1, rel=0.01) and not standing.crossed


@pytest.mark.parametrize(
    ("entries", "value"),
    [
        ([counted("mean < 2 s", [1.0] * 10), counted("mean < 2 s", [4.0] * 20)], 3),
        ([counted("max < 2 s", [1.0]), counted("max < 2 s", [4.0])], 4),
        ([counted("errors < 1 %", [1.0] * 10, 0), counted("errors < 1 %", [1.0] * 20, 10)], 25),
        ([counted("errors <= 3", [1.0], 2), counted("errors <= 3", [], 2)], 4),
        ([counted("throughput >= 5/s", [1.0] * 30), counted("throughput >= 5/s", [1.0] * 60, elapsed=29)], 3),
    ],
)
def test_other_figures_of_all_hosts_together(entries: list[dict[str, Any]], value: float) -> None:
    standing = stands(*entries)
    assert standing.value == pytest.approx(value) and standing.crossed


@pytest.mark.parametrize(
    "entry",
    [
        counted("p95 < 2 s", [9.0] * 19),
        counted("mean < 2 s", [9.0] * 19),
        counted("errors < 1 %", [], 19),
        counted("errors = 0"),
        counted("max < 2 s"),
        counted("throughput >= 5/s", [1.0], elapsed=9),
        counted("throughput >= 5/s", [1.0], ramped_up=False),
    ],
    ids=lambda entry: entry["text"],
)
def test_nothing_is_said_of_too_little(entry: dict[str, Any]) -> None:
    standing = stands(entry)
    assert standing.value is None and not standing.crossed and not standing.unrecoverable
    assert "too little to judge yet" in standing.sentence


class TestHope:
    """Half of the run is over: twice as many steps as until now may still come."""

    @pytest.mark.parametrize(
        ("entry", "hopeless"),
        [
            (counted("max < 2 s", [2.0], left=None), True),  # nothing mends a maximum
            (counted("max < 2 s", [1.9]), False),
            (counted("errors <= 3", [1.0] * 90, 4, left=None), True),  # nor a count
            (counted("errors = 0", [], 1, left=None), True),
            # 95 % of 300 steps may be 2 s or less when at most 15 are more.
            (counted("p95 < 2 s", [1.0] * 85 + [9.0] * 15), False),
            (counted("p95 < 2 s", [1.0] * 84 + [9.0] * 16), True),
            (counted("p95 < 2 s", [1.0] * 84 + [9.0] * 16, left=None), False),
            (counted("p95 < 2 s", [1.0] * 84 + [9.0] * 16, ramped_up=False), False),
            (counted("mean < 2 s", [5.9] * 100), False),
            (counted("mean < 2 s", [6.1] * 100), True),
            (counted("errors <= 10 %", [1.0] * 70, 30), False),
            (counted("errors <= 10 %", [1.0] * 69, 31), True),
            # Twice what is asked, from now on, makes (30 + 2 * 5 * 30) / 60 = 5.5/s.
            (counted("throughput >= 5/s", [1.0] * 30), False),
            (counted("throughput >= 5/s", [1.0] * 30, left=20), True),
        ],
        ids=lambda value: value["text"] if isinstance(value, dict) else "",
    )
    def test_there_is_none_when_no_luck_could_mend_it(self, entry: dict[str, Any], hopeless: bool) -> None:
        standing = stands(entry)
        assert standing.unrecoverable is hopeless
        assert standing.crossed or not hopeless


def test_a_state_of_another_version_is_passed_over() -> None:
    broken = [{"text": "p95 < 2 s"}, {"text": "p95 of all"}, {}, 7]
    assert standings([host(thresholds=broken), host(), HostView("h2", "", NOW)]) == []


def test_a_crossing_is_told_once() -> None:
    crossings = Crossings()
    crossed, kept = stands(counted("max < 2 s", [2.5])), stands(counted("errors < 1 %", [1.0] * 30))
    (sentence,) = crossings.new([crossed, kept], NOW)
    assert sentence == "max response_time is 2.50 s, the threshold is < 2 s; crossed since 13:46:40 UTC."
    assert crossings.new([crossed, kept], NOW + 5) == []


class TestJudge:
    def told(self, *entries: dict[str, Any], stop: Any, times: int = 1, **state: Any) -> list[str]:
        """What is said of the thresholds when they are looked at so many times."""
        sentences: list[str] = []
        judge = Judge([host(thresholds=list(entries), **state)], lambda text, colour: sentences.append(text), stop)
        for _ in range(times):
            judge._next = 0.0
            judge.check(NOW)
        return sentences

    def test_a_hopeless_run_is_ended_once_with_the_reason(self) -> None:
        reasons: list[str] = []
        told = self.told(counted("max < 2 s", [2.5]), stop=reasons.append, times=3)
        assert reasons == ["max response_time is 2.50 s, the threshold is < 2 s, and it cannot recover"]
        assert told.count(f"The run is stopped because {reasons[0]}.") == 1

    def test_a_run_is_not_ended_as_long_as_there_is_hope(self) -> None:
        reasons: list[str] = []
        told = self.told(counted("p95 < 2 s", [9.0] * 100, left=None), stop=reasons.append, times=3)
        assert reasons == []
        assert sum("crossed since" in sentence for sentence in told) == 1

    def test_a_run_that_is_ending_is_not_asked_to(self) -> None:
        reasons: list[str] = []
        self.told(counted("max < 2 s", [2.5]), stop=reasons.append, phase="draining")
        assert reasons == []

    def test_nothing_is_ended_when_nobody_asked_for_that(self) -> None:
        assert len(self.told(counted("max < 2 s", [2.5]), stop=None)) == 1


def test_the_reason_comes_to_a_host_as_it_is(tmp_path: Path) -> None:
    folder, reason = tmp_path / "a run's", "it's $HOME, 100 % \\n"
    folder.mkdir()
    subprocess.run(["sh", "-c", stop_command(str(folder), reason)], check=True)
    assert (folder / "stop").read_text() == reason
    (folder / "stop").unlink()
    (folder / "stop.new").mkdir()  # so that nothing can be written there, as on a disk that is full
    done = subprocess.run(["sh", "-c", stop_command(str(folder), reason)], check=True, capture_output=True)
    assert done.returncode == 0 and (folder / "stop").read_text() == ""


def test_the_table_shows_how_thresholds_stand() -> None:
    entries = [counted("errors < 1 %", [1.0] * 30), counted("max < 2 s", [2.5]), counted("p95 < 1 s", [1.0])]
    lines = table.text([host(thresholds=entries)], NOW).splitlines()
    assert [line.strip() for line in lines[-3:]] == [
        "✗ max response_time is 2.50 s, the threshold is < 2 s",
        "✓ errors are 0 %, the threshold is < 1 %",
        "· p95 response_time: too little to judge yet, the threshold is < 1 s",
    ]
    assert " | crossed: max < 2 s" in table.line([host(thresholds=entries)], NOW)
