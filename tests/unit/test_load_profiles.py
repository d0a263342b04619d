"""Loads that go up and down, arrivals and rounds at a rate: sums over hosts are exact, and nothing waits silently."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from controller.holder.holder import Holder, Script
from controller.run.dry_run import dry_run
from controller.run.run import Run
from controller.run.simulated import SimulatedWallet, SimulatedWallets
from stampede.load_models.closed import Closed
from stampede.load_models.profile import Piece, Profile, at_random, crossings, evenly, rate
from stampede.load_models.shares import Deal, deals, turns
from stampede.prepare.room import holders_needed
from stampede.schema.errors import BadInput
from stampede.schema.settings.run_settings import Settings, check_variables

levels = st.floats(min_value=0, max_value=50) | st.integers(min_value=0, max_value=50).map(float)
pieces = st.builds(Piece, st.floats(min_value=0.5, max_value=100), levels, levels)
profiles = st.lists(pieces, min_size=1, max_size=6).map(lambda found: Profile(tuple(found)))
weights = st.lists(st.floats(min_value=0.5, max_value=64), min_size=1, max_size=8)


class TestProfile:
    """A level over time."""

    @given(profiles)
    def test_as_many_come_as_come_together(self, profile: Profile) -> None:
        moments = list(profile.moments(evenly()))
        assert abs(len(moments) - profile.amount) <= 1
        assert moments == sorted(moments)
        assert all(0 <= moment <= profile.seconds * (1 + 1e-9) for moment in moments)

    @given(profiles, st.floats(min_value=0.01, max_value=0.99))
    @example(Profile((Piece(1, 0, 1e-309),)), 0.5)  # whose square is none
    def test_until_each_moment_so_much_has_come_together(self, profile: Profile, part: float) -> None:
        amount = part * profile.amount
        for moment in profile.moments([amount]):
            assert collected(profile, moment) == pytest.approx(amount, rel=1e-6, abs=1e-6)

    def test_a_rate_for_a_time(self) -> None:
        moments = list(Profile((Piece(10, 5, 5),)).moments(evenly()))
        assert moments == pytest.approx([number / 5 for number in range(50)])

    @pytest.mark.parametrize(("unit", "seconds"), [("s", 1), ("min", 60), ("h", 3600)])
    def test_what_comes_to_a_whole_number_is_no_more(self, unit: str, seconds: int) -> None:
        for count, ramp, time in itertools.product(range(1, 200), (0, 10, 20, 90), (90, 100, 120, 300, 3600)):
            exact = Fraction(count, seconds) * (time - Fraction(ramp, 2))
            if exact > 500:
                continue
            profile = Profile.rising(rate(f"{count}/{unit}"), ramp, time)
            assert profile.count == sum(1 for _ in profile.moments(evenly())) == math.ceil(exact)

    def test_a_stage_begins_where_sums_of_seconds_are_rounded(self) -> None:
        profile = Profile((Piece(1.1, 4, 4), Piece(10, 8, 8)), is_staged=True)
        found = [profile.stage_at(moment) for moment in (-1e-8, 1.0, 1.1 - 1e-8, 1.1, 11.0, 11.1)]
        assert [stage.number if stage else 0 for stage in found] == [1, 1, 2, 2, 2, 0]

    def test_a_spike(self) -> None:
        spike = Profile((Piece(10, 1, 1), Piece(1, 20, 20), Piece(10, 1, 1)))
        per_second = Counter(int(moment) for moment in spike.moments(evenly()))
        assert (per_second[9], per_second[10], per_second[11]) == (1, 20, 1)

    def test_random_arrivals_are_a_poisson_process(self) -> None:
        moments = list(Profile((Piece(1000, 20, 20),)).moments(at_random(42)))
        intervals = [after - before for before, after in itertools.pairwise(moments)]
        assert len(moments) == pytest.approx(20_000, abs=4 * math.sqrt(20_000))
        assert statistics.mean(intervals) == pytest.approx(0.05, rel=0.03)
        assert statistics.stdev(intervals) == pytest.approx(0.05, rel=0.03)
        assert sum(each > 0.1 for each in intervals) / len(intervals) == pytest.approx(math.exp(-2), abs=0.01)

    @given(st.lists(pieces, min_size=1, max_size=6))
    def test_who_comes_goes_and_the_level_is_kept(self, found: list[Piece]) -> None:
        present: set[int] = set()
        profile = Profile(tuple(found))
        changes = list(crossings(profile))
        assert [moment for moment, *_ in changes] == sorted(moment for moment, *_ in changes)
        for _, rank, comes in changes:
            assert (rank in present) is not comes
            present ^= {rank}
            assert present == set(range(len(present))), "who came last goes first"
        assert len(present) == math.ceil(found[-1].end)

    @pytest.mark.parametrize(
        ("text", "per_second"), [("5/s", 5), ("300/min", 5), ("3600/h", 1), (2, 2), ("0.5", 0.5), (" 2 / s ", 2)]
    )
    def test_rates(self, text: object, per_second: float) -> None:
        assert rate(text) == per_second

    @pytest.mark.parametrize("text", ["", "/s", "5/", "5/d", "-1", None, True, [], "nan", "5 per s"])
    def test_what_is_no_rate(self, text: object) -> None:
        with pytest.raises(ValueError):
            rate(text)


def collected(profile: Profile, moment: float) -> float:
    """What has come together until a moment."""
    amount = 0.0
    for piece in profile.pieces:
        if moment <= piece.seconds:
            level = piece.begin + (piece.end - piece.begin) * moment / piece.seconds
            return amount + moment * (piece.begin + level) / 2
        amount, moment = amount + piece.amount, moment - piece.seconds
    return amount


class TestTurns:
    """Items dealt out to hosts."""

    @given(weights, st.integers(min_value=1, max_value=500))
    def test_each_has_its_share_of_any_beginning(self, found: list[float], count: int) -> None:
        had = Counter(itertools.islice(turns(found), count))
        assert had.total() == count
        for place, weight in enumerate(found):
            assert abs(had[place] - count * weight / sum(found)) < len(found)

    @given(weights)
    def test_every_item_is_one_hosts(self, found: list[float]) -> None:
        dealt = deals({str(place): weight for place, weight in enumerate(found)}).values()
        assert sorted(item for deal in dealt for item in deal.mine(range(200))) == list(range(200))


def load(variables: Mapping[str, Any], **changes: Any) -> Any:
    return Settings.from_variables(variables | {f"stampede_{name}": value for name, value in changes.items()}).load


def on_hosts(variables: Mapping[str, Any], whole: Any, **changes: Any) -> list[Any]:
    """The same load on three hosts."""
    of_hosts = whole.shares({"a": 4, "b": 2, "c": 1}).values()
    return [load({**variables, **of_host}, **changes) for of_host in of_hosts]


UP_AND_DOWN = [{"holders": 30, "over": "30s"}, {"holders": 30, "for": "1m"}, {"holders": 0, "over": "10s"}]


class TestStages:
    """The closed model with stages."""

    def test_the_hosts_have_together_what_the_stages_say(self, variables: dict[str, Any]) -> None:
        whole = load(variables, stages=UP_AND_DOWN)
        hosts = on_hosts(variables, whole, stages=UP_AND_DOWN)
        assert sorted(stay for host in hosts for stay in host.stays()) == sorted(whole.stays())
        assert sorted(number for host in hosts for number in host.wallets) == list(whole.wallets)
        assert [len(host.wallets) for host in hosts] == [17, 9, 4]

    def test_holders_come_and_go(self, variables: dict[str, Any], play: Callable[..., Run]) -> None:
        active = []

        async def script(holder: Holder) -> None:
            async for _ in holder.until_end_of_run():
                active.append(holder.context.clock.now())
                await holder.wait(1)

        run = play(script, stages=UP_AND_DOWN)
        beginnings = Counter(map(round, active))
        assert beginnings[45] == beginnings[80] == 30
        assert beginnings[95] == pytest.approx(15, abs=1) and not beginnings[101]
        assert (run.started, run.finished, run.active) == (30, 30, 0)

    def test_a_step_in_flight_is_completed_before_a_holder_leaves(self, play: Callable[..., Run]) -> None:
        ended = []

        async def script(holder: Holder) -> None:
            async for _ in holder.until_end_of_run():
                async with holder.step("long"):
                    await holder.context.pacer.until(holder.context.clock.now() + 7)
                ended.append(holder.context.clock.now())

        run = play(script, stages=[{"holders": 1, "for": "10s"}, {"holders": 0, "for": "30s"}])
        assert ended == [7, 14] and run.finished == 1

    @pytest.mark.parametrize(
        ("stages", "said"),
        [
            ([{"holders": 5}], "stampede_stages[0] has neither 'over' nor 'for'"),
            ([{"holders": 5, "over": 1, "for": 1}], "stampede_stages[0] has both 'over' and 'for'"),
            ([{"over": "1m"}], "stampede_stages[0] has no 'holders'"),
            ([{"rate": 5, "for": "1m"}], "stampede_stages[0] has 'rate'"),
            ([{"holders": 5, "for": 0}], "stampede_stages[0] has for: 0, which is no duration of more than 0"),
            ([{"holders": 1.5, "for": 1}], "stampede_stages[0] has holders: 1.5, which is no whole number"),
            ([{"holders": True, "for": 1}], "stampede_stages[0] has holders: True, which is no whole number"),
            ([{"holders": "1_0", "for": 1}], "stampede_stages[0] has holders: '1_0', which is no whole number"),
            (
                [{"holders": "\uff11\uff10", "for": 1}],
                "stampede_stages[0] has holders: '\uff11\uff10', which is no whole",
            ),
            ([{"holders": "1.5", "for": 1}], "stampede_stages[0] has holders: '1.5', which is no whole number"),
            ([{"holders": [5], "for": 1}], "stampede_stages[0] has holders: [5], which is no whole number"),
            ([{"holders": 2, "for": 1}, {"holders": -1, "for": 1}], "stampede_stages[1] has holders: -1, which"),
            ([{"holders": 0, "for": "1m"}], "stampede_stages goes nowhere: holders is 0 in all of them"),
            ([{"holders": "9" * 400, "for": 1}], "stampede_stages[0] has holders: '9999"),
            ([{"holders": 5, "for": "9999h"}], "stampede_stages[0] has for: '9999h', which must be at most a year"),
            ([{"holders": 5, "for": "5000h"}] * 2, "stampede_stages lasts 10,000.0 h in all; it must last at most a"),
            (
                [{"holders": 10_000_000, "over": "1m"}],
                "stampede_stages has 10,000,000 holders come in all; it must have at most 1,000,000",
            ),
            (
                [{"holders": 600_000, "for": 1}, {"holders": 0, "for": 1}, {"holders": 600_000, "for": 1}],
                "stampede_stages has 1,200,000 holders come in all",
            ),
        ],
    )
    def test_what_is_wrong_has_one_sentence(self, variables: dict[str, Any], stages: Any, said: str) -> None:
        (sentence,) = check_variables(variables | {"stampede_stages": stages})
        assert sentence.startswith(said)


class TestSharedIterations:
    """Iterations of all holders together."""

    SHARED: ClassVar[dict[str, Any]] = {"iterations_per": "run", "iterations": 11, "duration": 0}

    def test_they_are_as_many_as_asked_for(self, play: Callable[..., Run]) -> None:
        done: Counter[int] = Counter()

        async def script(holder: Holder) -> None:
            async for _ in holder.until_end_of_run():
                await holder.wait(1 + holder.number)
                done[holder.number] += 1

        run = play(script, **self.SHARED)
        assert run.rounds == done.total() == 11
        assert done[0] > done[3], "who is faster does more"

    def test_each_host_has_its_share(self, variables: dict[str, Any]) -> None:
        whole = load(variables, **self.SHARED, holders=7)
        hosts = on_hosts(variables, whole, iterations_per="run", duration=0)
        assert [(host.number, host.iterations) for host in hosts] == [(4, 6), (2, 3), (1, 2)]

    def test_a_script_that_fails_before_its_loop_uses_them_up(self, play: Callable[..., Run]) -> None:
        tries = 0

        async def script(holder: Holder) -> None:
            nonlocal tries
            tries += 1
            raise ValueError

        run = play(script, **self.SHARED)
        assert run.rounds == 0 and 11 <= tries <= 11 + 4

    def test_no_host_goes_without(self, variables: dict[str, Any]) -> None:
        whole = load(variables, **self.SHARED | {"iterations": 2}, holders=7)
        with pytest.raises(BadInput, match=r"stampede_iterations is 2, of which \w would get none"):
            whole.shares({"a": 1, "b": 1, "c": 1})


VISITS = {"load_model": "open", "rate": "2/s", "duration": "100s", "ramp_up": 0, "iterations": 1, "drain": 0}


async def visit(holder: Holder) -> None:
    """A script that takes ten seconds."""
    await holder.wait(9)
    await holder.wait(1)


class TestOpen:
    """Arrivals at a rate."""

    @pytest.mark.parametrize("arrivals", ["constant", "poisson"])
    def test_each_arrival_is_one_hosts(self, variables: dict[str, Any], arrivals: str) -> None:
        changes = VISITS | {"arrivals": arrivals, "rate": "50/s", "holders": 700}
        whole = load(variables, **changes)
        del changes["holders"]
        hosts = on_hosts(variables, whole, **changes)
        assert sorted(itertools.chain.from_iterable(host.schedule() for host in hosts)) == list(whole.schedule())
        assert sum(host.most for host in hosts) == 700
        assert sum(host.total for host in hosts) == whole.total

    def test_each_goes_through_the_script_and_leaves(self, play: Callable[..., Run]) -> None:
        wallets = Removed()
        run = play(visit, wallets=wallets, **VISITS, holders=25)
        assert (run.started, run.dropped) == (200, 0)
        assert wallets.removed == set(range(180)), "the last ones are there at the end"

    def test_what_finds_no_room_is_dropped_and_counted(self, play: Callable[..., Run]) -> None:
        run = play(visit, **VISITS, holders=10)
        assert run.started + run.dropped == 200
        assert run.visits.value == pytest.approx(9.725), "the last ones are cut off"
        assert run.started == 100, "10 at a time, for 10 s each, in 100 s"

    @pytest.mark.parametrize("most", [1000, 5])
    def test_wallets_that_are_late_are_made_once_and_none_is_left(
        self, play: Callable[..., Run], variables: dict[str, Any], most: int
    ) -> None:
        async def script(holder: Holder) -> None:
            async with holder.step("look"):
                await asyncio.sleep(1)

        rates = [{"rate": 4, "for": "200s"}, {"rate": 0, "for": "60s"}]
        changes = {"load_model": "open", "stages": rates, "holders": most, "iterations": 1}
        wallets = Slow(load(variables, **changes).wallets)
        run = play(script, wallets=wallets, **changes)
        assert run.started + run.dropped == 800 and bool(run.dropped) == (most == 5)
        assert max(wallets.made.values()) == 1 and not wallets.here
        assert len(wallets.made) >= run.started

    def test_it_describes_itself(self, variables: dict[str, Any]) -> None:
        assert load(variables, **VISITS).describe() == (
            "Open load model: 200 arrivals, up to 2/s, evenly, in 100 s; at most 4 holders at a time."
        )

    def test_wallets_of_the_first_are_made_before_the_start(self, variables: dict[str, Any]) -> None:
        found = load(variables, **VISITS, holders=100)
        assert found.wallets == list(range(40))

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"rate": "0/s"}, "stampede_rate is '0/s'; it must be a rate of more than 0"),
            ({"rate": "many"}, "stampede_rate is 'many'; it must be a rate of more than 0"),
            ({"duration": 0}, "stampede_duration is 0, but a rate has no end of its own"),
            (
                {"ramp_up": "200s"},
                "stampede_ramp_up is 200 s, but stampede_duration is 100 s, so that the rate would not be reached; "
                "stampede_ramp_up must be at most 100 s",
            ),
            (
                {"rate": "1/h", "arrivals": "poisson"},
                "stampede_rate comes to 0.0278 in all, and by chance (stampede_arrivals poisson, stampede_seed 42) "
                "to none; it must come to more",
            ),
            (
                {"stages": [{"rate": "x", "for": "5m"}], "duration": 0},
                "stampede_stages[0] has rate: 'x', which is no",
            ),
        ],
    )
    def test_what_is_wrong_has_one_sentence(self, variables: dict[str, Any], changes: Any, said: str) -> None:
        wrong = {f"stampede_{name}": value for name, value in (VISITS | changes).items()}
        (sentence,) = check_variables(variables | wrong)
        assert sentence.startswith(said)


class Removed:
    """Wallets that are counted."""

    def __init__(self) -> None:
        from controller.run.simulated import SimulatedWallets

        self._made = SimulatedWallets(1)
        self.removed: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    async def remove(self, number: int) -> None:
        assert number not in self.removed
        self.removed.add(number)


class Slow(SimulatedWallets):
    """Wallets that take two seconds each."""

    def __init__(self, begun: Sequence[int]) -> None:
        super().__init__(1)
        self.here: set[int] = set(begun)
        self.made: Counter[int] = Counter(begun)

    def get(self, number: int) -> SimulatedWallet:
        if number not in self.here:
            raise KeyError(number)
        return super().get(number)

    async def make(self, number: int) -> None:
        await asyncio.sleep(2)
        self.made[number] += 1
        self.here.add(number)

    async def remove(self, number: int) -> None:
        self.here.discard(number)


ROUNDS = {"load_model": "rounds", "rate": "2/s", "duration": "110s", "ramp_up": 10, "drain": 0}


async def round_of_five_seconds(holder: Holder) -> None:
    async for _ in holder.until_end_of_run():
        await holder.wait(4.9)


class TestRounds:
    """Rounds at a rate."""

    def test_rounds_begin_when_they_are_due(self, play: Callable[..., Run]) -> None:
        begun = []

        async def script(holder: Holder) -> None:
            async for _ in holder.until_end_of_run():
                begun.append((holder.context.clock.now(), holder.due))
                await holder.wait(5)

        run = play(script, **ROUNDS, holders=20)
        assert [moment for moment, _ in begun] == pytest.approx([10 + number / 2 for number in range(200)])
        assert all(due == moment for moment, due in begun) and run.rounds_dropped == 0
        assert run.round_times.value == pytest.approx(4.8875), "the last ones are cut off"

    def test_a_round_for_which_nobody_is_free_is_dropped(self, play: Callable[..., Run]) -> None:
        begun = []

        async def script(holder: Holder) -> None:
            async for _ in holder.until_end_of_run():
                begun.append(holder.number)
                await holder.wait(4.9)

        run = play(script, **ROUNDS, holders=5)
        assert len(begun) + run.rounds_dropped == 200 and len(begun) == run.rounds == 100
        assert Counter(begun) == Counter(dict.fromkeys(range(5), 20)), "who has waited longest is next"


@pytest.mark.parametrize(
    ("script", "changes", "why"),
    [
        (
            visit,
            VISITS | {"holders": 10},
            "\n100 arrivals would be dropped: as many holders would be there as stampede_",
        ),
        (visit, ROUNDS, "\n200 rounds would be dropped: no holder would come to until_end_of_run()."),
        (round_of_five_seconds, ROUNDS | {"holders": 5}, "\n100 rounds would be dropped: no holder would be free."),
    ],
)
def test_the_forecast_says_why_what_is_dropped(
    variables: dict[str, Any], script: Script, changes: dict[str, Any], why: str
) -> None:
    of_run = {f"stampede_{name}": value for name, value in changes.items()}
    assert why in dry_run(script, Settings.from_variables(variables | of_run)).text()


def test_flat_out_has_no_think_times(play: Callable[..., Run]) -> None:
    waits = []

    async def script(holder: Holder) -> None:
        before = holder.context.clock.now()
        await holder.wait(10, 60)
        waits.append(holder.context.clock.now() - before)

    play(script, load_model="flat_out")
    assert waits == [0, 0, 0, 0]


def test_a_closed_load_without_stages_is_as_before(variables: dict[str, Any]) -> None:
    found = load(variables)
    assert isinstance(found, Closed) and [stay.begin for stay in found.stays()] == [0, 0.5, 1, 1.5]
    assert Deal().settings() == {"place": 0, "weights": [1.0]}


@pytest.mark.parametrize(("span", "most"), [(10, 50), (30, 125 - 25 / 3), (1000, 125)])
def test_the_most_that_comes_together_in_a_stretch_of_time(span: float, most: float) -> None:
    profile = Profile((Piece(10, 0, 5), Piece(10, 5, 5), Piece(20, 5, 0)))
    assert profile.most_within(span) == pytest.approx(most, rel=1e-4)


async def short_or_long(holder: Holder) -> None:
    await holder.wait(1, 12)


async def rounds_short_or_long(holder: Holder) -> None:
    async for _ in holder.until_end_of_run():
        await holder.wait(1, 12)


STAGES = [{"rate": "1/s", "for": "30s"}, {"rate": "4/s", "over": "20s"}, {"rate": "0.5/s", "for": "50s"}]


class TestRoom:
    """Fewer holders than the rate needs are told before the run, with the number."""

    @pytest.mark.parametrize("hosts", [1, 3, 7])
    @pytest.mark.parametrize(
        ("script", "changes"),
        [
            (short_or_long, VISITS),
            (short_or_long, VISITS | {"arrivals": "poisson"}),
            (short_or_long, VISITS | {"arrivals": "poisson", "stages": STAGES}),
            (rounds_short_or_long, ROUNDS),
            (rounds_short_or_long, ROUNDS | {"arrivals": "poisson"}),
        ],
    )
    def test_with_as_many_as_are_needed_nothing_is_dropped(
        self, variables: dict[str, Any], script: Script, changes: dict[str, Any], hosts: int
    ) -> None:
        of_run = variables | {f"stampede_{name}": value for name, value in changes.items()}
        found = Settings.from_variables(of_run | {"stampede_holders": 2})
        sample = dry_run(script, dataclasses.replace(found, load=found.load.for_room(50)))
        stays = sample.rounds_took if found.load.rounds_are_due else sample.visits
        needed = holders_needed(found.load.due, stays, hosts, found.seed)
        of_run["stampede_holders"] = needed
        shares = Settings.from_variables(of_run).load.shares(dict.fromkeys("abcdefg"[:hosts], 1.0))
        runs = [dry_run(script, Settings.from_variables(of_run | share)) for share in shares.values()]
        assert [run.dropped for run in runs] == [0] * hosts
        assert needed <= 40 + 2 * hosts, "not many more than that"

    @pytest.mark.parametrize(("hosts", "needed"), [(1, 20), (3, 21), (7, 21)])
    def test_each_host_has_room_for_its_share(self, variables: dict[str, Any], hosts: int, needed: int) -> None:
        assert holders_needed(load(variables, **VISITS).due, [9.9], hosts, 1) == needed

    def test_the_most_that_are_there_count_and_not_the_mean(self, variables: dict[str, Any]) -> None:
        poisson = load(variables, **VISITS | {"arrivals": "poisson"})
        assert holders_needed(poisson.due, [9.9], 1, 1) > 25

    @pytest.mark.parametrize("arrivals", ["constant", "poisson"])
    @pytest.mark.parametrize("rate", ["100/s", "10000/s"])
    def test_of_a_large_load_the_busiest_part_is_looked_at(
        self, variables: dict[str, Any], arrivals: str, rate: str
    ) -> None:
        stages = [{"rate": "1/s", "for": "1h"}, {"rate": rate, "for": "900s"}, {"rate": "1/s", "for": "10h"}]
        found = load(variables, **VISITS | {"stages": stages, "arrivals": arrivals})
        little = 10 * float(rate.removesuffix("/s"))
        assert little <= holders_needed(found.due, [9.9, 10.1], 1, 1) <= little + 6 * math.sqrt(little)

    def test_so_many_wanted_holders_are_told(self, variables: dict[str, Any]) -> None:
        visits = load(variables, **VISITS, holders=19)
        assert not visits.too_few_holders(19, 10, 1)
        assert visits.too_few_holders(21, 10, 3) == (
            "stampede_holders is 19, but holders who stay for about 10 s arrive at up to 2/s, so that up to 21 must "
            "have room at a time, shared out over 3 hosts; it must be at least 21, or arrivals are dropped"
        )
        rounds = load(variables, **ROUNDS, holders=19)
        assert not rounds.too_few_holders(19, 10, 1)
        assert rounds.too_few_holders(20, 10, 1) == (
            "stampede_holders is 19, but rounds of about 10 s each begin at up to 2/s, so that up to 20 are under "
            "way at a time; it must be at least 20, or rounds are dropped"
        )


@pytest.mark.parametrize("model", ["open", "rounds", "closed", "flat_out"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_stages_of_any_values_are_read_or_refused_in_a_sentence(
    variables: dict[str, Any], model: str, data: st.DataObject
) -> None:
    key = "rate" if model in ("open", "rounds") else "holders"
    words = st.sampled_from(["5/s", "1e9/s", "x", None, "1/h", "nan"])
    levels = st.one_of(st.integers(-2, 10**12), st.floats(), words)
    times = st.one_of(st.integers(-2, 10**9), st.floats(), st.sampled_from(["2m", "1d", "", None, "1h"]))
    stage = st.dictionaries(st.sampled_from([key, "over", "for", "name"]), st.one_of(levels, times), max_size=3)
    stages = data.draw(st.lists(stage, max_size=3))
    chosen = {"stampede_load_model": model, "stampede_stages": stages, "stampede_duration": "10m"}
    for sentence in check_variables(variables | chosen):
        assert sentence.split("[")[0].split()[0] in ("stampede_stages", "stampede_rate"), sentence


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": "1e6/s"}, "stampede_rate comes to 100,000,000 in all; it must come to at most 10,000,000"),
        (
            {"stages": [{"rate": "5000/s", "for": "1h"}]},
            "stampede_stages comes to 18,000,000 in all; it must come to at most 10,000,000",
        ),
        (
            {"rate": "1e200/s"},
            "stampede_rate is '1e200/s'; it must be a rate of more than 0, such as 5/s, 300/min or 1000/h, and at "
            "most 10,000,000/s",
        ),
        (
            {"stages": [{"rate": "1e300/s", "for": "1e-300"}]},
            "stampede_stages[0] has rate: '1e300/s', which is more than 10,000,000/s; each stage must be such as "
            "{rate: 5, over: 2m} to get there evenly, or {rate: 5, for: 10m} to be there at once and stay",
        ),
    ],
)
def test_more_than_can_be_counted(variables: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    chosen = {f"stampede_{name}": value for name, value in (VISITS | changes).items()}
    assert check_variables(variables | chosen) == [said]
