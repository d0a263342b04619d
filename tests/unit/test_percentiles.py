"""Percentiles of the report: exact, by linear interpolation, for all values together and for buckets of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.analysis.percentiles import percentile, percentiles, percentiles_by_bucket, summarize_times

times = st.lists(st.floats(0, 1e6), min_size=1, max_size=40)


def interpolated(values: list[float], rank: float) -> float:
    """A percentile as it is defined, worked out without numpy."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * rank / 100
    below = ordered[int(place)]
    above = ordered[min(int(place) + 1, len(ordered) - 1)]
    return below + (above - below) * (place - int(place))


@given(times, st.floats(0, 100))
def test_a_percentile_lies_between_the_two_nearest_records(values, rank):
    assert percentile(np.array(values), rank) == pytest.approx(interpolated(values, rank), rel=1e-9, abs=1e-9)


@given(times)
def test_the_figures_of_times(values):
    found = summarize_times(np.array(values))
    expected = [interpolated(values, rank) for rank in (50, 90, 95, 99, 100)]
    assert [found.p50, found.p90, found.p95, found.p99, found.max] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert found.figure("p95") == found.p95


def test_there_are_no_figures_without_times():
    assert {summarize_times(np.zeros(0)).figure(name) for name in ("mean", "p50", "p90", "p95", "p99", "max")} == {
        None
    }


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1e6)), min_size=1, max_size=60))
def test_the_percentiles_of_buckets_are_those_of_their_values(records):
    bucket, values = np.array([number for number, _ in records]), np.array([time for _, time in records])
    found = percentiles_by_bucket(bucket, values, 5, (50, 95, 100))
    for number in range(5):
        inside = values[bucket == number]
        expected = percentiles(inside, (50, 95, 100)) if inside.size else [np.nan] * 3
        assert [series[number] for series in found] == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)
