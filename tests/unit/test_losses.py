"""Whatever is missing from the records changes the verdict, in every place in which it is told alike."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import report_samples as samples

from stampede.analysis.verdict.failure_reasons import failure_reasons
from stampede.report import terminal

SMALL = samples.Sample(holders=5, duration=30, ramp=5, failures=False)


def change_state(folder: Path, **changes: Any) -> None:
    state = folder / "load-1" / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | changes))


def change_journal(folder: Path, change: Callable[[str], str]) -> None:
    journal = folder / "load-1" / "journal.lp"
    journal.write_text(change(journal.read_text()))


def lose_records(folder: Path) -> None:
    change_state(folder, losses={"records": 7})


def lose_records_and_state(folder: Path) -> None:
    line = (
        f'{samples.tags("event", "load-1", kind="disk_full")} text="written again",value=7 {samples.START}000000001'
    )
    change_journal(folder, lambda text: f"{text}{line}\n")
    (folder / "load-1" / "state.json").unlink()


def count_more_steps(folder: Path) -> None:
    steps = (folder / "load-1" / "journal.lp").read_text().count("\nstep,")
    steps += (folder / "load-1" / "journal.lp").read_text().startswith("step,")
    change_state(folder, steps={"ok": steps + 7})


def start_fewer(folder: Path) -> None:
    change_state(folder, holders={"total": 12, "started": 5, "finished": 5})


def drop_arrivals(folder: Path) -> None:
    change_state(folder, holders={"total": 12, "started": 5, "finished": 5, "dropped": 7})


def drop_arrivals_and_lose_state(folder: Path) -> None:
    change_journal(
        folder, lambda text: re.sub(r"(\nload,.*),arrivals=1i", r"\1,arrivals=5i,dropped=7i", text, count=1)
    )
    change_journal(folder, lambda text: text.replace("arrivals=1i", "arrivals=0i"))
    (folder / "load-1" / "state.json").unlink()


def drop_rounds(folder: Path) -> None:
    change_state(folder, holders={"total": 5, "started": 5, "finished": 5, "rounds": 5, "rounds_dropped": 7})
    run = folder / "run.json"
    noted = json.loads(run.read_text())
    noted["settings"]["stampede_load_model"] = "rounds"
    run.write_text(json.dumps(noted))


def drop_all_rounds(folder: Path) -> None:
    drop_rounds(folder)
    change_state(folder, holders={"total": 5, "started": 5, "finished": 5, "rounds": 0, "rounds_dropped": 7})


def drop_messages(folder: Path) -> None:
    change_state(folder, losses={"messages": 7})


def drop_messages_and_lose_state(folder: Path) -> None:
    line = f'{samples.tags("event", "load-1", kind="inbox_overflow")} text="x",value=7 {samples.START}000000001'
    change_journal(folder, lambda text: f"{text}{line}\n")
    (folder / "load-1" / "state.json").unlink()


def garble_lines(folder: Path) -> None:
    change_journal(folder, lambda text: text + "garbled\n" * 7)


def tear(folder: Path) -> None:
    change_journal(folder, lambda text: text + "step,run=r")


def cut_whole_lines(folder: Path) -> None:
    change_journal(folder, lambda text: "".join(text.splitlines(keepends=True)[:-40]))


def cut_archive(folder: Path) -> None:
    journal = folder / "load-1" / "journal.lp"
    packed = gzip.compress(journal.read_bytes())
    journal.unlink()
    (folder / "load-1" / "journal.lp.gz").write_bytes(packed[: len(packed) * 9 // 10])


def unlink_journal(folder: Path) -> None:
    (folder / "load-1" / "journal.lp").unlink()


def make_journal_unreadable(folder: Path) -> None:
    (folder / "load-1" / "journal.lp").write_bytes(b"\x1f\x8b\x07 of another method")


CASES = {
    lose_records: ("records", 7, "7 records are missing from the journal of host load-1: its disk was full."),
    lose_records_and_state: ("records", 7, "7 records are missing from the journal of host load-1"),
    count_more_steps: ("steps", 7, "steps that host load-1 counted are not in its journal."),
    start_fewer: ("holders", 7, "7 of the 12 holders of host load-1 never started"),
    drop_arrivals: ("arrivals", 7, "7 of the 12 arrivals on host load-1 were dropped: as many holders were there as"),
    drop_arrivals_and_lose_state: ("arrivals", 7, "7 of the 12 arrivals on host load-1 were dropped"),
    drop_rounds: ("rounds", 7, "7 of the 12 rounds on host load-1 were dropped: no holder was free."),
    drop_all_rounds: (
        "rounds",
        7,
        "7 of the 7 rounds on host load-1 were dropped: no holder came to until_end_of_run().",
    ),
    drop_messages: ("messages", 7, "On host load-1 7 messages to holders were dropped"),
    drop_messages_and_lose_state: ("messages", 7, "On host load-1 7 messages to holders were dropped"),
    garble_lines: ("lines", 7, "7 lines of the journal of host load-1 could not be parsed, the first being line "),
    tear: ("cut_short", None, "The journal of host load-1 is cut short: it ends before the run did."),
    cut_whole_lines: ("cut_short", None, "The journal of host load-1 is cut short: it ends before the run did."),
    cut_archive: ("cut_short", None, "The journal of host load-1 is cut short: it ends before the run did."),
    unlink_journal: ("host", None, "Host load-1 left no journal: none of its steps are known."),
    make_journal_unreadable: ("cut_short", None, "The journal of host load-1 is cut short"),
}


@pytest.mark.parametrize("lose", CASES, ids=lambda lose: lose.__name__)
def test_what_is_missing_is_told_everywhere_and_fails_the_run(lose: Callable[[Path], None], tmp_path: Path) -> None:
    kind, number, sentence = CASES[lose]
    samples.write_results(tmp_path, SMALL, packed=False)
    lose(tmp_path)
    found = samples.report(tmp_path)
    (loss,) = found["losses"]
    assert (loss["host"], loss["kind"], loss["number"]) == ("load-1", kind, number)
    assert sentence in loss["text"]

    run = found["run"]
    assert (run["outcome"], run["passed"]) == ("incomplete", False)
    missing = {
        "holders": "7 holders never started",
        "arrivals": "7 arrivals were dropped",
        "rounds": "7 rounds were dropped",
        "messages": "7 messages to holders were dropped",
    }.get(kind, "records of load-1 are missing")
    assert run["headline"] == f"Incomplete: {missing}; no step failed"
    assert {"about": "missing", "text": loss["text"], "warning": True} in run["findings"]

    summary = samples.typed(found)
    shown = " ".join(terminal.table(summary).split())
    assert run["headline"] in shown and loss["text"] in shown
    page = (tmp_path / "report.html").read_text()
    assert run["headline"] in page and 'class="verdict incomplete"' in page and sentence.split(":")[0] in page
    cases = {case.get("name"): case for case in ElementTree.parse(tmp_path / "junit.xml").iter("testcase")}
    case = "all of the load was made" if kind in ("holders", "arrivals", "rounds") else "the records are complete"
    failure = cases[case].find("failure")
    assert failure is not None and failure.get("message") == loss["text"]
    assert failure_reasons(summary, tmp_path / "report.html", fail_on_errors=False) == [loss["text"]]


def test_a_run_with_all_its_records_is_complete(tmp_path: Path) -> None:
    samples.write_results(tmp_path, SMALL, packed=False)
    change_state(tmp_path, losses={"records": 0, "messages": 0}, holders={"total": 5, "started": 5, "finished": 5})
    found = samples.report(tmp_path)
    assert found["losses"] == [] and found["run"]["outcome"] == "passed"
    cases = {case.get("name"): case for case in ElementTree.parse(tmp_path / "junit.xml").iter("testcase")}
    assert cases["the records are complete"].find("failure") is None
    assert failure_reasons(samples.typed(found), tmp_path / "report.html", fail_on_errors=True) == []


def test_a_summary_of_version_0_1_has_no_losses(tmp_path: Path) -> None:
    found = samples.report(samples.write_results(tmp_path, SMALL))
    del found["losses"]
    assert samples.typed(found).losses == []


def test_holders_that_a_stopped_run_did_not_start_are_not_missing(tmp_path: Path) -> None:
    samples.write_results(tmp_path, SMALL)
    change_state(tmp_path, phase="stopped", holders={"total": 12, "started": 5, "finished": 5})
    found = samples.report(tmp_path)
    assert found["losses"] == [] and found["run"]["outcome"] == "stopped"


def test_thresholds_that_were_met_do_not_outweigh_what_is_missing(tmp_path: Path) -> None:
    samples.write_results(
        tmp_path, samples.Sample(**vars(SMALL) | {"settings": {"stampede_thresholds": ["errors = 0"]}})
    )
    change_state(tmp_path, losses={"records": 7})
    assert samples.report(tmp_path)["run"]["outcome"] == "incomplete"


def test_failed_steps_come_first_and_what_is_missing_is_told_as_well(tmp_path: Path) -> None:
    samples.write_results(tmp_path, SMALL, packed=False)
    failed = samples.step_line("load-1", "ping", samples.START + 3, 1.0, outcome="failed", error="timeout")
    change_journal(tmp_path, lambda text: f"{failed}\n{text}")
    lose_records(tmp_path)
    found = samples.report(tmp_path)
    assert found["run"]["outcome"] == "failed"
    assert found["run"]["headline"].endswith("; records of load-1 are missing")


def test_a_host_that_left_nothing_is_a_reason_to_fail_unless_that_was_told(tmp_path: Path) -> None:
    run = {"hosts": ["load-1", "load-2", "load-10"]}
    found = samples.report(samples.write_results(tmp_path, samples.Sample(**vars(SMALL) | {"run": run})))
    assert found["run"]["outcome"] == "broken_off"
    summary = samples.typed(found)
    sentence = "Host load-10 left no journal: none of its steps are known."
    assert failure_reasons(summary, tmp_path, fail_on_errors=True) == [sentence]
    assert failure_reasons(summary, tmp_path, True, ["load-1 was lost while running."]) == [sentence]
    assert failure_reasons(summary, tmp_path, True, ["load-10 was lost while running."]) == []


@pytest.mark.parametrize(
    ("moments", "host", "text"),
    [
        ((12.5, 12.5, None), "load-3", "Host load-3 did not go on to the next stage at +0:12, unlike others, so"),
        ((None, 12.5, None), "load-2", "Host load-2 went on to the next stage at +0:12, unlike others, so"),
    ],
)
def test_a_host_in_another_stage_than_the_others_is_told(
    moments: tuple[float | None, ...], host: str, text: str, tmp_path: Path
) -> None:
    hosts = ("load-1", "load-2", "load-3")
    sample = samples.Sample(holders=6, duration=30, ramp=5, failures=False, hosts=hosts)
    samples.write_results(tmp_path, sample, packed=False)
    for name, at in zip(hosts, moments, strict=True):
        journal = tmp_path / name / "journal.lp"
        if at is not None:
            told = f'text="stage 2 of 3 began before its time",value={at} {samples.START}000000001'
            journal.write_text(f"{journal.read_text()}{samples.tags('event', name, kind='next_stage')} {told}\n")
    found = samples.report(tmp_path)
    (loss,) = found["losses"]
    assert (loss["host"], loss["kind"], loss["number"]) == (host, "stage", None) and loss["text"].startswith(text)
    assert found["run"]["headline"] == "Incomplete: the hosts were in different stages; no step failed"
