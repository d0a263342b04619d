"""The journal: nothing measured is ever lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controller.metrics.journal import Journal
from stampede.schema.line_protocol import field, tag

TAGS = {"run": "r", "host": "h"}


def test_records_are_line_protocol(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", TAGS) as journal:
        journal.append(journal.series("step", step="ping"), {"n": 1, "t": 0.25, "ok": True, "s": 'a "b"\n\\'}, 7)
    assert (tmp_path / "j").read_text() == 'step,run=r,host=h,step=ping n=1i,t=0.25,ok=true,s="a \\"b\\" \\\\" 7\n'


def test_escapes() -> None:
    assert tag("a b,c=d") == r"a\ b\,c\=d"
    assert field(3.0) == "3"
    assert field(False) == "false"


def test_timestamps_are_unique_within_a_series(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", TAGS) as journal:
        for _ in range(3):
            journal.append(journal.series("a"), {"n": 1}, 5)
        journal.append(journal.series("b"), {"n": 1}, 5)
    stamps = [line.rsplit(" ", 1)[1] for line in (tmp_path / "j").read_text().splitlines()]
    assert stamps == ["5", "6", "7", "5"]


def test_a_killed_process_loses_nothing_written(tmp_path: Path) -> None:
    program = (
        "import os, signal\nfrom pathlib import Path\nfrom controller.metrics.journal import Journal\n"
        f"journal = Journal(Path({str(tmp_path / 'j')!r}), {TAGS!r})\n"
        "for n in range(1000): journal.append(journal.series('a'), {'n': n}, n + 1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len((tmp_path / "j").read_text().splitlines()) == 1000


def test_a_full_disk_is_told_and_nothing_is_torn_or_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes half a record, then none, then all again."""
    problems: list[str] = []
    journal = Journal(tmp_path / "j", TAGS, problems.append)
    journal.append(journal.series("a"), {"n": 0}, 1)
    write, room = os.write, [10, 0]

    def full(file: int, data: bytes) -> int:
        if not room:
            return write(file, data)
        left = room.pop(0)
        if left == 0:
            raise OSError(28, "No space left on device")
        return write(file, data[:left])

    monkeypatch.setattr(os, "write", full)
    journal.append(journal.series("a"), {"n": 1}, 2)
    assert journal.problem
    journal.append(journal.series("a"), {"n": 2}, 3)
    journal.flush()
    assert "No space left" in journal.problem
    assert (tmp_path / "j").read_text().count("\n") == 1  # the half record was cut off again
    journal.flush()
    assert journal.problem == ""
    journal.close()
    assert [line.split(" ")[1] for line in (tmp_path / "j").read_text().splitlines()] == ["n=0i", "n=1i", "n=2i"]
    (problem,) = problems
    assert re.fullmatch(
        rf"the journal {tmp_path}/j cannot be written since \d\d:\d\d:\d\d UTC: No space left on device; "
        "records not in it yet: 1",
        problem,
    )
    assert journal.lost == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_really_full_device(tmp_path: Path) -> None:
    journal = Journal(Path("/dev/full"), TAGS)
    journal.append(journal.series("a"), {"n": 1}, 1)
    assert "No space left on device" in journal.problem


def test_half_a_character_in_a_text_is_replaced(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", TAGS) as journal:
        journal.append(journal.series("a"), {"text": "half \ud800 of one"}, 1)
    assert 'text="half ? of one"' in (tmp_path / "j").read_text()
