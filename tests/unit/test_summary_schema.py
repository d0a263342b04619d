"""summary.json as typed dataclasses: nothing is lost on the way to JSON and back, and older files can be read."""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from stampede.analysis.collected_run import read_run
from stampede.schema.json_form import from_json, to_json
from stampede.schema.summary import RunOutcome, Summary


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    count: int
    share: float | None
    colour: Colour


@dataclass(frozen=True)
class Whole:
    parts: dict[str, Part]
    names: list[str]
    anything: Any
    later: int = 7
    more: list[Part] = field(default_factory=list)


part = st.builds(Part, st.integers(), st.none() | st.floats(allow_nan=False), st.sampled_from(Colour))


@given(st.builds(Whole, st.dictionaries(st.text(), part), st.lists(st.text()), st.none() | st.text(), st.integers()))
def test_dataclasses_survive_the_way_to_json_and_back(whole):
    assert from_json(Whole, json.loads(json.dumps(to_json(whole)))) == whole


def test_a_key_with_a_default_may_be_missing_and_an_unknown_one_is_ignored():
    found = from_json(Whole, {"parts": {}, "names": [], "anything": 1, "of_tomorrow": 3})
    assert found == Whole({}, [], 1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"names": [], "anything": 1}, "parts is missing"),
        ({"parts": {"a": {"share": 1.0, "colour": "red"}}, "names": [], "anything": 1}, "parts.a.count is missing"),
        ({"parts": {}, "names": ["a", 1], "anything": 1}, r"names\[1\] is 1; it must be of type str"),
        ({"parts": {}, "names": [], "anything": 1, "later": True}, "later is True; it must be of type int"),
        (
            {"parts": {"a": {"count": 1, "share": 1, "colour": "grey"}}, "names": [], "anything": 1},
            "one of red, blue",
        ),
        ([], r"the document is \[\]; it must be of type dict"),
    ],
)
def test_what_is_wrong_with_a_document_is_named(value, message):
    with pytest.raises(ValueError, match=message):
        from_json(Whole, value)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return samples.write_fleet(tmp_path_factory.mktemp("fleet") / samples.RUN)


def test_a_summary_survives_the_way_to_its_file_and_back(results):
    summary = read_run(results).summary
    assert summary.run.outcome is RunOutcome.BROKEN_OFF
    assert Summary.from_json(summary.to_json()) == summary


def test_summaries_have_a_version_and_those_without_one_can_be_read(results):
    text = read_run(results).summary.to_json()
    written = json.loads(text)
    assert written.pop("version") == 1
    assert Summary.from_json(json.dumps(written)) == Summary.from_json(text)


def test_text_that_is_no_summary_is_refused():
    for text in ("{", "[]", "{}"):
        with pytest.raises(ValueError):
            Summary.from_json(text)
