"""The figures of benchmarks/peer.py, by holders that take what is known beforehand."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SECONDS = {"connect": 2.0, "receive": 5.0, "present": 7.0}
"""CPU of a holder in a stage of the first round; in each later one it is half a second more."""


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    found = importlib.import_module("peer")
    monkeypatch.setattr(found.time, "sleep", lambda seconds: None)
    return found


class Holders:
    """A kind of which a holder takes 3 s to be made ready, 1 MB and 40 kB of files, and all together 100 s, 50 MB."""

    def __init__(self, holders: int, done: Counter[str]) -> None:
        self._holders, self._done = holders, done
        self.made_ready = self._used = 100.0 + 3.0 * holders

    @property
    def processes(self) -> list[Any]:
        half = SimpleNamespace(
            cpu_times=lambda: SimpleNamespace(user=self._used / 2, system=0.0),
            memory_full_info=lambda: SimpleNamespace(pss=(50_000_000 + self._holders * 1_000_000) // 2),
        )
        return [half, half]

    def go_through(self, stage: str, number: int) -> None:
        self._used += self._holders * (SECONDS[stage] + number / 2)
        self._done["accepted"] += self._holders * (stage == "receive")
        self._done["verified"] += self._holders * (stage == "present")

    def collect_garbage(self) -> None:
        pass

    def files(self) -> int:
        return 7 + 40_000 * self._holders


@pytest.mark.parametrize(("wallets", "runs"), [(0, [2, 10]), (1000, [2, 10, 1000])])
def test_each_holder_is_given_its_part(
    wallets: int, runs: list[int], peer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, made = Counter(accepted=5, verified=4, failed=1), []  # of whoever was there before
    monkeypatch.setattr(peer, "counts", lambda services: dict(done))

    @contextlib.contextmanager
    def make(holders: int) -> Iterator[Holders]:
        made.append(holders)
        yield Holders(holders, done)

    arguments = peer.parse(["--holders", "10", "--rounds", "3", "--settle", "0"])
    found = peer.figures("known", make, arguments, {}, wallets)
    assert made == runs
    assert found.ready == pytest.approx(3.0)
    assert found.steps == {
        "connect": pytest.approx([2.0, 2.5, 3.0]),
        "receive": pytest.approx([3.0, 3.0, 3.0]),
        "present": pytest.approx([7.0, 7.5, 8.0]),
    }
    assert (found.memory, found.files) == (1_000_000, 40_000)
    assert found.whole == 60_000_000 + 400_007


def test_proofs_that_the_verifier_did_not_verify_are_told(peer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    done = Counter(accepted=0, verified=0, failed=0)
    monkeypatch.setattr(peer, "counts", lambda services: dict(done) | {"verified": 0, "failed": done["verified"]})

    @contextlib.contextmanager
    def make(holders: int) -> Iterator[Holders]:
        yield Holders(holders, done)

    arguments = peer.parse(["--rounds", "1", "--settle", "0"])
    said = r"known: the services report .*'verified': 0, 'failed': 2.*; accepted and verified must be 2 and failed 0"
    with pytest.raises(peer.MeasurementFailed, match=said):
        peer.figures("known", make, arguments, {})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--holders", "2"], "--holders is 2; it must be 3 or more"),
        (["--rounds", "0"], "--rounds is 0; it must be 1 or more"),
        (["--at-once", "0"], "--at-once is 0; it must be 1 or more"),
        (["--per-process", "-1"], "--per-process is -1; it must be 0 or more"),
    ],
)
def test_numbers_that_cannot_be_compared_are_refused(
    words: list[str], said: str, peer: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        peer.parse(words)
    assert said in capsys.readouterr().err


def test_the_table_has_what_credo_takes_for_each_of_ours(
    peer: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def side(factor: float) -> Any:
        steps = {stage: [seconds * factor, 3 * factor, 1 * factor] for stage, seconds in SECONDS.items()}
        return peer.Figures(0.01 * factor, steps, 2e6 * factor, 1e6 * factor, int(30e6 * factor))

    peer.print_figures(side(1), side(4), 20, 8)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "20 holders; Credo in 3 processes; 0 steps failed"
    rows = {line[:34].strip(): line[34:].split() for line in printed}
    assert rows["made ready"] == ["10.0", "ms", "40.0", "ms", "4.0"]
    assert rows["receive, first round"] == ["5000.0", "ms", "20000.0", "ms", "4.0"]
    assert rows["present, median of later rounds"] == ["2000.0", "ms", "8000.0", "ms", "4.0"]
    assert rows["made ready, and the last round"] == ["3010.0", "ms", "12040.0", "ms", "4.0"]
    assert rows["an additional holder, PSS"] == ["2.00", "MB", "8.00", "MB", "4.0"]
    assert rows["all 20, with everything"] == ["30.00", "MB", "120.00", "MB", "4.0"]


def test_a_failed_step_of_our_holders_is_counted_and_ends_the_measurement(peer: ModuleType, tmp_path: Path) -> None:
    idle = SimpleNamespace(cpu_times=lambda: SimpleNamespace(user=1.0, system=0.5))
    steps = {"connect": {"ok": 3, "failed": 1}, "request_invitation": {"ok": 4, "failed": 2}}
    run = SimpleNamespace(controller=idle, agents=lambda: [idle], go=lambda: None, steps=lambda: steps, over=False)
    side = importlib.import_module("sides").Stampede(run, tmp_path, 6)
    assert side.made_ready == 3.0
    with pytest.raises(peer.MeasurementFailed, match=r"^Stampede, connect of round 2: 3 steps failed; .*"):
        side.go_through("connect", 1)
    assert (tmp_path / "connect-1").exists(), "the holders were told"
