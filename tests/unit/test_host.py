"""A host's part in a run, up to the word to start."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from unittest.mock import MagicMock

import pytest

from controller.agents import pool
from controller.agents.egress_guard import REFUSED
from controller.host import host_run as host
from controller.host.host_run import HostRun
from controller.host.leftovers import remove_leftovers, remove_services
from controller.host.reporter import Reporter
from controller.metrics.journal import Journal
from stampede.schema.line_protocol import decode
from stampede.schema.push_progress import PushProgress
from stampede.schema.settings.influxdb_settings import Influxdb
from stampede.schema.settings.run_settings import Settings


class NoAgents:
    """Stands in for the pool of agents."""

    def __init__(self, *_: Any) -> None:
        self.agents: list[Any] = []
        self.ready = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def start(self) -> None:
        pass

    def get(self, number: int) -> None:
        pass


@pytest.fixture
def host_run(variables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostRun:
    async def script(holder: Any) -> None:
        await holder.wait(1000)

    monkeypatch.setattr(host, "AgentPool", NoAgents)
    monkeypatch.setattr(host, "GO_MARGIN", 1.5)
    monkeypatch.setattr(HostRun, "_follow_signals", lambda self: None)
    return HostRun(script, Settings.from_variables(variables | {"stampede_arm_timeout": "0.5s"}), tmp_path)


def state(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "state.json").read_text())


async def test_an_armed_host_that_is_never_told_to_start_ends_by_itself(host_run: HostRun, tmp_path: Path) -> None:
    assert await host_run.go_through() == 3
    ended = state(tmp_path)
    assert ended["phase"] == "failed"
    assert ended["message"] == (
        "local was armed for 2 s and was not told to start, so it ended; run-test.yml may have been ended on the "
        "control node"
    )


async def test_a_host_that_is_armed_says_so_before_it_is_measured_again(
    host_run: HostRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reporter, "report", lambda self: asyncio.Event().wait())
    going = asyncio.create_task(host_run.go_through())
    while not (tmp_path / "state.json").exists() and not going.done():
        await asyncio.sleep(0.01)
    assert state(tmp_path)["phase"] == "armed"
    host_run.stop()
    assert await going == 0


def test_the_journal_says_how_many_of_what_was_dropped_were_rounds(tmp_path: Path) -> None:
    run = MagicMock(started=9, rounds=7, dropped=2, rounds_dropped=3, active=1, finished=8, stopped=0)
    run.clock.now_ns, run.recorder.in_flight, run.pacer.take_lags = time.time_ns, 1, list
    with Journal(tmp_path / "journal.lp", {"run": "r", "host": "h"}) as journal:
        reporter = Reporter(run, MagicMock(agents=[], ready=9), journal, MagicMock(), MagicMock())
        for dropped in (3, 7):
            run.rounds_dropped = dropped
            reporter.finish()
    found = [decode(line).fields for line in (tmp_path / "journal.lp").read_text().splitlines()]
    assert [(each["dropped"], each["rounds_dropped"]) for each in found] == [(5, 3), (4, 4)]


class EndlessPush:
    """Stands in for a pusher whose InfluxDB is away."""

    def __init__(self, *_: Any) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def finish(self) -> None:
        await asyncio.Event().wait()

    def progress(self) -> PushProgress:
        return PushProgress(error="InfluxDB cannot be reached")


async def test_one_need_not_wait_for_influxdb_at_the_end(
    variables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host_run: HostRun
) -> None:
    async def script(holder: Any) -> None:
        pass

    monkeypatch.setattr(host, "PushProcess", EndlessPush)
    settings = replace(
        Settings.from_variables(variables | {"stampede_ramp_up": 0}), influxdb=Influxdb("https://i.example.org", "d")
    )
    run = HostRun(script, settings, tmp_path)
    (tmp_path / "go.json").write_text(json.dumps({"start_at": time.time()}))
    going = asyncio.create_task(run.go_through())
    async with asyncio.timeout(30):
        while not (tmp_path / "state.json").exists() or state(tmp_path)["phase"] != "pushing":
            await asyncio.sleep(0.05)
    assert not going.done()
    run.stop()
    assert await going == 0
    ended = state(tmp_path)
    assert (ended["phase"], ended["message"], ended["push"]["complete"]) == ("done", "", False)
    assert "stop_requested" not in (tmp_path / "journal.lp").read_text()


def test_wallets_of_a_killed_controller_are_removed_and_those_of_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "TMPFS", tmp_path)
    with subprocess.Popen(["true"]) as process:
        pass  # its process id is nobody's now
    left = tmp_path / f"stampede-{process.pid}-abc"
    (left / "agent-0").mkdir(parents=True)
    own, foreign = pool.create_wallet_dir(tmp_path), tmp_path / "stampede-notes"
    foreign.mkdir()
    remove_leftovers(tmp_path / "run")
    assert sorted(tmp_path.iterdir()) == sorted([own, foreign])


def test_folders_of_services_that_run_no_more_are_removed_and_those_in_use_are_not(tmp_path: Path) -> None:
    for name in ("over", "in-use", "just-made"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ca.pem").touch()
        os.utime(tmp_path / name, (time.time() - 60, time.time() - 60))
    os.utime(tmp_path / "just-made")
    (tmp_path / "elsewhere").symlink_to("just-made")
    words = [
        sys.executable,
        "-c",
        "import time; print(flush=True); time.sleep(60)",
        "--dir",
        str(tmp_path / "in-use"),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as services:
        assert services.stdout is not None
        services.stdout.readline()  # until then the process may have no command line
        removed = remove_services(tmp_path)
        services.kill()
    assert removed == [tmp_path / "over"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "in-use", "just-made"]


async def test_what_happens_has_the_clock_of_the_steps(
    host_run: HostRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the host's clock is set back by a day meanwhile."""
    now = time.time_ns
    (tmp_path / "go.json").write_text(json.dumps({"start_at": time.time()}))
    going = asyncio.create_task(host_run.go_through())
    async with asyncio.timeout(120):
        while not (tmp_path / "state.json").exists() or state(tmp_path)["phase"] != "running":
            await asyncio.sleep(0.05)
    monkeypatch.setattr(time, "time_ns", lambda: now() - 86_400 * 10**9)
    host_run.stop()
    assert await going == 0
    lines = (tmp_path / "journal.lp").read_text().splitlines()
    moments = [int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(("event,", "load,"))]
    assert len(moments) > 4 and max(moments) - min(moments) < 60 * 10**9


async def test_a_host_that_an_agent_was_kept_from_ends_the_run(host_run: HostRun, tmp_path: Path) -> None:
    (tmp_path / REFUSED).write_text("A holder agent tried to send a request, but no.\n")
    assert await host_run.go_through() == 2
    ended = state(tmp_path)
    assert (ended["phase"], ended["message"]) == (
        "failed",
        "A holder agent tried to send a request, but no.",
    )
