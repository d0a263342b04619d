#!/usr/bin/env python3
"""How much of an agent's CPU does Stampede's launcher (controller/agents/launcher.py) save?

The same holders go through the default scenario, in turns with agents started by the launcher, with each storage of
wallets that needs no server, and by plain ACA-Py, which has SQLite.
Few holders at a time, because plain ACA-Py on SQLite stalls with many; failed steps are counted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from local_run import ControllerRun, exit_code, load_phase, reference_services, reference_variables

VARIANTS = {
    "launcher, memory": ("", "memory"),
    "launcher, sqlite": ("", "sqlite"),
    "plain ACA-Py": ("acapy_agent", "sqlite"),
}
"""What starts the agents (empty: the launcher), and ``stampede_wallet_storage``."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--holders", type=int, default=4, help="(default: 4)")
    parser.add_argument("--iterations", type=int, default=6, help="iterations per holder (default: 6)")
    parser.add_argument("--turns", type=int, default=2, help="runs of each (default: 2)")
    parser.add_argument("--port", type=int, default=9843, help="port of the reference services (default: 9843)")
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="which ones (default: all)"
    )
    return parser.parse_args(argv)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run and print the figures."""
    per_step: dict[str, list[float]] = {name: [] for name in arguments.variants}
    with reference_services(folder / "reference", arguments.port) as services:
        for turn in range(arguments.turns):
            for name in arguments.variants:
                module, storage = VARIANTS[name]
                variables = reference_variables(
                    services,
                    1,
                    holders=arguments.holders,
                    iterations=arguments.iterations,
                    ramp_up=2,
                    wait_min=0.2,
                    wait_max=0.6,
                    wallet_storage=storage,
                )
                with ControllerRun(folder / f"run-{turn}-{name.split()[-1]}", variables, module) as run:
                    phase = load_phase(run)
                per_step[name].append(phase.agents / phase.ok)
                print(
                    f"{name:<16}{per_step[name][-1] * 1e3:8.1f} ms of agent CPU per step; "
                    f"{phase.ok} steps ok, {phase.failed} failed, {phase.seconds:.0f} s",
                    flush=True,
                )
    medians = {name: statistics.median(figures) for name, figures in per_step.items()}
    last = list(medians)[-1]
    for name, median in medians.items():
        print(f"{name:<16}{median * 1e3:8.1f} ms, {median / medians[last]:.2f} of {last}")


def main() -> int:
    """The command."""
    return exit_code(measure, parse())


if __name__ == "__main__":
    sys.exit(main())
