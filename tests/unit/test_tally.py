"""What hosts count for thresholds while a run goes on: percentiles within 1 %, however many hosts are added up."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.run.simulated import SimulatedWallets
from stampede.load_models.interface import Plan
from stampede.schema.json_form import from_json, to_json
from stampede.schema.records import Outcome, StepRecord
from stampede.schema.settings.thresholds import parse
from stampede.schema.state import TallyState
from stampede.schema.tally import GROWTH, Tallies, Tally

TIMES = st.lists(st.floats(1e-5, 1e4), min_size=1, max_size=300)


def tally(times: list[float], text: str = "p95 < 2 s") -> Tally:
    its = Tally(parse(text))
    for seconds in times:
        its.count(seconds)
    return its


@given(TIMES, st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999]))
def test_percentiles_are_within_1_percent(times: list[float], share: float) -> None:
    exact = np.percentile(times, 100 * share, method="lower")
    assert tally(times).at_quantile(share) == pytest.approx(exact, rel=(GROWTH - 1) / 2)


@given(TIMES, st.floats(0.001, 100))
def test_on_which_side_of_the_limit_a_time_lies_is_exact(times: list[float], limit: float) -> None:
    limit = parse(f"p95 <= {limit:.3f} s").limit
    its = tally(times, f"p95 <= {limit:.3f} s")
    clear = [seconds for seconds in times if not math.isclose(seconds, limit, rel_tol=1e-9)]
    over = sum(seconds > limit for seconds in clear)
    assert over <= its.beyond() <= over + len(times) - len(clear)


def test_a_time_of_the_limit_itself_is_not_beyond_it() -> None:
    for limit in ("2 s", "300 ms", "0.7 s", "13 ms"):
        threshold = parse(f"p95 <= {limit}")
        assert tally([threshold.limit], threshold.text).beyond() == 0


@given(st.lists(TIMES, min_size=1, max_size=4))
def test_hosts_added_up_are_as_one(hosts: list[list[float]]) -> None:
    merged = Tally(parse("p95 < 2 s"))
    for times in hosts:
        sent = json.dumps(to_json(tally(times).state()))
        merged.add(Tally.from_state(from_json(TallyState, json.loads(sent))))
    one = tally([seconds for times in hosts for seconds in times])
    assert replace(merged.state(), total=0) == replace(one.state(), total=0)
    assert merged.total == pytest.approx(one.total)


def test_little_is_kept_however_many_steps_there_are() -> None:
    rng = np.random.default_rng(1)
    its = tally(rng.lognormal(-0.5, 0.8, 20_000).tolist())
    assert len(json.dumps(to_json(its.state()))) < 5_000
    assert tally([1.0] * 1000, "max < 2 s").buckets == {}


def ended(step: str, outcome: Outcome, service_time: float, response_time: float) -> StepRecord:
    return StepRecord(step, outcome, 0, 0, 1, "", service_time, response_time)


class TestTallies:
    texts = (
        "present_proof p95 < 2 s",
        "present_proof max service_time < 1 s during steady",
        "errors < 1 %",
        "errors < 1 % during ramp_up",
        "throughput >= 1/s during drain",
    )

    def after(self, now: float) -> dict[str, TallyState]:
        """Moments on a clock that shows 100 at the start; ramp-up 10 s, duration 60 s."""
        tallies = Tallies(self.texts, Plan(10, 60))
        tallies.begin(100)
        for moment, step, outcome in (
            (105, "present_proof", Outcome.OK),
            (109, "connect", Outcome.FAILED),
            (120, "present_proof", Outcome.OK),
            (121, "present_proof", Outcome.INTERRUPTED),
            (161, "connect", Outcome.OK),
        ):
            if moment > 160:
                tallies.drain(160)
            if moment <= now:
                tallies.step_ended(ended(step, outcome, 0.5, 0.75), moment)
        return {state.text: state for state in tallies.states(now)}

    def test_steps_are_counted_in_the_phase_in_which_they_end(self) -> None:
        its = self.after(162)
        counts = {text: (state.ok, state.failed) for text, state in its.items()}
        assert list(counts.values()) == [(2, 0), (1, 0), (3, 1), (1, 1), (1, 0)]
        assert its["present_proof p95 < 2 s"].most == 0.75
        assert its["present_proof max service_time < 1 s during steady"].most == 0.5

    @pytest.mark.parametrize(
        ("now", "elapsed", "left"),
        [
            (90, (0, 0, 0), (60, 60, 10)),  # before the start
            (105, (5, 0, 5), (55, 55, 5)),
            (130, (30, 20, 10), (30, 30, 0)),
            (162, (62, 50, 10), (0, 0, 0)),
        ],
    )
    def test_how_far_a_phase_has_come(self, now: float, elapsed: tuple[int, ...], left: tuple[int, ...]) -> None:
        its = list(self.after(now).values())
        assert tuple(its[place].elapsed for place in (0, 1, 3)) == elapsed
        assert tuple(its[place].left for place in (0, 1, 3)) == left
        assert its[0].ramped_up is (now >= 110)

    def test_nothing_is_said_before_the_start_is_known(self) -> None:
        assert Tallies(self.texts, Plan(10, 60)).states(1e6) == ()

    def test_it_is_over_with_the_last_step(self) -> None:
        tallies = Tallies(["throughput >= 1/s"], Plan(10, 60))
        tallies.begin(100)
        tallies.step_ended(ended("connect", Outcome.OK, 0.5, 0.5), 164)
        assert tallies.states(190)[0].elapsed == 90
        tallies.end()
        assert tallies.states(190)[0].elapsed == 64

    def test_nobody_knows_what_is_left_when_iterations_decide(self) -> None:
        tallies = Tallies(["errors < 1 %"], Plan(10))
        tallies.begin(100)
        assert tallies.states(130)[0].left is None


def test_a_run_counts_as_it_records(play) -> None:
    async def script(holder) -> None:
        issuer = await holder.connect("issuer")
        for _ in range(4):
            await holder.ping(issuer)

    texts = ["ping p95 < 2 s", "errors = 0"]
    run = play(script, wallets=SimulatedWallets(1), thresholds=texts, holders=3)
    pings, everything = run.tallies.states(run.clock.now() + 100)
    assert everything.elapsed < 100
    assert pings.ok == run.figures.steps["ping"] == 12 and sum(count for _, count in pings.buckets) == 12
    assert everything.ok == sum(run.figures.steps.values()) and everything.failed == 0
