"""A load host's journal may hold anything: it is read within bounds, and speaks for that host alone."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import resource
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import pytest
import report_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from stampede.analysis.collected_run import read_run
from stampede.report import junit, terminal
from stampede.report.charts.timeline import build_charts
from stampede.report.output import ReportError
from stampede.results import journal_reader
from stampede.results.journal_columns import MOST_EVENTS, JournalColumns
from stampede.results.journal_reader import read
from stampede.results.replay import Owner
from stampede.schema.json_form import to_json
from stampede.schema.summary import Summary

EVIL = "a\x1b[2J\x9b\u202e\u2066\ud800\u2028</script><b>\"'&=,\\ "


def line(end: float = samples.START + 1, **more: Any) -> str:
    return samples.step_line("load-1", "present_proof", end, 0.25, **more) + "\n"


def read_one(tmp_path: Path, content: bytes | str) -> JournalColumns:
    path = tmp_path / "journal.lp"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogateescape"))
    journal = JournalColumns()
    read(journal, path, "load-1")
    return journal


def peak_memory() -> int:
    """Bytes, of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# ------------------------------------------------------------------ bounds


def test_a_line_of_hundreds_of_megabytes_takes_no_memory(tmp_path: Path) -> None:
    """Packed it has less than one; what stands before and after it is read."""
    pack = zlib.compressobj(1, wbits=31)
    packed = pack.compress(line().encode())
    packed += b"".join(pack.compress(bytes(1 << 20)) for _ in range(400))
    packed += pack.compress(f"\n{line()}".encode()) + pack.flush()
    before = peak_memory()
    journal = read_one(tmp_path, packed)
    assert len(journal.steps) == 2 and journal.readings["load-1"].not_understood == 1
    assert peak_memory() - before < 100_000_000


def test_a_last_line_that_never_ends_is_a_torn_one(tmp_path: Path) -> None:
    journal = read_one(tmp_path, line() + "x" * 3_000_000)
    assert len(journal.steps) == 1 and journal.readings["load-1"].torn


def test_a_journal_of_garbage_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_reader, "MOST_NOT_UNDERSTOOD", 1000)
    monkeypatch.setattr(journal_reader, "PIECE", 1000)
    journal = read_one(tmp_path, line() + "x\n" * 5000 + line())
    reading = journal.readings["load-1"]
    assert len(journal.steps) == 1 and 1000 < reading.not_understood <= 1500
    assert "more than 1,000 lines of it could not be parsed" in reading.given_up


@pytest.mark.parametrize("content", [line() * 3000, "\n" * 5000])
def test_more_records_than_memory_has_room_for(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_reader, "MOST_RECORDS", 1000)
    monkeypatch.setattr(journal_reader, "MOST_LINES", 2000)
    monkeypatch.setattr(journal_reader, "PIECE", 1000)
    journal = read_one(tmp_path, content)
    assert len(journal.steps) < 1010 and "more than 1,000 records" in journal.readings["load-1"].given_up


def test_a_journal_longer_than_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_reader, "MOST_BYTES", 3_000_000)
    journal = read_one(tmp_path, gzip.compress(b"x" * 60_000_000, 1))
    assert "longer than 3,000,000 bytes" in journal.readings["load-1"].given_up


def test_names_without_number(tmp_path: Path) -> None:
    lines = [line().replace("step=present_proof", f"step=s{number}") for number in range(1000)]
    lines.insert(0, line())
    lines += [line(outcome="failed", error=f"e{number}") for number in range(1000)]
    lines += [line().replace('service="verifier"', f'service="v{number}"') for number in range(20_000)]
    lines += [f"{samples.tags('agent', 'load-1', agent=f'a{number}')} cpu=1 5\n" for number in range(5000)]
    lines += [line().replace(f"run={samples.RUN}", f"run=r{number}") for number in range(1000)]
    lines += [line().replace("step=present_proof", f"step=s{'x' * 5000}")]
    journal = read_one(tmp_path, "".join(lines))
    names = (journal.step_names, journal.errors, journal.services, journal.agents, journal.runs)
    assert [len(each.list) for each in names] == [300, 300, 10_000, 1000, 20]
    assert journal.readings["load-1"].not_understood > 15_000


def test_checks_and_measures_without_number_and_without_sense(tmp_path: Path) -> None:
    check, measure = (
        samples.tags("check", "load-1", check="c", outcome="ok"),
        samples.tags("measure", "load-1", measure="m"),
    )
    lines = [f"{check.replace('check=c', f'check=c{number}')} holder=1i 5\n" for number in range(1000)]
    lines += [f"{measure.replace('measure=m', f'measure=m{number}')} value=1 5\n" for number in range(1000)]
    lines += [f"{check.replace('outcome=ok', 'outcome=interrupted')} holder=1i 5\n"]
    lines += [f"{check.replace(',check=c', '')} holder=1i 5\n", f"{check} holder=1i {10**30}\n"]
    values = ("1e16", "-1e300", "1e999", "nan", '"1"', "true", "1.5.5")
    known = measure.replace("measure=m", "measure=m0")
    lines += [f"{known} value={value} 5\n" for value in values] + [f"{known} other=1 5\n"]
    journal = read_one(tmp_path, "".join(lines))
    assert (len(journal.check_names.list), len(journal.measure_names.list)) == (300, 300)
    assert (len(journal.checks.value), set(journal.measures.value)) == (300, {1.0})
    assert len(journal.measures.value) == 300
    assert journal.readings["load-1"].not_understood >= 1400


def test_evil_names_of_checks_are_shown_as_text(tmp_path: Path) -> None:
    results = samples.write_results(tmp_path / "r", samples.Sample(holders=2, duration=20, ramp=2), packed=False)
    name = "".join(sign for sign in EVIL if sign not in " ,=\\\ud800\u2028")
    with (results / "load-1" / "journal.lp").open("a") as journal:
        for kind in ("check", "measure"):
            head = samples.tags(kind, "load-1", **{kind: name}, outcome="failed")
            journal.write(f"{head} value=1,holder=1i {int((samples.START + 5) * 1e9)}\n")
    report = samples.report(results)
    assert report["checks"] and report["measures"]
    page = (results / "report.html").read_text()
    assert "</script><b>" not in page
    shown = terminal.table(read_run(results).summary)
    assert "\x1b" not in shown and "\u202e" not in shown


def test_one_host_s_names_leave_room_for_another_s(tmp_path: Path) -> None:
    journal = JournalColumns()
    for host, step in (("load-1", "a"), ("load-2", "b")):
        path = tmp_path / host
        path.write_text("".join(line().replace("step=present_proof", f"step={step}{n}") for n in range(400)))
        read(journal, path, host)
    assert len(journal.step_names.list) == 600


def test_long_texts_are_cut(tmp_path: Path) -> None:
    failed = line(outcome="failed", error="timeout", detail="x" * 60_000)
    told = f'{samples.tags("event", "load-1", kind="agent_died")} text="{"y" * 60_000}" 5\n'
    journal = read_one(tmp_path, failed + told)
    assert len(journal.examples["timeout"].first.detail) == len(journal.events[0].text) == 2000


def test_a_flood_of_events_leaves_room_for_phases_and_for_other_hosts(tmp_path: Path) -> None:
    journal = JournalColumns()
    events = "".join(f'{samples.tags("event", "h", kind="agent_died")} text="x" {n}\n' for n in range(1, 5000))
    for host in ("load-1", "load-2"):
        path = tmp_path / host
        path.write_text(f'{events}{samples.tags("event", "h", kind="phase")} text="done" 9999\n')
        read(journal, path, host)
    for host in ("load-1", "load-2"):
        own = [event for event in journal.events if event.host == host]
        assert len(own) == MOST_EVENTS + 1 and own[-1].phase == "done"


@pytest.mark.parametrize(
    "odd",
    [
        "active=1e999",
        "active=1e300",
        "active=-1e300",
        "active=999999999999999999999999i",
        'active="inf"',
        'active="many"',
        "host_cores=" + "9" * 400,
    ],
)
def test_figures_that_cannot_be(tmp_path: Path, odd: str) -> None:
    journal = read_one(tmp_path, f"{samples.tags('load', 'load-1')} {odd} {samples.START}000000000\n")
    assert not journal.load.time and journal.readings["load-1"].not_understood == 1


# ------------------------------------------------------------------ other hosts


def report_beside(folder: Path, journal: str | bytes, **files: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The summary of a run whose load-1 is sound, without and with a load-2 of which this came home."""
    sample = samples.Sample(hosts=("load-1",), holders=5, duration=30, ramp=5, failures=False)
    samples.write_results(folder, sample)
    alone = samples.report(folder)
    hostile = folder / "load-2"
    hostile.mkdir()
    (hostile / "journal.lp").write_bytes(
        journal if isinstance(journal, bytes) else journal.encode(errors="surrogateescape")
    )
    for name, text in files.items():
        (hostile / name.replace("_", ".")).write_text(text)
    return alone, samples.report(folder)


def test_records_in_another_host_s_name_are_those_of_the_folder(tmp_path: Path) -> None:
    alone, both = report_beside(tmp_path, line() * 7)  # its tag says load-1
    assert both["hosts"]["load-1"]["steps"] == alone["hosts"]["load-1"]["steps"]
    assert both["hosts"]["load-2"]["steps"]["ok"] == 7


def test_the_end_of_another_host_cannot_be_told(tmp_path: Path) -> None:
    told = [samples.event("load-1", samples.START + 1, "phase", "failed")[1]]
    alone, both = report_beside(tmp_path, "\n".join(told) + "\n")
    assert both["hosts"]["load-1"]["phase"] == alone["hosts"]["load-1"]["phase"] == "done"


@pytest.mark.parametrize("moment", [1, samples.START - 40_000_000, samples.START + 40_000_000, 4_000_000_000])
def test_records_of_another_age_move_nobody_s_figures(moment: int, tmp_path: Path) -> None:
    alone, both = report_beside(
        tmp_path, line(moment) * 3 + samples.load("load-2", SAMPLE, RNG, moment, [])[1] + "\n"
    )
    assert both["run"]["duration"] == alone["run"]["duration"]
    assert both["load"]["ok"] == alone["load"]["ok"]
    assert both["journal"]["lines_not_understood"] >= 3


def test_a_step_that_began_before_the_run_moves_nobody_s_figures(tmp_path: Path) -> None:
    alone, both = report_beside(tmp_path, line(response_time=90_000_000.0))
    assert both["run"]["duration"] == alone["run"]["duration"]


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08", b"\x1f\x8b" + b"\xff" * 500, b"\xff\xfe\x00" * 100, b""])
def test_a_journal_that_is_none_costs_its_host_alone(content: bytes, tmp_path: Path) -> None:
    alone, both = report_beside(tmp_path, content)
    assert both["hosts"]["load-1"]["steps"] == alone["hosts"]["load-1"]["steps"]
    assert both["hosts"]["load-2"]["records"] == 0 and not both["run"]["passed"]


def test_a_journal_that_cannot_be_read_costs_its_host_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = journal_reader.read

    def refuse(journal: JournalColumns, path: Path, host: str, *more: Any) -> None:
        if host == "load-2":
            path = tmp_path / "nowhere"
        usual(journal, path, host, *more)

    monkeypatch.setattr(journal_reader, "read", refuse)
    alone, both = report_beside(tmp_path, line())
    assert both["hosts"]["load-1"]["steps"] == alone["hosts"]["load-1"]["steps"]
    assert any("nowhere cannot be read: No such file" in note for note in both["journal"]["notes"])
    assert [(loss["host"], loss["kind"]) for loss in both["losses"]] == [("load-2", "cut_short")]


def test_when_no_journal_can_be_read_there_is_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples.write_results(tmp_path, SAMPLE)
    usual = journal_reader.read
    monkeypatch.setattr(journal_reader, "read", lambda journal, path, *more: usual(journal, tmp_path / "no", *more))
    with pytest.raises(ReportError, match="cannot be read"):
        samples.report(tmp_path)


@pytest.mark.parametrize(
    "head",
    [
        "step,run=r,host=load-1,scenario=s",
        "step,run=other,host=load-2,scenario=s",
        "step,run=r,host=load-2,host=load-1",
        r"step,run=r,a=\ ,host=load-1",
        "step,=,host=load-1",
    ],
)
def test_a_journal_is_replayed_in_its_own_host_s_name_alone(head: str) -> None:
    own = "step,run=r,host=load-2,scenario=s n=1i 5\nstep,a=b n=1i 5\n"
    assert Owner("load-2", "r").own(f"{own}{head} n=1i 5\n{head} n=1i 6\n".encode()) == own.encode()


# ------------------------------------------------------------------ words


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run in which every name and text is hostile."""
    folder = samples.write_results(tmp_path_factory.mktemp("run"), SAMPLE, packed=False)
    tag = EVIL.encode(errors="surrogatepass").decode(errors="replace").replace(" ", "").rstrip("\\")
    tag = tag.replace(",", r"\,").replace("=", r"\=")
    field = EVIL.encode(errors="surrogatepass").decode(errors="replace").replace("\\", "\\\\").replace('"', '\\"')
    failed = line(outcome="failed", error="e", detail="d").replace("step=present_proof", f"step={tag}")
    failed = failed.replace('error="e"', f'error="{field}"').replace('detail="d"', f'detail="{field}"')
    formulas = [
        line(outcome="failed", error="=cmd|'/c calc'!A1"),
        line().replace("step=present_proof", "step=@SUM(A1)"),
    ]
    told = f'{samples.tags("event", "load-1", kind=tag)} text="{field}" {samples.START + 3}000000000\n'
    (folder / "load-1" / "journal.lp").write_text(
        (folder / "load-1" / "journal.lp").read_text() + failed + told + "".join(formulas)
    )
    state = json.loads((folder / "load-1" / "state.json").read_text())
    (folder / "load-1" / "state.json").write_text(json.dumps(state | {"message": EVIL}))
    (folder / "load-1" / "controller_script.py").write_text(f"# {EVIL}".encode(errors="replace").decode())
    samples.report(folder)
    return folder


def test_hostile_words_do_not_steer_the_terminal(evil: Path) -> None:
    text = terminal.table(read_run(evil).summary)
    assert "[2J" in text  # it is told, without what makes it work
    assert all(row.isprintable() for row in text.split("\n"))


def test_hostile_words_stay_text_in_the_page(evil: Path) -> None:
    page = (evil / "report.html").read_text(encoding="utf-8")
    assert "</script><b>" not in page and page.count("</script>") == 2
    for character in "\x1b\x9b\u202e\u2066\u2028":
        assert character not in page.replace("\u2028", "") or character == "\u2028", hex(ord(character))
    for escape in (r"\u001b", r"\u009b", r"\u202e", r"\u2066"):  # in the data of the charts, whose legends show them
        assert escape not in page.split("</script>")[0], escape


def test_hostile_words_leave_junit_valid(evil: Path) -> None:
    text = junit.build_document(read_run(evil).summary)
    assert ElementTree.fromstring(text.encode()).tag == "testsuites"
    assert "\x1b" not in text


def test_no_cell_is_a_formula(evil: Path) -> None:
    with gzip.open(evil / "steps.csv.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(io.StringIO(file.read())))
    cells = {cell for row in rows for cell in row.values()}
    assert "'=cmd|'/c calc'!A1" in cells and "'@SUM(A1)" in cells
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


# ------------------------------------------------------------------ fuzzing

SAMPLE = samples.Sample(hosts=("load-1",), holders=2, duration=10, ramp=1, failures=False)
RNG = random.Random(1)
values = st.one_of(
    st.integers(-(10**20), 10**20).map(lambda number: f"{number}i"),
    st.floats().map(repr),
    st.sampled_from(["1e999", "0", "true", '"', '""', "9" * 400, "-0", "1e-320"]),
    st.text(max_size=8).map(lambda text: f'"{text}"'),
)
KNOWN = {
    "step": ("holder", "iteration", "attempt", "service", "service_time", "response_time", "error", "detail"),
    "load": ("active", "ready", "in_flight", "cpu", "host_cpu", "host_cores", "host_memory_used", "lag_p99"),
    "agent": ("cpu", "rss", "restarts", "up"),
    "event": ("text", "value"),
}
TAGS = {
    "step": [{"step": "ping", "outcome": "ok"}, {"step": "ping", "outcome": "failed"}, {"outcome": "interrupted"}],
    "load": [{}],
    "agent": [{"agent": "agent-0"}, {}],
    "event": [{"kind": "phase"}, {"kind": "disk_full"}, {"kind": "inbox_overflow"}, {"kind": "lost"}],
}
moments = st.integers(-(10**19), 10**20) | st.integers(samples.START - 9000, samples.START + 9000).map(
    lambda second: second * 10**9
)


@st.composite
def lines(draw: Callable[..., Any]) -> bytes:
    if draw(st.integers(0, 9)) == 0:
        return bytes(draw(st.binary(max_size=60))) + b"\n"
    measurement = draw(st.sampled_from(sorted(KNOWN)))
    tags = samples.tags(measurement, "load-1", **draw(st.sampled_from(TAGS[measurement])))
    fields = draw(st.dictionaries(st.sampled_from(KNOWN[measurement]), values, max_size=8))
    if measurement == "step":
        fields = {"service_time": "0.5", "holder": "1i"} | fields
    text = f"{tags} {','.join(f'{name}={value}' for name, value in fields.items())} {draw(moments)}\n"
    return text.encode(errors="replace")


def test_steps_of_which_no_record_counts_have_no_place_in_the_report(tmp_path: Path) -> None:
    alone, both = report_beside(tmp_path, line(0).replace("step=present_proof", "step=never"))
    assert both["steps"] == alone["steps"] and both["time_spent"]["steps"] == alone["time_spent"]["steps"]


@pytest.mark.fuzz
@given(st.lists(lines(), max_size=12), st.binary(max_size=30))
def test_whatever_a_journal_holds_there_is_a_summary(content: list[bytes], rest: bytes) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for host, journal in (("load-1", line().encode()), ("load-2", b"".join(content) + rest)):
            (folder / host).mkdir()
            (folder / host / "journal.lp").write_bytes(journal)
        (folder / "run.json").write_text(
            json.dumps({"run_id": "r", "started": samples.START, "ended": samples.START + 9})
        )
        run = read_run(folder)
        sound = run.summary.hosts["load-1"].steps
        assert (sound.ok, sound.failed, sound.interrupted) == (1, 0, 0)
        assert Summary.from_json(run.summary.to_json()) == run.summary
        assert all(row.isprintable() for row in terminal.table(run.summary).split("\n"))
        assert ElementTree.fromstring(junit.build_document(run.summary).encode()).tag == "testsuites"
        json.dumps(to_json(build_charts(run.journal, run.window, run.summary.thresholds)), allow_nan=False)


@pytest.mark.fuzz
@given(st.binary(max_size=300))
def test_whatever_bytes_a_journal_has(content: bytes) -> None:
    with TemporaryDirectory() as name:
        for journal in (content, b"\x1f\x8b" + content, gzip.compress(content)):
            found = read_one(Path(name), journal).readings["load-1"]
            assert found.records == 0
