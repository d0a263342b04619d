"""A disk that is full to the end of the run: what is lost is known, and told in the state."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from controller.host.state_file import StateFile
from controller.metrics.journal import Journal
from controller.metrics.monitor import Sample
from controller.run.run import Run
from stampede.machine import files
from stampede.schema.settings.run_settings import Settings
from stampede.schema.state import read_state


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def state_file(variables: dict[str, Any], tmp_path: Path) -> StateFile:
    return StateFile(Settings.from_variables(variables), tmp_path)


def test_records_that_were_never_written_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "journal.lp", {"run": "r"})
    monkeypatch.setattr(os, "write", full)
    for number in range(5):
        journal.append(journal.series("step"), {"n": number}, number + 1)
    assert (journal.lost, journal.missing) == (0, 5)
    journal.close()
    assert (journal.lost, journal.missing) == (5, 5)


def test_the_state_tells_them_though_the_disk_is_full(
    state_file: StateFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_file.journal = Journal(tmp_path / "journal.lp", {"run": "r"})
    state_file.write(Sample())
    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(files, "write_atomically", full)
    for number in range(5):
        state_file.journal.append(state_file.journal.series("step"), {"n": number}, number + 1)
    state_file.write(Sample())
    found, problems = read_state((tmp_path / "state.json").read_bytes())
    assert found.losses is not None and found.losses.records == 5 and problems == []
    assert "No space left on device" in found.message and "records not in it yet: 5" in found.message


def test_a_state_that_grows_too_long_for_its_blocks_goes_without_figures(
    state_file: StateFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, play: Any
) -> None:
    async def script(holder: Any) -> None:
        await holder.connect("issuer")

    run: Run = play(script, holders=1)
    state_file.write(Sample())
    state_file.run = run
    run.figures.errors.update({f"error-{number}": number for number in range(1000)})
    monkeypatch.setattr(files, "write_atomically", full)
    state_file.write(Sample())
    found = json.loads((tmp_path / "state.json").read_text())
    assert found["errors"] == {} and found["steps"]["ok"] == 2 and found["holders"]["started"] == 1


def test_a_text_too_long_for_its_blocks_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    files.write_json_anyway(path, {"phase": "running"})
    monkeypatch.setattr(files, "write_atomically", full)
    for size in (10, 3000, 20):  # a shorter text keeps its room for a longer one
        files.write_json_anyway(path, {"phase": "x" * size})
        assert json.loads(path.read_text()) == {"phase": "x" * size}
    with pytest.raises(OSError, match="No space left"):
        files.write_json_anyway(path, {"phase": "x" * 5000})
    assert json.loads(path.read_text()) == {"phase": "x" * 20}


def test_holders_that_never_began_are_counted(play: Any) -> None:
    async def script(holder: Any) -> None:
        await holder.wait(60)

    def end_early(run: Run) -> None:
        asyncio.get_running_loop().call_later(15, run.end)

    run: Run = play(script, prepare=end_early, holders=4, ramp_up="40s", duration="60s")
    assert (run.started, run.active) == (2, 0)
