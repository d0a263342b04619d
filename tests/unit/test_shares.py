"""Holders are shared out exactly, without overlap, and by weight."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.load_models.shares import Share, shares
from stampede.schema.errors import BadInput


@given(
    st.lists(st.floats(min_value=0.5, max_value=64), min_size=1, max_size=50),
    st.integers(min_value=10_000, max_value=1_000_000),
)
def test_the_sum_is_exact_and_each_share_is_within_one_of_its_weight(weights: list[float], holders: int) -> None:
    result = shares(holders, {f"h{number}": weight for number, weight in enumerate(weights)})
    assert sum(share.holders for share in result.values()) == holders
    next_one = 0
    for share, weight in zip(result.values(), weights, strict=True):
        assert share.first == next_one
        next_one += share.holders
        assert abs(share.holders - holders * weight / sum(weights)) < 1 + 1e-6


def test_equal_hosts_get_equal_shares() -> None:
    assert shares(9, dict.fromkeys("abc", 2)) == {"a": Share(0, 3), "b": Share(3, 3), "c": Share(6, 3)}


def test_a_host_without_a_holder_is_named() -> None:
    with pytest.raises(BadInput, match="stampede_holders is 2, of which c would get none"):
        shares(2, dict.fromkeys("abc", 1))


def test_a_weight_that_is_none_is_named() -> None:
    with pytest.raises(BadInput, match="stampede_weight of b is -1"):
        shares(2, {"a": 1, "b": -1})
