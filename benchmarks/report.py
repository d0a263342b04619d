#!/usr/bin/env python3
"""How long does the report of a million steps take, with how much memory, and how large is a journaled step?

One-hour journals, written by the controller's own code and compressed as they are when collected from a fleet. Then
``stampede report`` writes the report: page, rows and test cases.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from fleet_collect import write_host
from local_run import MeasurementFailed, exit_code, verdict
from playbook import row

SECONDS = 30.0
BYTES = 1e9
PAGE_BYTES = 6e6


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000, help="journaled steps in total (default: 1000000)")
    parser.add_argument("--hosts", type=int, default=1, help="load hosts to spread them over (default: 1)")
    return parser.parse_args(argv)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the journals and the report, and print the figures."""
    hosts = [f"load-{number + 1}" for number in range(arguments.hosts)]
    sizes = [write_host(folder / host, host, arguments.steps // len(hosts), seed) for seed, host in enumerate(hosts)]
    packed = sum((folder / host / "journal.lp.gz").stat().st_size for host in hosts)
    steps = arguments.steps // len(hosts) * len(hosts)
    program = str(Path(sys.executable).with_name("stampede"))
    began = time.monotonic()
    process = os.posix_spawn(program, [program, "report", str(folder)], os.environ, file_actions=_quietly())
    _, status, used = os.wait4(process, 0)
    seconds = time.monotonic() - began
    if status:
        raise MeasurementFailed(f"stampede report exited with {os.waitstatus_to_exitcode(status)}")
    memory = used.ru_maxrss * 1024
    page = (folder / "report.html").stat().st_size
    print(f"report of {steps:,} steps, load hosts: {len(hosts)} (journals with the samples of one hour):")
    row("time, CPU time", f"{seconds:.1f} s", f"{used.ru_utime + used.ru_stime:.1f} s")
    row("peak memory", f"{memory / 1e6:.0f} MB")
    row("report.html", f"{page / 1e6:.2f} MB")
    row("steps.csv.gz", f"{(folder / 'steps.csv.gz').stat().st_size / 1e6:.0f} MB")
    row("journal, per step", f"{sum(sizes) / steps:.0f} bytes")
    row("compressed journal, per step", f"{packed / steps:.0f} bytes")
    for what, value, most in (("time", seconds, SECONDS), ("memory", memory, BYTES), ("page", page, PAGE_BYTES)):
        print(f"{what}: {value / most:.2f} of the target, {verdict(value, most)}")


def _quietly() -> list[tuple[int, int, str, int, int]]:
    """Discards standard output."""
    return [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]


if __name__ == "__main__":
    sys.exit(exit_code(measure, parse()))
