"""Line protocol: what is encoded is decoded again, by the project's own decoder and by another's."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from line_protocol_parser import parse_line

from stampede.schema import line_protocol, records
from stampede.schema.records import (
    RECORDS,
    AgentRecord,
    EventKind,
    EventRecord,
    LoadRecord,
    Outcome,
    Record,
    StepRecord,
    layout,
)

LARGEST = 2**63 - 1

texts = st.text(st.characters(codec="utf-8"), max_size=30)
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_.-]{0,9}", fullmatch=True)
integers = st.integers(-LARGEST, LARGEST)
floats = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
timestamps = st.integers(1, 9 * 10**18 - 1)


def steps() -> st.SearchStrategy[StepRecord]:
    seconds = st.floats(0, 1e8)
    counts = st.integers(0, 10**8)
    return st.builds(
        StepRecord,
        step=texts,
        outcome=st.sampled_from(Outcome),
        holder=counts,
        iteration=counts,
        attempt=counts,
        service=texts,
        service_time=seconds,
        response_time=seconds,
        error=st.none() | texts,
        detail=st.none() | texts,
    )


any_record: st.SearchStrategy[Record] = st.one_of(
    steps(), st.builds(LoadRecord), st.builds(AgentRecord), st.builds(EventRecord)
)
run_tags = st.fixed_dictionaries(dict.fromkeys(records.RUN_TAGS, texts))


def tag_as_read(value: str) -> str:
    """What is left of a tag: line breaks become spaces, and no backslash may be the last character."""
    return " ".join(value.splitlines()).rstrip("\\")


def field_as_read(value: Any) -> Any:
    """Floats have nine digits, line breaks become spaces."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    return " ".join(value.splitlines()) if isinstance(value, str) else value


def as_read(tags: dict[str, str]) -> dict[str, str]:
    kept = {tag_as_read(key): tag_as_read(value) for key, value in tags.items()}
    return {key: value for key, value in kept.items() if key and value}


@given(run_tags, any_record, timestamps)
@example(
    {"run": "r", "host": "a\\, b", "scenario": "x\\"},
    EventRecord(EventKind.PHASE, 'a "b"\n\\', math.inf),
    1_795_370_592_000_000_001,
)
def test_a_record_comes_back_from_its_line(tags: dict[str, str], record: Record, timestamp: int) -> None:
    tags = tags | records.tags(record)
    fields = records.field_values(record)
    line = line_protocol.encode(line_protocol.encode_series(record.measurement, tags), fields, timestamp)
    assert line.endswith("\n") and line.count("\n") == 1
    point = line_protocol.decode(line)
    finite = {name: value for name, value in fields.items() if not isinstance(value, float) or math.isfinite(value)}
    assert point.measurement == record.measurement and point.timestamp == timestamp
    assert point.tags == as_read(tags)
    assert point.fields == {name: field_as_read(value) for name, value in finite.items()}
    assert [type(value) for value in point.fields.values()] == [type(value) for value in finite.values()]


without_nul = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(
    st.dictionaries(names, without_nul, max_size=4),
    st.dictionaries(names, st.one_of(st.booleans(), integers, floats, without_nul), min_size=1, max_size=4),
    timestamps,
)
@example({"t": "a\\b"}, {"f": 'x\\y"z, w'}, 5)
@example({"t": "\\ a\\,="}, {"f": "\\"}, 5)
def test_an_independent_parser_reads_the_same(tags: dict[str, str], fields: dict[str, Any], timestamp: int) -> None:
    line = line_protocol.encode(line_protocol.encode_series("measured", tags), fields, timestamp).rstrip("\n")
    point = line_protocol.decode(line)
    theirs = parse_line(line)
    assert theirs == {
        "measurement": point.measurement,
        "tags": point.tags,
        "fields": point.fields,
        "time": point.timestamp,
    }


@given(texts)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        point = line_protocol.decode(text)
    except ValueError:
        return
    series = line_protocol.encode_series(point.measurement, point.tags)
    assert line_protocol.decode_series(series)[1] == as_read(point.tags)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "step",
        "step 5",
        "step,run=r 5",
        "step,run=r a=1",
        "step,run=r a=1 x",
        "step,run=r a=1 5 6",
        "step,run=r a= 5",
        "step,run= a=1 5",
        "step,run a=1 5",
        'step,run=r a="1 5',
        "step,run=r a=1,b=many 5",
        "step,run=r a=1.2.3 5",
        "step,run=r a=1 9999999999999999999",
        "step,run=r a=1 -5",
    ],
)
def test_what_is_not_line_protocol_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        line_protocol.decode(line)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            StepRecord("ping", Outcome.OK, 7, 2, 1, "issuer", 0.25, 1.5),
            "step,run=r,host=h,scenario=s,step=ping,outcome=ok "
            'holder=7i,iteration=2i,attempt=1i,service="issuer",service_time=0.25,response_time=1.5 9\n',
        ),
        (
            StepRecord("ping", Outcome.FAILED, 7, 2, 1, "", 0.25, 1.5, "timeout", 'no "pong"'),
            "step,run=r,host=h,scenario=s,step=ping,outcome=failed "
            'holder=7i,iteration=2i,attempt=1i,service="",service_time=0.25,response_time=1.5,'
            'error="timeout",detail="no \\"pong\\"" 9\n',
        ),
        (
            LoadRecord(3, 4, 1, 2, 0, 0.001, 0.002, 0.003, 0.004, 0.5, 150_000_000, 1.25, 4, 0.61),
            "load,run=r,host=h,scenario=s active=3i,ready=4i,in_flight=1i,arrivals=2i,finished=0i,lag_p50=0.001,"
            "lag_p99=0.002,lag_max=0.003,loop_lag_max=0.004,cpu=0.5,rss=150000000i,host_cpu=1.25,host_cores=4i,"
            "host_memory_used=0.61 9\n",
        ),
        (
            AgentRecord("agent-0", 0.75, 300_000_000, 1, True),
            "agent,run=r,host=h,scenario=s,agent=agent-0 cpu=0.75,rss=300000000i,restarts=1i,up=true 9\n",
        ),
        (
            EventRecord(EventKind.PHASE, "running"),
            'event,run=r,host=h,scenario=s,kind=phase text="running",value=0 9\n',
        ),
        (  # a number of the type that all events have: InfluxDB takes no other
            EventRecord(EventKind.LEVEL, "4 holders", 4),
            'event,run=r,host=h,scenario=s,kind=level text="4 holders",value=4 9\n',
        ),
    ],
)
def test_records_are_written_as_in_earlier_versions(record: Record, line: str) -> None:
    series = line_protocol.encode_series(
        record.measurement, {"run": "r", "host": "h", "scenario": "s"} | records.tags(record)
    )
    assert line_protocol.encode(series, records.field_values(record), 9) == line


def test_every_record_has_a_layout_of_types_that_can_be_written() -> None:
    measurements = [layout(record).measurement for record in RECORDS]
    assert len(set(measurements)) == len(measurements)
    for record in RECORDS:
        assert set(layout(record).fields.values()) <= {bool, int, float, str}
        assert not set(layout(record).tags) & set(records.RUN_TAGS)
