"""What the report calls presentations: verified when the verifier said so, acknowledged when it was not asked."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
import report_samples as samples

from stampede.analysis.collected_run import read_run
from stampede.report.output import report
from stampede.report.terminal import table


def results(folder: Path, verified: int, detail: str = "verified") -> Path:
    """A run in which so many presentations were verified, or are told by another ``detail``."""
    found, left = samples.write_fleet(folder / samples.RUN, hosts=2), verified
    for journal in found.glob("*/journal.lp.gz"):
        lines = gzip.decompress(journal.read_bytes()).decode().splitlines(keepends=True)
        for place, line in enumerate(lines):
            if left and line.startswith("step,") and "step=present_proof" in line and "outcome=ok" in line:
                lines[place] = re.sub(r" (\d+)\n$", rf',detail="{detail}" \1\n', line)
                left -= 1
        journal.write_bytes(gzip.compress("".join(lines).encode()))
    return found


@pytest.mark.parametrize(
    ("verified", "words"), [(0, "acknowledged"), (5, "partly verified"), (10**9, "verified")], ids=str
)
def test_presentations_are_called_what_they_are(tmp_path: Path, verified: int, words: str) -> None:
    folder = results(tmp_path, verified)
    summary = read_run(folder).summary
    load = summary.load
    assert load.presentations_verified == min(verified, load.presentations) > -1
    assert load.presentations_verified + load.presentations_acknowledged == load.presentations > 5
    said = " ".join(table(summary).split())
    assert f" {words} presentations/s" in said
    assert (f"{load.presentations_acknowledged} presentations were acknowledged only" in said) == (
        words != "verified"
    )
    report(folder)
    page = (folder / "report.html").read_text()
    assert f"<dt>Presentations {words}</dt>" in page
    assert '"presentations_verified"' in (folder / "summary.json").read_text()


@pytest.mark.parametrize(("sent", "words"), [(5, "partly acknowledged"), (10**9, "sent")], ids=str)
def test_presentations_that_were_sent_only_are_told_apart(tmp_path: Path, sent: int, words: str) -> None:
    summary = read_run(results(tmp_path, sent, "sent")).summary
    load = summary.load
    assert load.presentations_sent == min(sent, load.presentations) > 0
    assert load.presentations_acknowledged == load.presentations - load.presentations_sent
    said = " ".join(table(summary).split())
    assert f" {words} presentations/s" in said
    assert f"{load.presentations_sent} presentations were sent only" in said
    assert ("were acknowledged only" in said) == (words != "sent")
