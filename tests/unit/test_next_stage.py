"""Going on to the next stage before its time: the same moment on all hosts, nothing twice, nothing left out."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from fleet_views import NOW, host
from hypothesis import example, given
from hypothesis import strategies as st
from test_load_profiles import load, on_hosts

from controller.holder.holder import Holder
from controller.host.next_stage import StageSwitch
from controller.run.run import Run
from stampede.live.stages import LEAD, next_stage, stage_of
from stampede.load_models import catalog
from stampede.load_models.closed import Closed
from stampede.load_models.interface import Plan, StageNow
from stampede.load_models.profile import Piece, Profile, crossings, profile_of
from stampede.load_models.shares import deals
from stampede.schema.orders import LONGEST, NextStage, as_text, read_next_stage
from stampede.schema.orders import NEXT_STAGE as FILE
from stampede.schema.state import StageState

RATES = [{"rate": 2, "for": "100s"}, {"rate": 10, "over": "40s"}, {"rate": 1, "for": "50s"}]
LEVELS = [{"holders": 20, "over": "100s"}, {"holders": 40, "over": "40s"}, {"holders": 5, "for": "50s"}]
CUT = 50.25

some_stages = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["over", "for"]), st.floats(0.5, 50)), min_size=2, max_size=6
)


def stages(found: list[Mapping[str, Any]], key: str) -> Profile:
    profile = profile_of(found, key)
    assert profile
    return profile


def up_and_down(found: list[tuple[int, str, float]]) -> Profile:
    """Levels by ``some_stages``."""
    return stages([{"holders": level, kind: seconds} for level, kind, seconds in found], "holders")


def level_at(profile: Profile, moment: float) -> float:
    """So many seconds from the start."""
    for piece in profile.pieces:
        if moment < piece.seconds:
            return piece.begin + (piece.end - piece.begin) * moment / piece.seconds
        moment -= piece.seconds
    return 0.0


class TestProfile:
    def test_the_next_stage_begins_at_the_level_of_that_moment(self) -> None:
        assert stages(LEVELS, "holders").cut(50).pieces == (
            *(Piece(50, 0, 10), Piece(40, 10, 40)),
            Piece(50, 5, 5),
        )

    def test_one_that_is_there_at_once_is_there_at_once(self) -> None:
        assert stages(LEVELS, "holders").cut(120).pieces == (Piece(100, 0, 20), Piece(20, 20, 30), Piece(50, 5, 5))

    @pytest.mark.parametrize("moment", [-1.0, 0.0, 150.0, 189.9, 190.0, 1e9])
    def test_there_is_nothing_after_the_last_stage(self, moment: float) -> None:
        profile = stages(LEVELS, "holders")
        assert profile.cut(moment) is profile

    def test_a_load_without_stages_has_none(self) -> None:
        profile = Profile.rising(5.0, 10.0, 60.0)
        assert profile.stage_at(5) is None and profile.cut(5) is profile

    def test_which_stage_is_under_way(self) -> None:
        profile = stages(LEVELS, "holders")
        assert [profile.stage_at(moment) for moment in (0, 99.9, 100, 139, 189, 190)] == [
            *(StageNow(1, 3, 100), StageNow(1, 3, 100), StageNow(2, 3, 140), StageNow(2, 3, 140)),
            *(StageNow(3, 3, 190), None),
        ]

    @example([(1, "for", 3.159468736792334), (0, "over", 1.1), (0, "over", 25.717835588800092)], [0.09375, 0.09375])
    @given(
        some_stages,
        st.lists(st.floats(0, 1), min_size=1, max_size=3),
    )
    def test_nothing_changes_before_it_and_no_holder_more_comes(
        self, found: list[tuple[int, str, float]], parts: list[float]
    ) -> None:
        profile = up_and_down([*found, (31, "for", 1.0)])
        cuts = sorted(part * profile.seconds for part in parts)
        cut = profile.cut_at(cuts)
        assert cut.seconds <= profile.seconds + 1e-9
        before, after = (
            [change for change in crossings(each) if change[0] < cuts[0] - 1e-6] for each in (profile, cut)
        )
        assert [(rank, comes) for _, rank, comes in before] == [(rank, comes) for _, rank, comes in after]
        arrivals = [sum(comes for _, _, comes in crossings(each)) for each in (profile, cut)]
        assert arrivals[1] <= arrivals[0]


class TestHosts:
    """The shares of three hosts, which were all given the same moment."""

    @pytest.mark.parametrize("arrivals", ["constant", "poisson"])
    def test_have_together_the_arrivals_of_one(self, variables: dict[str, Any], arrivals: str) -> None:
        changes = {"load_model": "open", "stages": RATES, "arrivals": arrivals, "holders": 700}
        whole = load(variables, **changes)
        del changes["holders"]
        hosts = on_hosts(variables, whole, **changes)
        cut = whole.cut(CUT)
        shares = [each.cut(CUT) for each in hosts]
        assert sorted(itertools.chain.from_iterable(each.schedule() for each in shares)) == list(cut.schedule())
        assert sum(each.total for each in shares) == cut.total < whole.total
        before = [arrival for arrival in whole.schedule() if arrival.moment < CUT]
        assert list(cut.schedule())[: len(before)] == before

    def test_have_together_the_stays_of_one(self, variables: dict[str, Any]) -> None:
        whole = load(variables, stages=LEVELS)
        hosts = on_hosts(variables, whole, stages=LEVELS)
        cut = whole.cut(CUT)
        assert sorted(stay for each in hosts for stay in each.cut(CUT).stays()) == sorted(cut.stays())
        for each in hosts:
            assert set(each.cut(CUT).wallets) <= set(each.wallets), "no wallets but those that were made"

    @example([(20, "over", 20.0), (0, "over", 10.0), (1, "for", 60.0)], 10.5 / 90, 1)
    @given(
        some_stages.filter(lambda found: any(level for level, _, _ in found)),
        st.floats(0, 1),
        st.integers(1, 10),
    )
    def test_have_together_as_many_holders_as_the_level_is_high(
        self, found: list[tuple[int, str, float]], part: float, hosts: int
    ) -> None:
        profile = up_and_down(found)
        whole = Closed(1, 0, 0.0, 0.0, 1, stages=profile.cut(part * profile.seconds))
        assert whole.stages
        shares = deals({str(place): 1.0 for place in range(hosts)}).values()
        stays = [stay for deal in shares for stay in dataclasses.replace(whole, deal=deal).stays()]
        moments = sorted({moment for moment, _, _ in crossings(whole.stages)} | {0.0, whole.stages.seconds})
        for before, after in itertools.pairwise(moments):
            between = (before + after) / 2
            if after - before > 1e-6:
                there = sum(stay.begin <= between and (stay.end is None or between < stay.end) for stay in stays)
                assert there == math.ceil(level_at(whole.stages, between)), f"{between} s from the start"

    def test_describe_whole_holders(self, variables: dict[str, Any]) -> None:
        assert "up to 11 holders" in load(variables, stages=LEVELS).cut(50.25).cut(50.5).describe()

    def test_plan_is_that_of_the_results(self, variables: dict[str, Any]) -> None:
        assert load(variables, stages=LEVELS).cut(CUT).plan == Plan(CUT + 40, CUT + 90)
        assert catalog.recorded_plan({"stampede_stages": LEVELS}, [CUT]) == Plan(CUT + 40, CUT + 90)
        of_rates = {"stampede_load_model": "open", "stampede_stages": RATES}
        assert catalog.recorded_plan(of_rates, [CUT, CUT + 10]) == Plan(CUT + 10, CUT + 60)
        of_rounds = {"stampede_load_model": "rounds", "stampede_stages": RATES, "stampede_ramp_up": 10}
        assert catalog.recorded_plan(of_rounds, [CUT]) == Plan(10, CUT + 90)


def going_on(at: float, told: float) -> Callable[[Run], None]:
    """Has a run on virtual time go on to the next stage ``at`` so many seconds; it learns of it at ``told``."""
    return lambda run: asyncio.get_running_loop().call_at(told, run.go_on, at)


class TestRun:
    """A run on virtual time that learns of it two seconds before."""

    @pytest.mark.parametrize("told", [CUT - 2, CUT + 0.3])
    def test_arrivals(self, play: Callable[..., Run], variables: dict[str, Any], told: float) -> None:
        due = []

        async def script(holder: Holder) -> None:
            due.append(holder.due)
            await holder.wait(5)

        changes = {"load_model": "open", "stages": RATES, "holders": 200, "drain": 0}
        run = play(script, prepare=going_on(CUT, told), **changes)
        planned = load(variables, **changes).cut(CUT)
        # Who has come already when a host learns of it too late was due by the stages as they were.
        assert due == pytest.approx([arrival.moment for arrival in planned.schedule()], abs=0.004)
        assert run.started == run.load.total == planned.total and run.dropped == 0
        assert run.load.plan.duration == planned.plan.duration == CUT + 90

    def test_rounds(self, play: Callable[..., Run], variables: dict[str, Any]) -> None:
        begun = []

        async def script(holder: Holder) -> None:
            async for _ in holder.until_end_of_run():
                begun.append(holder.due)
                await holder.wait(2)

        changes = {"load_model": "rounds", "stages": RATES, "holders": 40, "ramp_up": 10, "drain": 0}
        run = play(script, prepare=going_on(CUT, CUT - 2), **changes)
        profile = load(variables, **changes).cut(CUT).profile
        assert begun == pytest.approx([10 + moment for moment in profile.moments(itertools.count())])
        assert run.rounds_dropped == 0

    @pytest.mark.parametrize("told", [CUT - 2, CUT + 3])
    def test_holders_come_and_go(self, play: Callable[..., Run], told: float) -> None:
        active: list[tuple[float, int]] = []

        async def script(holder: Holder) -> None:
            async for _ in holder.until_end_of_run():
                active.append((holder.context.clock.now(), holder.number))
                await holder.wait(1)

        run = play(script, prepare=going_on(CUT, told), stages=LEVELS, drain=0)

        def there(second: float) -> int:
            return len({number for moment, number in active if second - 1 < moment <= second})

        assert there(50) == pytest.approx(10, abs=1)
        assert there(CUT + 20) == pytest.approx(25, abs=1), "half-way from 10 to 40"
        assert there(CUT + 45) == 5, "at once"
        assert max(moment for moment, _ in active) == pytest.approx(CUT + 90, abs=1)
        assert run.started == len({number for _, number in active}) == run.load.total == 40

    @pytest.mark.parametrize("told", [8.5, 10.5, 13.5])
    def test_all_leave_that_the_level_has_no_place_for(self, play: Callable[..., Run], told: float) -> None:
        last: dict[int, float] = {}

        async def script(holder: Holder) -> None:
            async for _ in holder.until_end_of_run():
                last[holder.number] = holder.context.clock.now()
                await holder.wait(1)

        down_to_one = [{"holders": 20, "over": "20s"}, {"holders": 0, "over": "10s"}, {"holders": 1, "for": "60s"}]
        play(script, prepare=going_on(10.5, told), stages=down_to_one, drain=0)
        assert sum(moment > 22 for moment in last.values()) == 1


def test_a_host_reads_the_signal_once_and_tells_of_it_when_the_stage_begins(
    play: Callable[..., Run], tmp_path: Path
) -> None:
    told: list[tuple[float, str, float]] = []

    def prepare(run: Run) -> None:
        loop = asyncio.get_running_loop()
        switch = StageSwitch(
            tmp_path, lambda kind, text, value: told.append((run.clock.now(), f"{kind}: {text}", value))
        )
        start = run.clock._epoch

        def look(at: float, text: str, *, goes_on: bool) -> None:
            def then() -> None:
                (tmp_path / FILE).write_text(text)
                assert [switch.look(run, start) for _ in range(2)] == [goes_on, False]

            loop.call_at(at, then)

        look(5, json.dumps({"stage": 3, "at": start + 30}), goes_on=False)  # another comes before
        look(6, "{", goes_on=False)
        look(7, json.dumps({"stage": 2, "at": start + 10}), goes_on=True)
        look(20, json.dumps({"stage": 2, "at": start + 25}), goes_on=False)  # that is under way
        look(21, json.dumps({"stage": 3, "at": start + 20.5}), goes_on=True)  # too late
        look(25, json.dumps({"stage": 4, "at": start + 30}), goes_on=False)  # there is none

    async def script(holder: Holder) -> None:
        async for _ in holder.until_end_of_run():
            await holder.wait(1)

    run = play(script, prepare=prepare, stages=LEVELS, drain=0)
    assert [(round(at, 3), text, round(value, 3)) for at, text, value in told] == [
        (10.0, "next_stage: stage 2 of 3 began before its time", 10.0),
        (21.0, "next_stage: stage 3 of 3 began before its time; this host learned of it 0.5 s too late", 20.5),
    ]
    assert run.load.plan.duration == pytest.approx(70.5)


class TestSignal:
    def test_is_read_as_it_is_written(self) -> None:
        order = NextStage(2, time.time())
        assert read_next_stage(as_text(order)) == order

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "7",
            '{"stage": 2}',
            '{"stage": 1, "at": 5}',
            '{"stage": 2, "at": 1e300}',
            '{"stage": 2, "at": NaN}',
            '{"stage": true, "at": 5}',
            '{"stage": 2, "at": -1}',
            '{"stage": 2, "at": 5}' + " " * LONGEST,
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):
            read_next_stage(text)

    def test_is_for_a_little_later(self) -> None:
        stage = StageState(2, 3, NOW + 60)
        assert next_stage(stage, 1, NOW) == NextStage(3, pytest.approx(NOW + LEAD + 0.04))
        assert next_stage(stage, 100, NOW) == NextStage(3, pytest.approx(NOW + LEAD + 4))
        assert next_stage(StageState(3, 3, NOW + 60), 1, NOW) is None
        assert next_stage(StageState(2, 3, NOW + 3), 1, NOW) is None, "it begins by itself"
        assert next_stage(None, 1, NOW) is None

    def test_is_for_hosts_that_are_in_the_same_stage(self) -> None:
        first, second = ({"number": number, "count": 3, "ends_at": NOW + 60} for number in (1, 2))
        assert stage_of([host("h1", stage=first), host("h2", stage=first)]) == StageState(1, 3, NOW + 60)
        assert stage_of([host("h1", stage=first), host("h2", stage=second)]) is None
        assert stage_of([host("h1", stage=first), host("h2")]) is None
        assert stage_of([host("h1", stage=first), host("h2", phase="done")]) == StageState(1, 3, NOW + 60)
        assert stage_of([host("h1", stage=first, phase="draining")]) is None
