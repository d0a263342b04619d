#!/usr/bin/env python3
"""Does pushing to InfluxDB delay holders, does it lose points, and what does it cost?

Simulated holders record 2,000 steps per second; pacer, recorder, journal on disk, event loop and pusher are those of
a real run, and so is InfluxDB (Debian: apt install influxdb), which is started on this machine. Rounds with and
without push alternate. Lag is the time from when a holder was due until it continued.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests
from local_run import MeasurementFailed, cpu_seconds, exit_code, verdict
from pacing import quantile, waited_for_core

from controller.load.clock import Clock
from controller.load.gc_tuning import keep_pauses_short
from controller.load.pacing import Pacer
from controller.metrics.journal import Journal
from controller.metrics.live_figures import LiveFigures
from controller.metrics.push_process import PushProcess
from controller.metrics.recorder import Recorder, journaling
from stampede.load_models.interface import EndOfRun
from stampede.machine.ports import free_ports
from stampede.schema.push_progress import FILE as PUSH_FILE
from stampede.schema.records import Outcome
from stampede.schema.settings.influxdb_settings import Influxdb

TARGET = 1.2
"""Upper limit of the lag's 99th percentile with push, divided by that without."""
FLUSH = 30.0
STEPS = ("connect", "receive_credential", "present_proof", "request_revocation")
CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=2000, help="steps per second (default: 2000)")
    parser.add_argument("--seconds", type=float, default=10, help="length of each round (default: 10)")
    parser.add_argument("--pairs", type=int, default=8, help="pairs of rounds without and with push (default: 8)")
    return parser.parse_args(argv)


@dataclass
class Round:
    """The figures of one round, in seconds and bytes."""

    lags: list[float]
    steps: int
    journal: int
    core_wait: float
    pusher_cpu: float = 0.0
    pusher_rss: int = 0
    behind: float = 0.0
    """From the last step until InfluxDB had all points."""


@contextlib.contextmanager
def influxd(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Starts an InfluxDB for the benchmark; yields its URL and its process."""
    port = free_ports(2)
    folder.mkdir()
    file = folder / "influxdb.conf"
    file.write_text(CONFIGURATION.format(folder=folder, port=port, rpc=port + 1), encoding="utf-8")
    url = f"http://127.0.0.1:{port}"
    try:
        process = subprocess.Popen(["influxd", "-config", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise MeasurementFailed("influxd is not installed (Debian: apt install influxdb)") from None
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(requests.ConnectionError):
                query(url, "CREATE DATABASE stampede", post=True)
                break
            if time.monotonic() > deadline:
                raise MeasurementFailed("influxd does not answer")
            time.sleep(0.1)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def query(url: str, text: str, *, post: bool = False) -> list[dict[str, list[list[float]]]]:
    """The series of InfluxDB's response."""
    answer = requests.request(
        "POST" if post else "GET", f"{url}/query", params={"db": "stampede", "q": text}, timeout=30
    )
    answer.raise_for_status()
    return answer.json()["results"][0].get("series", [])  # type: ignore[no-any-return]


async def holder(number: int, rate: int, end: float, pacer: Pacer, clock: Clock, recorder: Recorder) -> None:
    """Records a step about once a second."""
    chance = random.Random(number)
    due = clock.now() + chance.uniform(0, 1)
    with contextlib.suppress(EndOfRun):
        while due < end:
            await pacer.until(due)
            now = clock.now()
            recorder.step(
                STEPS[number % len(STEPS)],
                Outcome.OK,
                start=now - chance.uniform(0.05, 2),
                due=due,
                holder=number,
                iteration=1,
                attempt=0,
                service="issuer",
            )
            due += chance.uniform(0.5, 1.5)


async def one_round(arguments: argparse.Namespace, folder: Path, url: str, *, push: bool) -> Round:
    """Record for the length of a round, with or without a pusher."""
    (folder / "logs").mkdir(parents=True)
    target = Influxdb(url, "stampede")
    with Journal(folder / "journal.lp", {"run": folder.name, "host": "local", "scenario": "benchmark"}) as journal:
        async with contextlib.AsyncExitStack() as stack:
            pusher, process = None, None
            if push:
                pusher = await stack.enter_async_context(PushProcess(target, "", FLUSH, folder))
                (child,) = (
                    child for child in psutil.Process().children() if "controller.metrics.push" in child.cmdline()
                )
                process = child
            await asyncio.sleep(2)  # the cost of starting a process is not measured
            clock = Clock()
            pacer = Pacer(clock)
            figures = LiveFigures()
            recorder = Recorder(clock, journaling(journal, clock), figures.step_ended)
            lags: list[float] = []
            keep_pauses_short()
            end = clock.now() + arguments.seconds
            core_wait, cpu, rss = waited_for_core(), cpu_seconds(process) if process else 0.0, 0
            holders = [
                asyncio.create_task(holder(number, arguments.rate, end, pacer, clock, recorder))
                for number in range(arguments.rate)
            ]
            while clock.now() < end:
                await asyncio.sleep(1)
                await asyncio.to_thread(journal.sync)
                lags += pacer.take_lags()
                rss = max(rss, process.memory_info().rss if process else 0)
            await asyncio.gather(*holders)
            lags += pacer.take_lags()
            core_wait = waited_for_core() - core_wait
            steps = figures.outcomes.total()
            found = Round(lags, steps, (folder / "journal.lp").stat().st_size, core_wait)
            if pusher and process:
                found.pusher_cpu, found.pusher_rss = cpu_seconds(process) - cpu, rss
                began = time.monotonic()
                await pusher.finish()
                found.behind = time.monotonic() - began
                check(folder, url, steps)
    return found


def check(folder: Path, url: str, steps: int) -> None:
    """Raises MeasurementFailed if InfluxDB does not have every step."""
    said = json.loads((folder / PUSH_FILE).read_text(encoding="utf-8"))
    (series,) = query(url, f"SELECT count(service_time) FROM step WHERE run = '{folder.name}'")
    counted = series["values"][0][1]
    if not said["complete"] or counted != steps or said["points"] != steps:
        raise MeasurementFailed(f"{steps} steps were recorded, InfluxDB has {counted}; the pusher says {said}")


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run and print the figures."""
    import uvloop

    p99s: dict[bool, list[float]] = {False: [], True: []}
    rounds = []
    with influxd(folder / "influxd") as (url, server):
        print(f"{arguments.rate} steps per second, {arguments.seconds:g} s per round")
        print("         p50 ms  p99 ms  max ms   steps  waited for a core")
        server_cpu = 0.0
        for number in range(arguments.pairs):
            for push in (number % 2 == 1, number % 2 == 0):  # each kind goes first equally often
                name = f"{'with' if push else 'without'}-{number}"
                before = cpu_seconds(server)
                found = asyncio.run(
                    one_round(arguments, folder / name, url, push=push), loop_factory=uvloop.new_event_loop
                )
                server_cpu += cpu_seconds(server) - before if push else 0.0
                p50, p99, most = (quantile(found.lags, share) * 1e3 for share in (0.5, 0.99, 1.0))
                waited = f"{found.core_wait / arguments.seconds:.3f} s per second"
                print(f"{name:<10}{p50:6.2f}  {p99:6.2f}  {most:6.2f}  {found.steps:6}  {waited}", flush=True)
                p99s[push].append(p99)
                rounds += [found] if push else []
    seconds, steps = arguments.seconds * len(rounds), sum(found.steps for found in rounds)
    cpu = sum(found.pusher_cpu for found in rounds)
    print(f"all {steps} steps of the rounds with push are in InfluxDB, each once")
    print(f"  pusher         {cpu / seconds:6.3f} cores, {cpu / steps * 1e6:.0f} us per step")
    print(f"  pusher memory  {max(found.pusher_rss for found in rounds) / 1e6:6.1f} MB at most")
    print(f"  last point in  {max(found.behind for found in rounds):6.2f} s after the last step, at most")
    print(f"  InfluxDB       {server_cpu / seconds:6.3f} cores")
    print(f"  on disk        {sum(found.journal for found in rounds) / steps:6.0f} bytes per journaled step")
    ratios = [with_push / without for with_push, without in zip(p99s[True], p99s[False], strict=True)]
    print(f"lag p99, ratio with/without push, by pair: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    with_push, without = (statistics.median(p99s[push]) for push in (True, False))
    ratio = with_push / without
    print(
        f"medians {with_push:.2f} and {without:.2f} ms: ratio {ratio:.2f}, target {TARGET}: {verdict(ratio, TARGET)}"
    )


def main() -> int:
    """The command."""
    return exit_code(measure, parse())


if __name__ == "__main__":
    sys.exit(main())
