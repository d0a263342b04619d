#!/usr/bin/env python3
"""Do agents, controller or wallet files grow with the steps that holders make?

A few holders in one agent go through the default scenario with short waits, for an hour unless told otherwise, and
memory is read twice a minute: the unique set size (USS) of the agent and of the controller, and the wallets' files in
tmpfs. The slope per step is that of a straight line through the readings after the first quarter, in which caches and
the allocator's pools fill.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

from local_run import (
    ControllerRun,
    MeasurementFailed,
    check_linux,
    exit_code,
    reference_services,
    reference_variables,
    verdict,
    wallet_files,
)

TARGET = 1024.0
"""Upper limit in bytes a step, for the agent, the controller and the files each."""
INTERVAL = 30.0
"""Seconds between two readings; a tenth of the run when that is shorter."""


class Reading(NamedTuple):
    """What is in use at a time. Memory in bytes."""

    steps: int
    failed: int
    agent: int
    controller: int
    files: int


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="how long holders make steps (default: 60)")
    parser.add_argument("--holders", type=int, default=20, help="(default: 20)")
    parser.add_argument("--wait", type=float, default=2, help="mean of a holder's waits in seconds (default: 2)")
    parser.add_argument("--storage", choices=("memory", "sqlite"), default="memory", help="(default: memory)")
    parser.add_argument("--port", type=int, default=9843, help="port of the reference services (default: 9843)")
    return parser.parse_args(argv)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run and print the figures."""
    check_linux()
    seconds = 60 * arguments.minutes
    with reference_services(folder / "reference", arguments.port) as services:
        variables = reference_variables(
            services,
            1,
            holders=arguments.holders,
            ramp_up=5,
            wait_min=arguments.wait / 2,
            wait_max=arguments.wait * 3 / 2,
            duration=f"{seconds:.0f}s",
            wallet_storage=arguments.storage,
        )
        with ControllerRun(folder / "run", variables) as run:
            run.go()
            readings = read(run, seconds)
            run.stop()
    print_slopes(readings)


def read(run: ControllerRun, seconds: float) -> list[Reading]:
    """Read, and print, until so many seconds are over."""
    (agent,) = run.agents()
    begun, readings = time.monotonic(), []
    interval = min(INTERVAL, seconds / 10)
    print(f"{'minutes':>8}{'steps':>9}{'failed':>8}{'agent':>12}{'controller':>12}{'wallet files':>14}", flush=True)
    for number in range(1, int(seconds / interval)):
        run.wait(max(0.0, begun + number * interval - time.monotonic()))
        counts = run.outcomes()
        memory = agent.memory_full_info().uss, run.controller.memory_full_info().uss, wallet_files(run)
        readings.append(Reading(counts["ok"], counts["failed"], *memory))
        shown = "".join(f"{value / 1e6:>9.2f} MB" for value in memory)
        print(f"{(time.monotonic() - begun) / 60:>8.1f}{counts['ok']:>9}{counts['failed']:>8}{shown}", flush=True)
    return readings


def print_slopes(readings: list[Reading]) -> None:
    """The growth per step after the first quarter."""
    later = readings[len(readings) // 4 :]
    steps = [reading.steps for reading in later]
    if len(set(steps)) < 2:
        raise MeasurementFailed("no steps were made")
    for name in ("agent", "controller", "files"):
        slope = statistics.linear_regression(steps, [getattr(reading, name) for reading in later]).slope
        print(f"{name:<12}{slope:9.0f} bytes a step, target {TARGET:.0f}: {verdict(slope, TARGET)}")


def main() -> int:
    """The command."""
    return exit_code(measure, parse())


if __name__ == "__main__":
    sys.exit(main())
