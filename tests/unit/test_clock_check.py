"""A load host's clock: how it is measured, and when it is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from stampede.fleet import clock_check
from stampede.fleet.clock_check import ClockReading, read_clock


def test_a_clock_is_compared_by_the_answer_that_came_soonest(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([100.0, 200.0, 300.0, 400.0, 500.0])
    passed = iter([0.0, 1.0, 10.0, 10.2, 20.0, 29.0, 30.0, 34.0, 40.0, 43.0])
    clock = SimpleNamespace(time=lambda: next(moments), monotonic=lambda: next(passed))
    monkeypatch.setattr(clock_check, "time", clock)
    answers = iter(f"{105.0 + middle} 4" for middle in (100.5, 200.1, 304.5, 402.0, 501.5))
    reading = read_clock(lambda: next(answers))
    assert (round(reading.offset, 6), round(reading.uncertainty, 6), reading.cores) == (105.0, 0.1, 4)


@pytest.mark.parametrize("answer", ["who are you", "soon 4", ""])
def test_a_host_that_does_not_tell_its_time_is_quoted(answer: str) -> None:
    with pytest.raises(ValueError, match=f"it said '{answer}'|could not convert string to float: 'soon'"):
        read_clock(lambda: answer)


@pytest.mark.parametrize(
    ("offset", "uncertainty", "refused"),
    [(0.3, 0.01, True), (-0.3, 0.01, True), (0.3, 0.1, False), (-0.2, 0.0, False), (0.25, 0.0, False)],
)
def test_a_clock_is_refused_when_it_is_off_for_certain(offset: float, uncertainty: float, refused: bool) -> None:
    assert bool(ClockReading(offset, uncertainty, 4).refusal("load-1", 0.25)) is refused


def test_the_refusal_names_host_value_variable_and_remedy() -> None:
    assert ClockReading(-60.0, 0.01, 4).refusal("load-1", 0.25) == (
        "The clock of load-1 is 60.00 s behind the control node's (measured to within 0.01 s), more than "
        "stampede_max_clock_offset, which is 0.25 s; let chrony set it, as stampede provision --tags clock does"
    )
