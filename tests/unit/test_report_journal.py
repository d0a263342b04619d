"""The report's journal reader: whole journals, torn ones, strange lines."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import report_samples as samples
from hypothesis import given
from hypothesis import strategies as st
from test_line_protocol import steps

from controller.metrics.journal import Journal as JournalWriter
from stampede.report.output import ReportError
from stampede.results import journal_reader
from stampede.results.journal_columns import OUTCOMES, JournalColumns
from stampede.schema import line_protocol, records
from stampede.schema.records import Outcome, StepRecord


def read(path: Path) -> JournalColumns:
    journal = JournalColumns()
    journal_reader.read(journal, path, "load-1")
    return journal


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "journal.lp"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def line(end: float = samples.START + 1, **more) -> str:
    return samples.step_line("load-1", "present_proof", end, 0.25, **more) + "\n"


def test_every_record_of_a_sample_journal_is_understood(tmp_path):
    samples.write_results(tmp_path, samples.Sample(hosts=("load-1",), holders=20, duration=60), packed=False)
    path = tmp_path / "load-1" / "journal.lp"
    journal = read(path)
    lines = path.read_text().splitlines()
    reading = journal.readings["load-1"]
    assert (reading.records, reading.not_understood, reading.torn) == (len(lines), 0, False)
    assert len(journal.steps) == sum(text.startswith("step,") for text in lines)
    assert len(journal.load.time) == sum(text.startswith("load,") for text in lines)
    assert len(journal.agent.time) == sum(text.startswith("agent,") for text in lines)
    assert len(journal.events) == sum(text.startswith("event,") for text in lines)


def test_a_packed_journal_reads_like_a_plain_one(tmp_path):
    path = written(tmp_path, line() * 3)
    packed = tmp_path / "journal.lp.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read(packed).steps == read(path).steps


@pytest.mark.parametrize("kept", [1, 40, 200, -4, -1])
def test_a_torn_last_line_is_passed_over_and_noted(tmp_path, kept):
    torn = line(samples.START + 2)[:kept]
    journal = read(written(tmp_path, line() + torn))
    reading = journal.readings["load-1"]
    assert len(journal.steps) == 1
    assert (reading.records, reading.torn, reading.not_understood) == (1, True, 0)


def test_a_packed_journal_cut_short_gives_what_came_before_the_cut(tmp_path):
    whole = gzip.compress("".join(line(samples.START + n * 1.37) for n in range(5000)).encode())
    journal = read(written(tmp_path, whole[: len(whole) // 2]))
    assert 0 < len(journal.steps) < 5000
    assert journal.readings["load-1"].torn


def test_lines_that_are_not_understood_are_counted_and_the_first_is_named(tmp_path):
    strange = [
        "hello\n",
        "\x00\xff\n",
        "other,run=R a=1 5\n",
        line().replace("service_time=0.25", "service_time=nan"),
        line().replace("service_time=0.25", "service_time=-1"),
        line().replace("service_time=0.25", "service_time=1.2.3"),
        line().replace("outcome=ok", "outcome=perhaps"),
        line()[:-5] + "x\n",
        line()[:-40] + line(),  # half a line, and the next one written right behind it
        f"{samples.tags('load', 'load-1')} active=many 5\n",
        f"{samples.tags('step', 'load-1', step='ping', outcome='ok')} holder=1i 5\n",
    ]
    journal = read(written(tmp_path, (line() + "".join(strange) + line() + "\n").encode("latin-1")))
    reading = journal.readings["load-1"]
    assert len(journal.steps) == 2
    assert (reading.not_understood, reading.first_not_understood) == (len(strange), 2)


def test_fields_may_come_in_any_order_and_unknown_ones_are_passed_over(tmp_path):
    head = samples.tags("step", "load-1", step="ping", outcome="failed")
    fields = 'detail="a \\"b\\" \\\\ c, d=e",response_time=3,new=true,error="timeout",service_time=2e-1,holder=7i'
    journal = read(written(tmp_path, f"{head} {fields} {samples.START}000000000\n"))
    assert list(journal.steps.service_time) == [0.2]
    assert list(journal.steps.response_time) == [3.0]
    first = journal.examples["timeout"].first
    assert (first.holder, first.step, first.detail) == (7, "ping", 'a "b" \\ c, d=e')


def test_escaped_tags_are_read(tmp_path):
    text = line().replace("step=present_proof", r"step=present\ a\,\=proof")
    journal = read(written(tmp_path, text))
    assert journal.step_names.list == ["present a,=proof"]


def test_a_failed_step_without_a_class_is_of_class_unknown(tmp_path):
    journal = read(written(tmp_path, line(outcome="failed")))
    assert journal.errors.list == ["unknown"]


def test_the_first_failure_of_a_class_is_the_earliest_not_the_first_read(tmp_path):
    later = line(samples.START + 9, outcome="failed", error="timeout", holder=9)
    earlier = line(samples.START + 3, outcome="failed", error="timeout", holder=3)
    assert read(written(tmp_path, later + earlier)).examples["timeout"].first.holder == 3


def test_a_steps_record_takes_few_bytes(tmp_path):
    journal = read(written(tmp_path, line()))
    columns = vars(journal.steps).values()
    assert sum(column.itemsize for column in columns) <= 57


def test_samples_lacking_a_field_have_no_number_there(tmp_path):
    journal = read(written(tmp_path, f"{samples.tags('load', 'load-1')} active=3i,cpu=0.5 5\n"))
    assert journal.load.column("active").tolist() == [3.0]
    assert np.isnan(journal.load.column("rss")).all()


def test_a_journal_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ReportError, match=r"journal .*missing\.lp cannot be read: No such file"):
        read(tmp_path / "missing.lp")


@given(steps(), st.integers(1, 9 * 10**18 - 1))
def test_the_fast_way_to_read_a_step_reads_what_the_decoder_reads(record, time):
    """The expression is derived from the record's layout: each step that the journal holds goes the fast way."""
    text = line_protocol.encode("step", records.field_values(record), time)
    match = journal_reader.step_expression(records.layout(StepRecord)).fullmatch(text[5:-1].encode())
    assert match
    fields, read_time = line_protocol.decode_fields(text[5:-1])
    for name, found in zip(records.layout(StepRecord).fields, match.groups()[:-1], strict=True):
        value = fields.get(name)
        if isinstance(value, str):
            assert line_protocol.unquote(found.decode()) == value
        else:
            assert (found is None and value is None) or float(found) == value
    assert int(match.groups()[-1]) == read_time == time


@given(steps())
def test_a_step_comes_back_from_the_journal(record):
    record = replace(record, step=f"s{record.step}".rstrip("\\"), holder=record.holder % 10**9)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.lp"
        with JournalWriter(path, {"run": "r"}) as journal:
            journal.write(record, 5)
        found = read(path)
    assert found.readings["load-1"].not_understood == 0
    steps, failed = found.steps, record.outcome == Outcome.FAILED
    assert found.step_names.list[steps.step[0]] == " ".join(record.step.splitlines())
    assert OUTCOMES[steps.outcome[0]] == record.outcome
    assert (steps.holder[0], steps.iteration[0], steps.attempt[0]) == (
        record.holder,
        record.iteration,
        record.attempt,
    )
    assert steps.service_time[0] == pytest.approx(record.service_time, rel=1e-8)
    assert found.services.list[steps.service[0]] == " ".join(record.service.splitlines())
    assert found.errors.list == ([" ".join((record.error or "").splitlines()) or "unknown"] if failed else [])


@pytest.mark.parametrize(
    "settings",
    [
        {"stampede_stages": [{"holders": 5, "for": "3h"}]},
        {"stampede_load_model": "rounds", "stampede_stages": [{"rate": 5, "for": "3h"}]},
        {"stampede_load_model": "search", "stampede_thresholds": ["p95 < 9 s"]},
    ],
)
def test_the_end_of_a_long_run_is_believed_whatever_duration_it_does_not_go_by(tmp_path, settings):
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1" / "journal.lp").write_text(line() + line(samples.START + 3 * 3600 - 1))
    record = {
        "started": samples.START,
        "ended": samples.START + 3 * 3600,
        "settings": {"stampede_duration": "30m", "stampede_holders": 5} | settings,
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert samples.report(tmp_path)["load"]["ok"] == 2
