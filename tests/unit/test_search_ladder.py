"""Which loads a search tries, and what the law of their throughput says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.analysis import scalability
from stampede.analysis.scalability import Measured
from stampede.analysis.verdict.search_sentences import fit_sentence
from stampede.load_models import ladder
from stampede.load_models.ladder import MOST_LEVELS, Ladder, Level, Tried
from stampede.schema.summary import LevelSummary, SearchSummary


def searched(rungs: Ladder, limit: int, noise: set[int] | None = None) -> list[Tried]:
    """The levels that are tried where all up to ``limit`` hold; ``noise``: places in which one breaks anyway."""
    tried: list[Tried] = []
    while level := rungs.next(tried):
        held = level.holders <= limit and len(tried) not in (noise or ())
        tried.append(Tried(level.holders, held, level.confirms))
    return tried


def test_it_doubles_narrows_down_and_confirms() -> None:
    tried = searched(Ladder(5, 1000, 0.1), 66)
    assert [each.holders for each in tried] == [5, 10, 20, 40, 80, 57, 68, 62, 62]
    assert [each.confirms for each in tried] == [False] * 8 + [True]
    assert ladder.found(tried) == 62 and ladder.lowest_broken(tried) == 68


def test_a_result_that_is_not_confirmed_is_looked_for_anew() -> None:
    tried = searched(Ladder(5, 1000, 0.1), 66, noise={8})
    assert [each.holders for each in tried][8:] == [62, 57]
    assert ladder.found(tried) == 57


@given(st.integers(1, 300), st.integers(1, 2000), st.integers(0, 3000), st.floats(0.01, 1))
def test_it_finds_the_limit_within_what_was_asked_for(begin: int, most: int, limit: int, within: float) -> None:
    begin = min(begin, most)
    tried = searched(Ladder(begin, most, within), limit)
    assert len(tried) < MOST_LEVELS and all(1 <= each.holders <= most for each in tried)
    best = ladder.found(tried)
    if limit == 0:
        assert best is None and tried[-1].holders == 1
    else:
        assert best is not None and best <= limit
        assert min(limit, most) - best <= max(1, best * within)


@given(st.integers(1, 50), st.lists(st.sampled_from([True, False, None]), max_size=60))
def test_it_ends_whatever_happens(begin: int, outcomes: list[bool | None]) -> None:
    rungs, tried = Ladder(begin, 200, 0.1), []
    for held in [*outcomes, *[False] * MOST_LEVELS]:
        level = rungs.next(tried)
        if level is None:
            break
        tried.append(Tried(level.holders, held, level.confirms))
    assert rungs.next(tried) is None


def test_what_is_not_judged_is_no_evidence() -> None:
    rungs = Ladder(5, 10, 0.1)
    tried = [Tried(5, None), Tried(10, None)]
    assert rungs.next(tried) == Level(10, confirms=True)
    assert ladder.found([*tried, Tried(10, None, confirms=True)]) is None


def test_it_does_not_double_on_a_level_that_fell_silent() -> None:
    rungs = Ladder(5, 100, 0.1)
    tried = [Tried(5, True), Tried(10, None)]
    assert rungs.next(tried) == Level(10, confirms=True)
    assert rungs.next([*tried, Tried(10, True, confirms=True)]) == Level(20)
    assert rungs.next([*tried, Tried(10, False, confirms=True)]) == Level(7)
    assert rungs.next([*tried, Tried(10, None, confirms=True)]) == Level(7), "below what cannot be judged"
    assert rungs.next([Tried(5, None), Tried(10, None)]) == Level(20), "there may be too few holders yet"


def judged_up_to(limit: int, known: int) -> list[Tried]:
    """A search of a service that holds up to ``limit``, of which nothing is known above ``known``."""
    rungs, tried = Ladder(5, 1000, 0.1), list[Tried]()
    while level := rungs.next(tried):
        held = None if level.holders > known else level.holders <= limit
        tried.append(Tried(level.holders, held, level.confirms))
    return tried


@pytest.mark.parametrize("known", [5, 13, 60, 500])
def test_below_a_level_of_which_nothing_is_known_it_goes_on(known: int) -> None:
    tried = judged_up_to(1000, known)
    best, above = ladder.found(tried), ladder.ceiling(tried)
    assert best is not None and above is not None and best <= known < above <= max(best * 1.1, best + 1)
    assert ladder.lowest_broken(tried) is None and len(tried) < 20


def test_where_nothing_can_be_judged_it_does_not_go_on() -> None:
    tried = judged_up_to(1000, 0)
    assert tried[-1] == Tried(1000, None, confirms=True) and sum(each.confirms for each in tried) == 1


def test_a_result_whose_longer_try_cannot_be_judged_is_looked_for_below() -> None:
    rungs, tried = Ladder(5, 100, 0.1), [Tried(5, True), Tried(10, True), Tried(20, True), Tried(40, False)]
    while (level := rungs.next(tried)) and not level.confirms:
        tried.append(Tried(level.holders, level.holders < 30))
    assert level == Level(28, confirms=True)
    tried.append(Tried(28, None, confirms=True))
    assert rungs.next(tried) == Level(24)


def law(holders: float, alone: float, contention: float, coherency: float) -> float:
    return alone * holders / (1 + contention * (holders - 1) + coherency * holders * (holders - 1))


def steady(holders: int, rate: float, seconds: int = 60) -> Measured:
    return Measured(holders, np.full(seconds, rate))


LOADS = (1, 2, 5, 10, 20, 40, 80)


@pytest.mark.parametrize(("contention", "coherency"), [(0.05, 0.0005), (0.1, 0.0), (0.0, 0.0), (0.0, 0.001)])
def test_the_law_is_found_in_its_own_figures(contention: float, coherency: float) -> None:
    found = scalability.fit([steady(holders, law(holders, 3.0, contention, coherency)) for holders in LOADS])
    assert found is not None
    assert found.alone == pytest.approx(3.0)
    assert (found.contention, found.coherency) == pytest.approx((contention, coherency), abs=1e-9)
    assert scalability.throughput(found, 30) == pytest.approx(law(30, 3.0, contention, coherency))


def test_the_peak_is_where_it_is() -> None:
    found = scalability.fit([steady(holders, law(holders, 3.0, 0.05, 0.0005)) for holders in LOADS])
    assert found is not None and found.peak_holders is not None and found.peak_per_second is not None
    peak = max(range(1, 200), key=lambda holders: law(holders, 3.0, 0.05, 0.0005))
    assert found.peak_holders == pytest.approx(peak, abs=1)
    assert found.peak_per_second == pytest.approx(law(peak, 3.0, 0.05, 0.0005), rel=1e-3)
    assert found.knee == pytest.approx(found.peak_per_second / 3.0)


def test_throughput_without_end_has_no_knee() -> None:
    found = scalability.fit([steady(holders, 3.0 * holders) for holders in LOADS])
    assert found is not None and found.knee is None and found.peak_per_second is None


def test_the_intervals_hold_the_truth_in_most_cases() -> None:
    chance, within = np.random.default_rng(5), 0
    for _ in range(20):
        rates = [law(holders, 3.0, 0.06, 0.0004) for holders in LOADS]
        loads = [Measured(n, chance.poisson(rate, 120).astype(float)) for n, rate in zip(LOADS, rates, strict=True)]
        found = scalability.fit(loads)
        assert found is not None
        between = found.peak_per_second_between
        assert between is not None and not found.no_intervals
        truth = law(((1 - 0.06) / 0.0004) ** 0.5, 3.0, 0.06, 0.0004)
        within += (between.low or 0) <= truth <= (between.high or np.inf)
    assert within >= 15


def test_levels_of_few_seconds_have_no_intervals() -> None:
    chance = np.random.default_rng(1)
    loads = [Measured(n, chance.poisson(law(n, 3.0, 0.05, 0.001), 39).astype(float)) for n in LOADS]
    found = scalability.fit(loads)
    assert found is not None and found.knee is not None and found.knee_between is None
    assert found.no_intervals == "a level was judged for 39 s; at least 40 s are needed"
    longer = scalability.fit([Measured(load.holders, np.append(load.per_second, 3.0)) for load in loads])
    assert longer is not None and longer.knee_between is not None and not longer.no_intervals


def test_levels_of_few_steps_have_no_intervals() -> None:
    seconds = np.array([1.0] + [0.0] * 39)
    found = scalability.fit([Measured(n, seconds) for n in range(2, 40)])
    assert found is not None and found.knee_between is None and found.no_intervals == "a level had too few steps"


@pytest.mark.parametrize("seconds", [12, 60])
def test_the_sentence_has_an_interval_or_says_why_not(seconds: int) -> None:
    fit = scalability.fit([steady(n, law(n, 3.0, 0.05, 0.0005), seconds) for n in LOADS])
    level = LevelSummary(LOADS[-1], False, 0.0, 12.0, 9, 0, 1.0, [], True, "")
    said = fit_sentence(SearchSummary([level], None, None, "", fit))
    assert ("95 % interval" in said) == (seconds == 60)
    assert said.endswith(" 12 s; at least 40 s are needed.") == (seconds == 12)


def test_too_little_for_a_law() -> None:
    assert scalability.fit([steady(holders, 3.0) for holders in (1, 2, 3)]) is None
    assert scalability.fit([steady(holders, 3.0 * (holders > 1)) for holders in (1, 2, 3, 4)]) is None
    assert scalability.fit([Measured(holders, np.zeros(0)) for holders in (1, 2, 3, 4)]) is None
