#!/usr/bin/env python3
"""How much CPU does the controller use relative to its agents?

Real holders go through the default scenario against the reference services, all on this machine. The CPU time of the
controller and of its agents is read at the start and at the end of the load phase.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import psutil
from local_run import (
    ControllerRun,
    exit_code,
    load_phase,
    reference_services,
    reference_variables,
    verdict,
)

TARGET = 0.10
"""Upper limit of the controller's CPU time divided by its agents'."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--holders", type=int, default=30, help="(default: 30)")
    parser.add_argument("--iterations", type=int, default=2, help="iterations per holder (default: 2)")
    parser.add_argument("--wait", type=float, nargs=2, default=(1, 3), metavar=("MIN", "MAX"), help="(default: 1 3)")
    parser.add_argument("--agents", type=int, default=0, help="agent processes (default: one per core)")
    parser.add_argument("--no-mediator", action="store_true", help="run without the mediator")
    parser.add_argument("--port", type=int, default=9843, help="port of the reference services (default: 9843)")
    return parser.parse_args(argv)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run and print the figures."""
    agents = arguments.agents or psutil.cpu_count() or 1
    with reference_services(folder / "reference", arguments.port) as services:
        variables = reference_variables(
            services,
            agents,
            holders=arguments.holders,
            iterations=arguments.iterations,
            wait_min=arguments.wait[0],
            wait_max=arguments.wait[1],
            mediator_did="" if arguments.no_mediator else services["mediator_did"],
        )
        with ControllerRun(folder / "run", variables) as run:
            phase = load_phase(run)
    print(f"{arguments.holders} holders, {agents} agents: {phase.ok} steps ok, {phase.failed} failed")
    print(f"in {phase.seconds:.0f} s, from the first step to the last:")
    for name, used in (("controller", phase.controller), ("agents", phase.agents)):
        cores, per_step = used / phase.seconds, used / phase.ok * 1e3
        print(f"  {name:<11}{used:8.2f} CPU-s  {cores:6.2f} cores  {per_step:7.2f} ms per step")
    p99, loop = (statistics.median(part) * 1e3 for part in zip(*phase.lags, strict=True))
    print(f"  lag, median over the seconds: schedule lag p99 {p99:.1f} ms, event loop lag max {loop:.1f} ms")
    share = phase.controller / phase.agents
    print(f"controller/agents {share:.1%}, target 10 %: {verdict(share, TARGET)}")


def main() -> int:
    """The command."""
    return exit_code(measure, parse())


if __name__ == "__main__":
    sys.exit(main())
