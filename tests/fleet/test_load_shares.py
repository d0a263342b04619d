"""Every load model on three hosts with real agents: their shares come to the load that was asked for, exactly."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_client import WatchedPage

from stampede.analysis.collected_run import CollectedRun, read_run
from stampede.load_models.profile import Piece, Profile, at_random, evenly
from stampede.schema.records import EventKind
from stampede.schema.summary import LossKind

from .fleet import Fleet
from .playbooks import REPOSITORY, Playing, play
from .watching import watch

SEED = 7
ROUND = """
async def script(holder):
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    async for _ in holder.until_end_of_run():
        await holder.present_proof("verifier")
        await holder.wait(0.5, 1)
"""
VISIT = """
async def script(holder):
    await holder.connect_to_mediator()
    if type(holder.wallet).__name__ == "AcapyWallet":  # the trial and the dry run have no agents
        await holder.wait(15)
"""


class Due:
    """When what was done first by each holder, and in each round, was due: seconds from the start.

    The journal has a step's end and its response time, which counts from when it was due, so that this does not
    depend on how fast anything is.
    """

    def __init__(self, run: CollectedRun) -> None:
        steps, window = run.journal.steps, run.window
        assert window is not None
        end = (np.asarray(steps.end) - run.results.start_at * 1e9) / 1e9
        due = end - np.asarray(steps.response_time)
        self.first: dict[int, float] = {}
        self.rounds: dict[tuple[int, int], float] = {}
        for holder, iteration, moment in zip(steps.holder, steps.iteration, due, strict=True):
            self.first[holder] = min(self.first.get(holder, moment), moment)
            if iteration:
                key = holder, iteration
                self.rounds[key] = min(self.rounds.get(key, moment), moment)


def played(fleet: Fleet, folder: Path, model: str, services: dict[str, Any], **settings: Any) -> CollectedRun:
    script = folder / "round.py"
    script.write_text(ROUND)
    chosen = {"script": str(script), "seed": SEED, "ramp_up": 0, **settings}
    done = play(fleet, "run-test", run_id=model, results_dir=str(folder), load_model=model, **services, **chosen)
    assert done.code == 0, done.output
    run = read_run(folder / model)
    assert len(run.summary.hosts) == 3 and not run.summary.losses
    assert all(host.steps.ok for host in run.summary.hosts.values()), "each host has its share"
    return run


def test_arrivals_interleave(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    stages = [{"rate": "4/s", "over": "5s"}, {"rate": "2/s", "for": "10s"}, {"rate": 0, "for": "5s"}]
    visit = {"arrivals": "poisson", "iterations": 1, "holders": 60, "stages": stages}
    due = Due(played(fleet, tmp_path, "open", services, **visit)).first
    asked = Profile((Piece(5, 0, 4), Piece(10, 2, 2), Piece(5, 0, 0))).moments(at_random(SEED))
    assert due == pytest.approx(dict(enumerate(asked)), abs=0.01)


def test_arrivals_that_find_no_room_are_dropped_and_told(
    fleet: Fleet, services: dict[str, Any], tmp_path: Path
) -> None:
    """Holders stay for longer than the check could know: of 20 who come in ten seconds there is room for twelve."""
    script = tmp_path / "visit.py"
    script.write_text(VISIT)
    visit = {"load_model": "open", "rate": "2/s", "holders": 12, "ramp_up": 0, "duration": "10s", "iterations": 1}
    settings = {"script": str(script), "results_dir": str(tmp_path), **services, **visit}
    done = play(fleet, "run-test", run_id="dropped", **settings)
    assert done.code == 2, done.output
    assert "8 arrivals were dropped" in " ".join(done.output.split())
    run = read_run(tmp_path / "dropped")
    assert run.summary.run.outcome == "incomplete"
    assert {loss.kind for loss in run.summary.losses} == {LossKind.ARRIVALS}
    assert sum(loss.number for loss in run.summary.losses) == 8
    load = run.journal.load
    counted = {
        host: [int(load.column(name)[np.asarray(load.host) == number].sum()) for name in ("arrivals", "dropped")]
        for number, host in enumerate(run.journal.hosts.list)
    }
    assert sorted(counted.values()) == [[4, 2], [4, 3], [4, 3]]
    assert run.summary.steps["connect_to_mediator"].ok == 12


def test_rounds_begin_at_their_rate(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    run = played(fleet, tmp_path, "rounds", services, rate="1/s", holders=18, ramp_up="24s", duration="34s")
    due = Due(run)
    assert sorted(due.first.values()) == pytest.approx(
        sorted(24 * place / 6 for _, place in itertools.product(range(3), range(6))), abs=0.01
    )
    asked = [24 + moment for moment in Profile((Piece(10, 1, 1),)).moments(evenly())]
    assert sorted(due.rounds.values()) == pytest.approx(asked, abs=0.01)


def test_stages_come_and_go(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    stages = [{"holders": 6, "over": "6s"}, {"holders": 6, "for": "6s"}, {"holders": 0, "over": "6s"}]
    run = played(fleet, tmp_path, "closed", services, stages=stages)
    due = Due(run)
    assert sorted(due.first.values()) == pytest.approx(range(6), abs=0.01)
    last = {holder: max(moment for (who, _), moment in due.rounds.items() if who == holder) for holder in due.first}
    assert all(moment < 18 - due.first[holder] for holder, moment in last.items()), "who came last goes first"
    assert max(last.values()) > 12


def test_the_page_takes_all_hosts_on_to_the_next_stage(
    fleet: Fleet, services: dict[str, Any], tmp_path: Path
) -> None:
    script = tmp_path / "round.py"
    script.write_text(ROUND)
    stages = [{"rate": "1/s", "for": "10m"}, {"rate": "3/s", "over": "6s"}, {"rate": 0, "for": "6s"}]
    visit = {"arrivals": "poisson", "iterations": 1, "holders": 60, "stages": stages, "load_model": "open"}
    settings = {"script": str(script), "seed": SEED, "results_dir": str(tmp_path), **services, **visit}
    with Playing(fleet, "run-test", run_id="page", **settings) as playing:
        while watch(fleet.inventory, "--run", "page", "--json", "--once").returncode:
            assert not playing.ended, playing.output
        with WatchedPage(["-i", str(fleet.inventory), "--run", "page"], REPOSITORY) as page:
            wait_until(lambda: page.data()["next_stage"] == 2)
            assert page.data()["headline"].startswith("Running, stage 1 of 3, ")
            assert re.fullmatch(r"Stage 2 begins at ..:..:.. UTC\.", page.ask("next-stage"))
            done = playing.end()
            assert done.code == 0, done.output
            wait_until(lambda: page.data()["over"])
            data = page.data()
            page.end()
    run = read_run(tmp_path / "page")
    assert data["headline"] == "Ended; the run had no thresholds"
    assert [row[:2] for row in data["hosts"]] == [[name, ["done", "text"]] for name in sorted(run.summary.hosts)]
    assert {row[0]: row[1] for row in data["steps"]} == {
        name: f"{step.ok:,}" for name, step in run.summary.steps.items()
    }, "what the page counted is what the records say"

    cuts = {event.host: event.value for event in run.journal.events if event.kind == EventKind.NEXT_STAGE}
    assert len(cuts) == 3 and len(set(cuts.values())) == 1, "the same moment for all hosts"
    (cut,) = set(cuts.values())
    asked = Profile((Piece(cut, 1, 1), Piece(6, 1, 3), Piece(6, 0, 0))).moments(at_random(SEED))
    assert Due(run).first == pytest.approx(dict(enumerate(asked)), abs=0.01)
    assert not run.summary.losses and run.summary.run.outcome == "passed"


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 180
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.5)


def test_a_search_changes_the_load_of_all_hosts(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    pace = {"begin": 3, "settle": "4s", "hold": "6s", "confirm": "6s"}
    asked = {"holders": 12, "search": pace, "thresholds": ["p50 < 50 s"]}
    run = played(fleet, tmp_path, "search", services, **asked)
    search = run.summary.search
    assert search is not None and search.highest == 12 and search.lowest_broken is None
    assert [level.holders for level in search.levels] == [3, 6, 12, 12]
    changed: dict[str, list[tuple[int, float]]] = {}
    for event in run.journal.events:
        if event.kind == EventKind.LEVEL:
            changed.setdefault(event.host, []).append((int(event.value), event.time / 1e9))
    first, *others = changed.values()
    assert [holders for holders, _ in first] == [3, 6, 12, 12] and len(others) == 2
    for other in others:
        assert [holders for holders, _ in other] == [3, 6, 12, 12]
        assert [at for _, at in other] == pytest.approx([at for _, at in first], abs=0.5), "at the same moment"
    due = Due(run).first
    assert sorted(due.values())[:3] == pytest.approx([0, 2 / 3, 4 / 3], abs=0.01)
    assert len(due) == 12, "those who are there stay"


def test_flat_out_never_waits(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    run = played(fleet, tmp_path, "flat_out", services, holders=5, iterations=6, duration=0)
    steps = run.journal.steps
    assert sorted(set(steps.holder)) == list(range(5))
    assert dict.fromkeys(range(5), 6) == {
        holder: max(iteration for who, iteration in zip(steps.holder, steps.iteration, strict=True) if who == holder)
        for holder in range(5)
    }
    ends: dict[int, float] = {}
    gaps = []
    for holder, end, seconds in zip(steps.holder, steps.end, steps.service_time, strict=True):
        gaps.append(end / 1e9 - seconds - ends.get(holder, end / 1e9 - seconds))
        ends[holder] = end / 1e9
    assert sum(gap > 0.5 for gap in gaps) < 15, "a think time would come after each of 30 presentations"
