"""The summary in a terminal: fits, is coloured only where it may be, and cannot steer the terminal."""

import io
import re

import pytest
import report_samples as samples

from stampede import wording
from stampede.report import output
from stampede.report.terminal import table
from stampede.schema.summary import Summary


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def summary(tmp_path_factory) -> Summary:
    results = samples.write_results(tmp_path_factory.mktemp("run") / "r", samples.Sample(holders=60, duration=120))
    lost = samples.step_line(
        "load-1", "ping", samples.START + 3, 1.0, outcome="failed", error="odd", detail="\x1b[2Jgone " + "x" * 200
    )
    with (results / "load-1" / "journal.lp").open("w") as journal:
        for number in range(120_000):
            journal.write(
                samples.step_line(
                    "load-1", "receive_revocation_notification", samples.START + 20 + number / 1000, 12.25
                )
            )
            journal.write("\n")
        journal.write(lost + "\n")
    return output.report(results)


@pytest.fixture(autouse=True)
def colours_allowed(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_it_fits_eighty_columns(summary):
    assert max(len(line) for line in table(summary).splitlines()) <= 80


def test_it_begins_with_the_verdict_and_has_every_step(summary):
    lines = table(summary).splitlines()
    assert lines[0] == summary.run.headline
    for step in summary.steps:
        assert any(line.startswith(step[:12]) for line in lines)


def test_times_are_in_one_format(summary):
    row = next(line for line in table(summary).splitlines() if line.startswith("receive_credential"))
    service = summary.steps["receive_credential"].service_time
    assert [wording.seconds(service.figure(figure)) for figure in ("p50", "p95", "p99", "max")] == re.findall(
        r"[\d.,]+ m?s", row
    )[:4]


def test_errors_are_listed(summary):
    assert re.search(r"^1 x odd in ping, first at \+0:03 on load-1: ", table(summary), re.MULTILINE)


def test_it_is_plain_unless_written_to_a_terminal(summary, monkeypatch):
    assert "\x1b" not in table(summary)
    assert "\x1b" not in table(summary, io.StringIO())
    assert "\x1b[1;31mFailed" in table(summary, Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in table(summary, Terminal())


def test_what_a_service_answered_cannot_steer_the_terminal(summary):
    assert "\x1b[2J" not in table(summary, Terminal())


def test_a_run_without_steps_has_a_verdict_alone(tmp_path):
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1" / "journal.lp").touch()
    text = table(output.report(tmp_path))
    assert text.startswith("No load was generated")
    assert "p95" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),  # noqa: RUF001
        (0.0, "0.00 ms"),
        (0.00042, "0.42 ms"),
        (0.0042, "4.2 ms"),
        (0.042, "42 ms"),
        (0.8124, "812 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (1.239, "1.24 s"),
        (12.36, "12.4 s"),
        (123.6, "124 s"),
        (4321.0, "4,321 s"),
    ],
)
def test_seconds_in_words(value, text):
    assert wording.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(4.2, "4.2 s"), (59.6, "1 min"), (724, "12 min 4 s"), (3720, "1 h 2 min"), (7200, "2 h")]
)
def test_durations_in_words(value, text):
    assert wording.duration(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "+0:00"), (192, "+3:12"), (3792, "+1:03:12"), (-4, "−0:04")])  # noqa: RUF001
def test_moments_of_a_run_in_words(value, text):
    assert wording.clock(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.0044, "0.44 %"), (0.00001, "< 0.01 %"), (0.97, "97 %"), (0.99999, "> 99.9 %"), (1, "100 %")],
)
def test_shares_in_words(share, text):
    assert wording.percent(share) == text


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abcdef"), "a, b, c and 3 more")]
)
def test_lists_in_words(names, text):
    assert wording.listed(names) == text


def test_passwords_in_urls_are_blotted_out():
    assert wording.without_passwords("see postgresql://me:secret@db:5432/x") == "see postgresql://me:***@db:5432/x"
    assert wording.without_passwords("https://issuer.example:9443/a@b") == "https://issuer.example:9443/a@b"
