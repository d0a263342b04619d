"""state.json, run.json, host.json and push.json: written, read again, read from other versions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.schema.json_form import from_json, to_json
from stampede.schema.phases import Phase
from stampede.schema.push_progress import PushProgress
from stampede.schema.run_record import ClockOffset, HostRecord, RunRecord
from stampede.schema.state import HolderState, HostState, TallyState

plain = st.dictionaries(
    st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_size=3
)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
documents = st.one_of(
    st.from_type(HostState),
    st.from_type(PushProgress),
    st.builds(RunRecord, settings=plain),
    st.builds(HostRecord, settings=plain),
)
NAMES = [name for kind in (HostState, RunRecord, HostRecord, PushProgress) for name in kind.__dataclass_fields__]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(documents)
def test_a_document_comes_back_from_its_json(document: Any) -> None:
    text = json.dumps(to_json(document), allow_nan=False)
    assert from_json(type(document), json.loads(text)) == document


@given(st.dictionaries(st.sampled_from(NAMES), json_values))
def test_any_object_is_read_with_problems_noted(value: dict[str, Any]) -> None:
    for kind in (HostState, RunRecord, HostRecord, PushProgress):
        problems: list[str] = []
        document = from_json(kind, value, problems=problems)
        assert from_json(kind, json.loads(json.dumps(to_json(document)))) == document
        if problems:
            with pytest.raises(ValueError) as error:
                from_json(kind, value)
            assert str(error.value) == problems[0]


def test_of_an_earlier_version() -> None:
    state = from_json(HostState, {"phase": "done", "pid": 7, "holders": {"total": 3}, "lag": [1]})
    assert state == HostState(phase=Phase.DONE, pid=7, holders=HolderState(total=3), version=1)


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        (HostState, [], "the document is []; it must be of type dict"),
        (HostState, {"phase": "asleep"}, "phase is 'asleep'; it must be one of starting, arming, armed, running, "),
        (HostState, {"holders": {"total": 1.5}}, "holders.total is 1.5; it must be of type int"),
        (HostState, {"holders": 7}, "holders is 7; it must be of type dict"),
        (HostState, {"time": True}, "time is True; it must be of type float"),
        (HostState, {"message": 7}, "message is 7; it must be of type str"),
        (HostState, {"agents": [{"up": "yes"}]}, "agents[0].up is 'yes'; it must be of type bool"),
        (HostState, {"thresholds": [{"text": "errors < 1"}]}, "thresholds[0].ok is missing"),
        (RunRecord, {"clocks": {"h1": {"offset": "?"}}}, "clocks.h1.offset is '?'; it must be of type float"),
        (RunRecord, {"hosts": "h1"}, "hosts is 'h1'; it must be of type list"),
    ],
)
def test_what_does_not_fit_is_named(kind: type[Any], value: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        from_json(kind, value)
    assert str(error.value).startswith(sentence)


def test_an_entry_that_does_not_fit_is_left_out_and_noted() -> None:
    problems: list[str] = []
    tally = {"text": "max < 2 s", "ok": 1, "failed": 0, "total": 1.0, "most": 1.0, "buckets": [[-3, 1]], "elapsed": 5}
    state = from_json(HostState, {"thresholds": [7, tally, tally | {"buckets": [[1]]}]}, problems=problems)
    assert state.thresholds == (TallyState("max < 2 s", 1, 0, 1.0, 1.0, ((-3, 1),), elapsed=5.0),)
    assert (
        problems
        == [
            "thresholds[0] is 7; it must be of type dict",
            "thresholds[2].buckets[0] is [1]; it must have 2 items",
            "thresholds[2].buckets is missing",
        ]
        or len(problems) == 2
    )
    run = from_json(RunRecord, {"clocks": {"h1": 7, "h2": {"offset": 1, "uncertainty": 2}}}, problems=problems)
    assert run.clocks == {"h2": ClockOffset(1.0, 2.0)}
