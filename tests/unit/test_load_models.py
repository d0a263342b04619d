"""Load models: their settings, their plan, and shares that are exact, without overlap, and by weight."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.load_models import catalog
from stampede.load_models.closed import Closed
from stampede.load_models.flat_out import FlatOut
from stampede.load_models.interface import Plan
from stampede.load_models.open import Open
from stampede.load_models.rounds import Rounds
from stampede.load_models.search import Search
from stampede.load_models.shares import Share, share_out
from stampede.schema.errors import BadInput
from stampede.schema.settings.run_settings import check_variables
from stampede.schema.settings.variable_reader import VariableReader


@given(
    st.lists(st.floats(min_value=0.5, max_value=64), min_size=1, max_size=50),
    st.integers(min_value=10_000, max_value=1_000_000),
)
def test_the_sum_is_exact_and_each_share_is_within_one_of_its_weight(weights: list[float], holders: int) -> None:
    result = share_out(holders, {f"h{number}": weight for number, weight in enumerate(weights)})
    assert sum(share.number for share in result.values()) == holders
    next_one = 0
    for share, weight in zip(result.values(), weights, strict=True):
        assert share.first == next_one
        next_one += share.number
        assert abs(share.number - holders * weight / sum(weights)) < 1 + 1e-6


def test_equal_hosts_get_equal_shares() -> None:
    assert share_out(9, dict.fromkeys("abc", 2)) == {"a": Share(0, 3), "b": Share(3, 3), "c": Share(6, 3)}


def test_a_host_without_a_holder_is_named() -> None:
    with pytest.raises(BadInput, match="stampede_holders is 2, of which c would get none"):
        share_out(2, dict.fromkeys("abc", 1))


def test_a_weight_that_is_none_is_named() -> None:
    with pytest.raises(BadInput, match="stampede_weight of b is -1"):
        share_out(2, {"a": 1, "b": -1})


def closed(**changes: float) -> Closed:
    usual = {"holders": 10, "first_holder": 0, "ramp_up": 10, "duration": 0, "iterations": 2}
    return Closed.read(VariableReader({f"stampede_{name}": value for name, value in (usual | changes).items()}))


class TestCatalog:
    def test_each_file_of_the_folder_is_a_model_by_its_name(self) -> None:
        assert catalog.load_models() == {
            "closed": Closed,
            "flat_out": FlatOut,
            "open": Open,
            "rounds": Rounds,
            "search": Search,
        }

    def test_an_unknown_one_is_refused_with_the_nearest(self, variables: dict[str, Any]) -> None:
        right = (
            "stampede_load_model is 'clsoed'; it must be one of closed, flat_out, open, rounds, search; did you mean "
        )
        assert f"{right}closed?" in check_variables(variables | {"stampede_load_model": "clsoed"})

    def test_the_plan_of_recorded_settings(self) -> None:
        of_the_control_node = {"stampede_ramp_up": "10s", "stampede_duration": "2m", "stampede_load_model": "closed"}
        assert catalog.recorded_plan(of_the_control_node) == Plan(10, 120)
        assert catalog.recorded_plan({"ramp_up": 10.0, "duration": 120.0}) == Plan(10, 120), "of a host of e908eab"
        assert catalog.recorded_plan({"load": {"ramp_up": 10.0, "duration": 120.0}}) == Plan(10, 120)
        assert catalog.recorded_plan({}) == Plan()
        with pytest.raises(ValueError, match="The ramp_up 'soon' of the settings was ignored"):
            catalog.recorded_plan({"stampede_ramp_up": "soon"})


class TestClosed:
    def test_it_describes_itself(self) -> None:
        assert closed().describe() == "Closed load model: 10 holders, started evenly over 10 s, for 2 iterations."
        assert (
            closed(holders=1, ramp_up=0, duration=90).describe()
            == "Closed load model: 1 holder, started at once, for 90 s."
        )

    @pytest.mark.parametrize("model", ["closed", "flat_out"])
    def test_a_ramp_up_is_no_longer_than_the_run(self, variables: dict[str, Any], model: str) -> None:
        of_run = variables | {"stampede_load_model": model, "stampede_duration": "30s", "stampede_ramp_up": "30s"}
        assert not check_variables(of_run)
        assert not check_variables(of_run | {"stampede_ramp_up": "60s", "stampede_duration": 0})
        staged = {"stampede_ramp_up": "60s", "stampede_stages": [{"holders": 5, "for": "20s"}]}
        assert not check_variables(of_run | staged), "stages are in place of both"
        assert check_variables(of_run | {"stampede_ramp_up": "60s"}) == [
            "stampede_ramp_up is 60 s, but stampede_duration is 30 s, so that some holders would never start; "
            "stampede_ramp_up must be at most 30 s"
        ]

    def test_shares_are_the_variables_that_differ(self) -> None:
        assert closed().shares({"a": 4, "b": 1}) == {
            "a": {"stampede_holders": 8, "stampede_first_holder": 0},
            "b": {"stampede_holders": 2, "stampede_first_holder": 8},
        }

    def test_wallets_and_rounds(self) -> None:
        assert closed(first_holder=8, holders=2).wallets == range(8, 10)
        assert [closed().another_round(rounds, 100) for rounds in (0, 1, 2)] == [True, True, False]
        assert closed(duration=5).another_round(1000, 1000)

    def test_a_smaller_one_to_try_a_script_with(self) -> None:
        large = closed(holders=500, iterations=9, duration=900)
        assert large.reduced(2) == closed(holders=2, iterations=9, duration=900)
        assert large.reduced(2, 2, 120) == closed(holders=2, iterations=2, duration=120, ramp_up=0)
