"""Think times: each distribution within what the script says, scaled, and repeatable."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from controller.holder.holder import Holder
from controller.load.think_time import SHARE_BETWEEN, ThinkTimes
from controller.run.run import Run
from stampede.schema.errors import BadInput
from stampede.schema.settings.run_settings import check_variables

DRAWS = 20_000


def drawn(times: ThinkTimes, least: float = 10, most: float | None = 60) -> list[float]:
    chance = random.Random(1)
    return [times.draw(chance, least, most) for _ in range(DRAWS)]


@pytest.mark.parametrize(
    ("distribution", "mean", "stdev"), [("uniform", 35, 14.4), ("constant", 35, 0), ("exponential", 35, 35)]
)
def test_mean_and_spread(distribution: str, mean: float, stdev: float) -> None:
    found = drawn(ThinkTimes(distribution))
    assert statistics.mean(found) == pytest.approx(mean, rel=0.03)
    assert statistics.pstdev(found) == pytest.approx(stdev, rel=0.03)


def test_nine_in_ten_of_lognormal_ones_are_between_the_two() -> None:
    found = drawn(ThinkTimes("lognormal"))
    assert sum(10 <= each <= 60 for each in found) / DRAWS == pytest.approx(SHARE_BETWEEN, abs=0.01)
    assert statistics.median(found) == pytest.approx((10 * 60) ** 0.5, rel=0.03)


def test_observed_ones_are_drawn_as_they_were() -> None:
    assert set(drawn(ThinkTimes("observed", observed=(3.0, 4.0, 400.0)))) == {3, 4, 400}


def test_all_are_multiplied() -> None:
    assert drawn(ThinkTimes(scale=0.5)) == [each / 2 for each in drawn(ThinkTimes())]
    assert ThinkTimes("exponential", 0.5).draw(random.Random(), 8) == 4, "what is exact stays so"
    assert set(drawn(ThinkTimes("observed", 0, (1.0,)))) == {0}


def test_lognormal_ones_cannot_begin_at_0(play: Callable[..., Run], variables: dict[str, Any]) -> None:
    async def script(holder: Holder) -> None:
        await holder.wait(0, 5)

    right = "stampede_think_times is lognormal, but the script has think times from 0 to 5 s; they must begin at more"
    run = play(script, think_times="lognormal")
    assert isinstance(run.bad_input, BadInput) and str(run.bad_input).startswith(right)


def test_observed_ones_must_be_given(variables: dict[str, Any]) -> None:
    (sentence,) = check_variables(variables | {"stampede_think_times": "observed"})
    assert sentence.startswith("stampede_observed_think_times is empty, but stampede_think_times is observed")
    given = {"stampede_think_times": "observed", "stampede_observed_think_times": ["1.5", 2]}
    assert check_variables(variables | given) == []


def test_a_scale_of_0_leaves_none(play: Callable[..., Run]) -> None:
    async def script(holder: Holder) -> None:
        for _ in range(100):
            await holder.wait(10, 60)

    run = play(script, think_time_scale=0, ramp_up=0)
    assert run.finished == 4 and run.clock.now() < 1


def test_a_holder_may_wait_in_several_tasks_at_once(play: Callable[..., Run]) -> None:
    moments = []

    async def script(holder: Holder) -> None:
        async def wait(seconds: float) -> None:
            await holder.wait(seconds)
            moments.append(holder.context.clock.now())

        await asyncio.gather(wait(3), wait(1), wait(2))

    run = play(script, holders=1, ramp_up=0)
    assert moments == [1, 2, 3] and run.finished == 1
