#!/usr/bin/env python3
"""How many holders does one core of a load host bear, at the default scenario's pace (think times of 10 to 60 s)?

The controller and one agent share a core; the reference services have the others. For each number of holders, once
all have connected and been through a round, CPU of the agent and of the controller is measured for a while, with the
schedule lag (how late holders continue after a wait). A core bears so many holders as long as the lag's 99th
percentile is at most 20 ms in all but a twentieth of the seconds, the two use at most 90 % of it, and no step fails.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil
from local_run import (
    ControllerRun,
    MeasurementFailed,
    check_linux,
    cpu_seconds,
    exit_code,
    reference_services,
    reference_variables,
)

MOST_LAG = 0.020
"""Seconds."""
MOST_CPU = 0.9
"""Cores."""
CONNECTING = 0.35
"""Seconds of ramp-up a holder: connecting takes more CPU than all that follows, and is not what is measured."""
MIXED_AFTER = 240.0
"""Seconds from the last arrival until holders are at all places of the script: a round with its waits, which takes
35 s for each of 5.5 presentations and for the revocation. Until then there are too few revocations."""


class Figures(NamedTuple):
    """What so many holders took of the core."""

    holders: int
    agent: float
    """Cores."""
    controller: float
    services: float
    """Cores, of all reference services."""
    lag: float
    """Seconds: the 95th percentile of each second's 99th percentile."""
    steps: float
    """Steps a second."""
    failed: int

    @property
    def is_borne(self) -> bool:
        """Whether a core bears them."""
        return self.lag <= MOST_LAG and self.agent + self.controller <= MOST_CPU and not self.failed


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--holders", type=int, nargs="+", default=[200, 400, 600, 800], metavar="N", help="(default: 200 400 600 800)"
    )
    parser.add_argument("--seconds", type=float, default=120, help="time measured of each (default: 120)")
    parser.add_argument("--storage", choices=("memory", "sqlite"), default="memory", help="(default: memory)")
    parser.add_argument("--port", type=int, default=9843, help="port of the reference services (default: 9843)")
    return parser.parse_args(argv)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run for each number of holders until one is too many, and print the figures."""
    check_linux()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise MeasurementFailed("this machine has one core; two are needed, one of them for the reference services")
    own, others = cores[:1], cores[1:]
    print(f"{'holders':>8}{'agent':>9}{'controller':>12}{'a core':>8}{'services':>10}{'lag p99':>10}", end="")
    print(f"{'steps/s':>9}{'failed':>8}", flush=True)
    borne = []
    with reference_services(folder / "reference", arguments.port) as services:
        pin([psutil.Process(services["pid"])], others)
        for holders in sorted(arguments.holders):
            figures = run_holders(holders, arguments, services, own, folder / f"run-{holders}")
            print(
                f"{holders:>8}{figures.agent:>9.2f}{figures.controller:>12.3f}"
                f"{holders / (figures.agent + figures.controller):>8.0f}{figures.services:>10.2f}"
                f"{figures.lag * 1e3:>7.1f} ms{figures.steps:>9.1f}{figures.failed:>8}",
                flush=True,
            )
            if not figures.is_borne:
                break
            borne.append(holders)
    print(f"one core bears {max(borne)} of these" if borne else "one core bears none of these")


def run_holders(
    holders: int, arguments: argparse.Namespace, services: dict[str, object], own: list[int], folder: Path
) -> Figures:
    """Measure so many holders on the core ``own``, after their ramp-up."""
    variables = reference_variables(
        services,
        1,
        holders=holders,
        ramp_up=holders * CONNECTING,
        wait_min=10,
        wait_max=60,
        presentations_min=1,
        presentations_max=10,
        duration="2h",
        drain=5,
        wallet_storage=arguments.storage,
    )
    with ControllerRun(folder, variables) as run:
        pin([run.controller, *run.agents()], own)
        run.go()
        run.wait(holders * CONNECTING + MIXED_AFTER)
        before, lags = Reading.of(run, services), []
        for _ in range(round(arguments.seconds)):
            run.wait(1)
            lags.append(run.state["lag_p99"])
        after = Reading.of(run, services)
        seconds = after.time - before.time
        agent, controller, of_services = (
            (now - was) / seconds for was, now in zip(before.cpu, after.cpu, strict=True)
        )
        lag = statistics.quantiles(lags, n=20)[-1]
        ok, failed = ((after.steps[name] - before.steps[name]) for name in ("ok", "failed"))
        run.stop()
    return Figures(holders, agent, controller, of_services, lag, ok / seconds, failed)


class Reading(NamedTuple):
    """Time, CPU seconds of agent, controller and services, and steps by their outcome."""

    time: float
    cpu: tuple[float, float, float]
    steps: dict[str, int]

    @classmethod
    def of(cls, run: ControllerRun, services: dict[str, object]) -> Reading:
        """What they are now."""
        (agent,) = run.agents()
        tested = with_children(psutil.Process(int(str(services["pid"]))))
        cpu = cpu_seconds(agent), cpu_seconds(run.controller), sum(cpu_seconds(process) for process in tested)
        return cls(time.monotonic(), cpu, run.outcomes())


def pin(processes: list[psutil.Process], cores: list[int]) -> None:
    """Let processes, with their children and all threads, run on these cores only."""
    for root in processes:
        for process in with_children(root):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, cores)


def with_children(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that come from it."""
    return [process, *process.children(recursive=True)]


def main() -> int:
    """The command."""
    return exit_code(measure, parse())


if __name__ == "__main__":
    sys.exit(main())
