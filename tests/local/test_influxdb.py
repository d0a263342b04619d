"""Points in a real InfluxDB, and in a server that speaks the v2 write API, equal the journal's."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from influxdb_servers import PASSWORD, Influxd, VictoriaMetrics, running
from local_playbook import Playbook, play_with
from points import expected, has_all_of, journal_lines

from controller.metrics.journal import Journal
from controller.metrics.push_process import PushProcess
from controller.metrics.recorder import Recorder, journaling
from stampede.schema.records import EventKind, EventRecord, Outcome
from stampede.schema.settings.influxdb_settings import Influxdb

SHORT = {"holders": 2, "iterations": 1, "wait_min": 0.1, "wait_max": 0.3, "presentations_max": 2}


@pytest.fixture
def influxd() -> Iterator[Influxd]:
    with running(Influxd) as server:
        yield server


@pytest.fixture
def victoria_metrics() -> Iterator[VictoriaMetrics]:
    with running(VictoriaMetrics) as server:
        yield server


class WallClock:
    """The time of day as a run's clock."""

    def now(self) -> float:
        return time.time()

    def epoch_ns(self, moment: float) -> int:
        return int(moment * 1e9)


class Writer:
    """Records steps in a journal, as a run does."""

    def __init__(self, folder: Path) -> None:
        (folder / "logs").mkdir()
        self.folder = folder
        self.journal = Journal(folder / "journal.lp", {"run": "r 1", "host": "load-1", "scenario": "s"})
        self._recorder = Recorder(WallClock(), journaling(self.journal, WallClock()))

    def steps(self, count: int) -> None:
        for number in range(count):
            now = time.time()
            more = {"error": "timeout", "detail": 'no "answer", \\ none'} if number % 10 == 0 else {}
            self._recorder.step(
                ("connect", "present_proof")[number % 2],
                Outcome.FAILED if more else Outcome.OK,
                start=now - 0.001 * (number % 97),
                due=now - 0.002 * (number % 89),
                holder=number,
                iteration=0,
                attempt=0,
                **more,
            )
        self.journal.write(EventRecord(EventKind.PHASE, "done"), time.time_ns())

    def push(self, server: Influxdb, secret: str = PASSWORD, flush: float = 60) -> PushProcess:
        return PushProcess(server, secret, flush, self.folder)

    def said(self) -> dict[str, Any]:
        return json.loads((self.folder / "push.json").read_text())

    async def until(self, condition: Any) -> None:
        """Return as soon as push.json satisfies the condition."""
        async with asyncio.timeout(60):
            while not ((self.folder / "push.json").exists() and condition(self.said())):
                await asyncio.sleep(0.05)


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


def at(server: Influxd, **changes: str) -> Influxdb:
    return Influxdb(**{"url": server.url, "database": "stampede", "user": "writer"} | changes)


def replay(folder: Path, server: Influxd, *options: str, password: str = PASSWORD) -> tuple[int, str]:
    """Exit code and output of ``stampede replay``."""
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("stampede"), "replay", folder),
            *("--url", server.url, "--database", "stampede", "--user", "writer", *options),
        ],
        env=os.environ | {"STAMPEDE_INFLUXDB_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


async def test_influxdb_goes_away_in_mid_run_and_comes_back(writer: Writer, influxd: Influxd) -> None:
    with writer.journal:
        async with writer.push(at(influxd)) as push:
            writer.steps(7000)
            await writer.until(lambda said: said["points"] == 7001)
            influxd.stop()
            writer.steps(3000)
            await writer.until(lambda said: said["error"])
            assert "Connection refused" in push.progress().error and push.progress().behind > 0
            influxd.start()
            writer.steps(2000)
            await push.finish()
    said = writer.said()
    assert said["complete"] and said["points"] == 12003 and not said["error"] and said["behind"] == 0
    has_all_of(influxd, writer.folder / "journal.lp")


async def test_events_have_numbers_of_one_type(writer: Writer, influxd: Influxd) -> None:
    with writer.journal:
        async with writer.push(at(influxd)) as push:
            for kind, value in ((EventKind.PHASE, 0.0), (EventKind.LEVEL, 4), (EventKind.NEXT_STAGE, 2.5)):
                writer.journal.write(EventRecord(kind, "text", value), time.time_ns())
            await push.finish()
    assert writer.said()["complete"] and writer.said()["points"] == 3, writer.said()
    has_all_of(influxd, writer.folder / "journal.lp")


async def test_down_to_the_end_it_is_replayed_and_no_point_made_twice(writer: Writer, influxd: Influxd) -> None:
    influxd.stop()
    with writer.journal:
        async with writer.push(at(influxd), flush=0.5) as push:
            writer.steps(6000)
            await writer.until(lambda said: said["error"])
            await push.finish()
    assert not writer.said()["complete"] and writer.said()["behind"] == (writer.folder / "journal.lp").stat().st_size
    with (writer.folder / "journal.lp").open("a") as journal:
        journal.write("step,run=r,host=load-1,scenario=s,step=torn")  # as kill -9 leaves it
    influxd.start()

    code, output = replay(writer.folder, influxd, "--dry-run")
    assert code == 0 and "6,001 points would be pushed" in output
    assert influxd.query("SELECT count(service_time) FROM step") == []
    results = writer.folder / "collected"
    (results / "load-1").mkdir(parents=True)
    packed = results / "load-1/journal.lp.gz"
    packed.write_bytes(gzip.compress((writer.folder / "journal.lp").read_bytes()))
    journal_file = writer.folder / "whole.lp"
    journal_file.write_text("".join(line for line in journal_lines(packed) if line.endswith("\n")))
    for folder in (writer.folder, results):
        code, output = replay(folder, influxd)
        assert code == 0 and "6,001 points of 1 host are in InfluxDB" in output
        has_all_of(influxd, journal_file)

    code, output = replay(results, influxd, password="wrong")
    assert code == 1 and "answered 401: user, password or token is wrong" in output
    code, output = replay(results / "nowhere", influxd)
    assert code == 2 and "does not exist" in output


async def test_a_pusher_that_is_killed_is_started_again_and_goes_on(writer: Writer, influxd: Influxd) -> None:
    with writer.journal:
        async with writer.push(at(influxd)) as push:
            writer.steps(5000)
            await writer.until(lambda said: said["points"] == 5001)
            (process,) = pushers(writer.folder)
            assert PASSWORD not in " ".join(process.cmdline()) and PASSWORD not in str(process.environ())
            process.kill()
            writer.steps(1000)
            await writer.until(lambda said: said["points"] == 6002)
            await push.finish()
    assert writer.said()["complete"]
    assert pushers(writer.folder) == []
    has_all_of(influxd, writer.folder / "journal.lp")
    for file in writer.folder.rglob("*"):
        assert file.is_dir() or PASSWORD not in file.read_text(), file


def pushers(folder: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "controller.metrics.push" in (process.info["cmdline"] or ()) and str(folder) in process.info["cmdline"]
    ]


def test_no_pusher_outlives_its_controller(tmp_path: Path, influxd: Influxd) -> None:
    (tmp_path / "logs").mkdir()
    controller = textwrap.dedent(f"""
        import asyncio, os, signal
        from pathlib import Path
        from controller.metrics.push_process import PushProcess
        from stampede.schema.settings.influxdb_settings import Influxdb
        async def main():
            Path("journal.lp").touch()
            async with PushProcess(Influxdb({influxd.url!r}, "stampede"), "", 60, Path.cwd()):
                while not Path("push.json").exists():
                    await asyncio.sleep(0.05)
                os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
        """)
    (tmp_path / "journal.lp").write_text("event,run=r x=1 1\n")
    done = subprocess.run([sys.executable, "-c", controller], cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while pushers(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_bad_lines_cost_nothing_but_themselves(writer: Writer, influxd: Influxd) -> None:
    with writer.journal:
        async with writer.push(at(influxd)) as push:
            writer.steps(100)
            with (writer.folder / "journal.lp").open("a") as journal:
                journal.write("garbage\n")
                text = 'step,run=r,host=load-1,scenario=s,step=x,outcome=ok service_time="text"'
                journal.write(f"{text} {time.time_ns()}\n")  # of another type than the field has
            writer.steps(100)
            await push.finish()
    said = writer.said()
    assert said["points"] == 202 and said["rejected"] == 2 and not said["complete"] and said["behind"] == 0
    assert "garbage" in said["first_rejected"]
    lines = [line for line in journal_lines(writer.folder / "journal.lp") if not re.match('garbage|.*="text"', line)]
    (writer.folder / "good.lp").write_text("".join(lines))
    has_all_of(influxd, writer.folder / "good.lp")


async def until_all_are_found(server: VictoriaMetrics, count: int) -> dict[tuple[str, str], list[float]]:
    """The values of the steps; on a busy machine the server shows what was written a little later."""
    for _ in range(60):
        found = server.values("step_service_time")
        if sum(map(len, found.values())) >= count:
            break
        await asyncio.sleep(0.5)
    return found


async def test_the_v2_write_api(writer: Writer, victoria_metrics: VictoriaMetrics) -> None:
    target = Influxdb(victoria_metrics.url, org="-", bucket="stampede")
    with writer.journal:
        async with writer.push(target, "a-token") as push:
            writer.steps(2000)
            await writer.until(lambda said: said["points"] == 2001)
            victoria_metrics.stop()
            writer.steps(5000)
            await writer.until(lambda said: said["error"])
            victoria_metrics.start()
            await push.finish()
    assert writer.said()["complete"] and writer.said()["points"] == 7002
    journaled = expected([writer.folder / "journal.lp"], "step", "service_time", "step", "outcome")
    found = await until_all_are_found(victoria_metrics, sum(count for count, _ in journaled.values()))
    assert found.keys() == journaled.keys()
    for key, (count, total) in journaled.items():
        assert len(found[key]) == count
        assert sum(found[key]) == pytest.approx(total, rel=1e-9)


def test_a_run_and_its_replay(playbook: Playbook, influxd: Influxd) -> None:
    settings = {
        "metrics": "existing",
        "influxdb_url": influxd.url,
        "influxdb_user": "writer",
        "secrets": {"influxdb_password": PASSWORD},
    }
    code, output = playbook.run(**SHORT, **settings)
    assert code == 0, output
    files = list(playbook.results.glob("*/journal.lp.gz"))
    assert json.loads((playbook.results / "local/push.json").read_text())["complete"]
    has_all_of(influxd, *files)

    code, replayed = play_with(
        "replay",
        {
            "stampede_run_dir": str(playbook.results),
            "stampede_influxdb_url": influxd.url,
            "stampede_influxdb_user": "writer",
            "stampede_secrets": settings["secrets"],
        },
    )
    assert code == 0, replayed
    has_all_of(influxd, *files)

    assert PASSWORD not in output + replayed
    for folder in (playbook.results, playbook.run_dir):
        for file in folder.rglob("*"):
            if file.is_file():
                text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
                assert PASSWORD.encode() not in text, file


def test_a_run_without_its_influxdb_is_fine_and_replayed(playbook: Playbook, influxd: Influxd) -> None:
    influxd.stop()
    settings = {
        "stampede_influxdb_url": influxd.url,
        "stampede_influxdb_user": "writer",
        "stampede_secrets": {"influxdb_password": PASSWORD},
    }
    short = {name.removeprefix("stampede_"): value for name, value in settings.items()}
    code, output = playbook.run(**SHORT, metrics="existing", influxdb_flush="0.5s", **short)
    assert code == 0, output
    assert "[WARNING]" in output and "cannot be reached: Connection refused" in output
    assert "Passed: no step failed" in output and "stampede replay" in output
    influxd.start()
    code, output = play_with("replay", {"stampede_run_dir": str(playbook.results)} | settings)
    assert code == 0, output
    has_all_of(influxd, *playbook.results.glob("*/journal.lp.gz"))
    assert playbook.left_running() == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"influxdb_database": "other"}, "(database other) answered 404: there is no such database"),
        ({"secrets": {"influxdb_password": "other"}}, "answered 401: user, password or token is wrong"),
    ],
)
def test_a_run_is_refused_when_points_cannot_be_pushed(
    playbook: Playbook, influxd: Influxd, changes: dict[str, Any], sentence: str
) -> None:
    settings = {"influxdb_url": influxd.url, "influxdb_user": "writer", "secrets": {"influxdb_password": PASSWORD}}
    code, output = playbook.run(**SHORT, metrics="existing", **settings | changes)
    assert code != 0
    (error,) = re.findall(r"^\[ERROR\] local: (.*)$", output, re.MULTILINE)
    assert error.startswith("Points cannot be pushed: InfluxDB at") and sentence in error
    assert not playbook.run_dir.exists()
