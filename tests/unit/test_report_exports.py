"""What lies beside the report: steps.csv.gz has every record as it was journaled, junit.xml every verdict."""

import csv
import gzip
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
import report_samples as samples

from stampede.analysis.collected_run import read_run
from stampede.report import junit, steps_csv

FIELDS = re.compile(
    r"step,run=[^,]+,host=(?P<host>[^,]+),scenario=[^,]+,step=(?P<step>[^,]+),outcome=(?P<outcome>\w+) "
    r'holder=(?P<holder>\d+)i,iteration=(?P<iteration>\d+)i,attempt=(?P<attempt>\d+)i,service="(?P<service>[^"]*)",'
    r"service_time=(?P<service_time>[\d.e-]+),response_time=(?P<response_time>[\d.e-]+)"
    r'(?:,error="(?P<error>\w+)"(?:,detail=".*")?)? (?P<epoch_ns>\d+)'
)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    results = samples.write_results(tmp_path_factory.mktemp("run") / "r", samples.Sample(holders=40), packed=False)
    samples.report(results)
    return results


def rows(results: Path) -> list[dict[str, str]]:
    with gzip.open(results / "steps.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


def test_the_rows_are_the_records_of_the_journals(results):
    found = rows(results)
    assert list(found[0]) == list(steps_csv.COLUMNS)
    expected = []
    for host in ("load-1", "load-2"):
        for line in (results / host / "journal.lp").read_text().splitlines():
            if line.startswith("step,"):
                expected.append({name: its or "" for name, its in FIELDS.fullmatch(line).groupdict().items()})
    assert len(found) == len(expected) > 1000
    assert {row["outcome"] for row in found} == {"ok", "failed", "interrupted"}
    for row, record in zip(found, expected, strict=True):
        times = {name: float(record.pop(name)) for name in ("service_time", "response_time")}
        assert {name: float(row[name]) for name in times} == times
        assert {name: row[name] for name in record} == record


def test_the_time_is_that_of_the_nanoseconds(results):
    for row in rows(results)[::97]:
        second, nanoseconds = row["time"].removesuffix("Z").split(".")
        epoch = int(datetime.fromisoformat(second).replace(tzinfo=UTC).timestamp())
        assert f"{epoch}{nanoseconds}" == row["epoch_ns"]


def test_names_with_commas_and_quotes_stay_in_their_column(tmp_path):
    (tmp_path / 'load,"1"').mkdir()
    line = samples.step_line("h", r"step\,\ 1", samples.START + 1, 0.25, outcome="failed", error='a,"b')
    (tmp_path / 'load,"1"' / "journal.lp").write_text(line.replace('error="a,"b"', r'error="a,\"b"') + "\n")
    samples.report(tmp_path)
    [row] = rows(tmp_path)
    assert (row["host"], row["step"], row["error"]) == ('load,"1"', "step, 1", 'a,"b')


def test_counts_that_no_column_holds_are_no_step(tmp_path):
    (tmp_path / "load-1").mkdir()
    line = samples.step_line("load-1", "ping", samples.START + 1, 0.25)
    strange = [line.replace("holder=1i", f"holder={holder}i") for holder in (2**31, -1)]
    (tmp_path / "load-1" / "journal.lp").write_text("\n".join([*strange, line]) + "\n")
    summary = samples.report(tmp_path)
    assert summary["journal"]["lines_not_understood"] == 2
    assert len(rows(tmp_path)) == 1


# ------------------------------------------------------------------ junit.xml


def cases(text: str) -> dict[str, ElementTree.Element]:
    suites = ElementTree.fromstring(text.encode())
    assert suites.tag == "testsuites"
    [suite] = suites
    assert [element.tag for element in suite][:1] == ["properties"]
    found = suite.findall("testcase")
    for element in (suites, suite):
        assert int(element.get("tests")) == len(found)
        assert int(element.get("failures")) == len(suite.findall("testcase/failure"))
    for name in ("time", "timestamp", "name", "errors"):
        assert suite.get(name), name
    assert all(re.fullmatch(r"\d+\.\d+", case.get("time")) and case.get("classname") for case in found)
    return {case.get("name"): case for case in found}


def failure(case: ElementTree.Element) -> str | None:
    found = case.find("failure")
    return None if found is None else found.get("message")


def test_the_test_cases_of_a_run_with_failures(results):
    found = cases((results / "junit.xml").read_text())
    assert failure(found["load was generated"]) is None
    assert failure(found["all hosts finished"]) is None
    assert re.fullmatch(r"\d+ of [\d,]+ failed: .*agent_died.*\.", failure(found["no present_proof failed"]))
    assert failure(found["no connect failed"]) is None
    assert float(found["load was generated"].get("time")) > 100


def test_each_threshold_is_a_test_case(results):
    thresholds = [
        samples.threshold_verdict("connect p95 < 1 s", passed=True),
        samples.threshold_verdict("ping p95 < 1 s", passed=None),
        samples.threshold_verdict("connect max < 2 s", passed=False),
    ]
    found = cases(junit.build_document(replace(read_run(results).summary, thresholds=thresholds)))
    assert failure(found["connect p95 < 1 s"]) is None
    assert failure(found["connect max < 2 s"]) == "connect max < 2 s: so it was."
    assert failure(found["ping p95 < 1 s"]) == "ping p95 < 1 s: so it was."  # nothing to judge is no success


@pytest.mark.parametrize(("step", "gone"), [(None, True), ("present_proof", True), ("connect", False)])
def test_a_threshold_on_errors_decides_on_failed_steps(results, step, gone):
    threshold = samples.threshold_verdict(f"{step or ''} errors < 1 %".strip(), passed=True)
    summary = replace(read_run(results).summary, thresholds=[threshold])
    assert ("no present_proof failed" not in cases(junit.build_document(summary))) is gone


def test_hosts_without_an_end_and_words_that_xml_may_not_hold(tmp_path):
    sample = samples.Sample(holders=5, duration=30, ramp=5, failures=False, lost={"load-2": 10})
    summary = samples.report(samples.write_results(tmp_path, sample))
    summary["run"]["headline"] = "gone \x1b[2J \ud800 <b>"
    found = cases(junit.build_document(samples.typed(summary)))
    assert failure(found["all hosts finished"]) == "load-2 (running) did not finish."


def test_a_run_without_load_is_a_failure(tmp_path):
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1" / "journal.lp").touch()
    samples.report(tmp_path)
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert failure(suites.find("testsuite/testcase")) == "No step was executed."
