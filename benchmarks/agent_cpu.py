#!/usr/bin/env python3
"""How much of an agent's CPU do Stampede's launcher and its patches of ACA-Py (controller/acapy_patches) save?

The same holders go through the default scenario in turns, with agents started in different ways: by plain ACA-Py, by
the launcher with none of the patches and with all of them. --each adds a run with each patch alone, and one without
it. Few holders at a time, because plain ACA-Py on SQLite stalls with many; failed steps are counted. The figures are
medians of the turns, each as a ratio to plain ACA-Py of the same turn. What is used beside an agent's main thread is,
with all patches, AnonCreds: the floor; Askar's threads come on top where wallets are in SQLite.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

from local_run import ControllerRun, LoadPhase, exit_code, load_phase, reference_services, reference_variables

from stampede.schema.settings.agent_patches import ALL, DEPENDENTS

PLAIN = "plain ACA-Py"
OLD = ("nested_loops", "cache_scan")
"""The patches that save CPU and that the launcher of Stampede 0.1 had."""
NEW = tuple(name for name, dependents in DEPENDENTS.items() if not dependents and name not in OLD)
QUICK = {"turns": 1, "iterations": 2}


@dataclass(frozen=True)
class Variant:
    """A way to start the agents."""

    name: str
    patches: dict[str, bool] = field(default_factory=dict)
    """``stampede_agent_patches``."""
    module: str = ""
    """What starts the agents in the launcher's place."""


def variants(each: list[str]) -> list[Variant]:
    """All that are compared, with those of ``each`` alone and left out. Plain ACA-Py is the first."""
    return [
        Variant(PLAIN, {ALL: False}, "acapy_agent"),
        Variant("launcher, no patches", {ALL: False}),
        Variant("launcher of 0.1", dict.fromkeys(NEW, False)),
        Variant("launcher, all patches"),
        *(Variant(f"{name} alone", {ALL: False, name: True}) for name in each),
        *(Variant(f"without {name}", {name: False}) for name in each),
    ]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--holders", type=int, default=4, help="(default: 4)")
    parser.add_argument("--iterations", type=int, default=6, help="iterations per holder (default: 6)")
    parser.add_argument("--turns", type=int, default=5, help="runs per variant (default: 5)")
    parser.add_argument(
        "--each",
        nargs="*",
        choices=tuple(DEPENDENTS),
        metavar="PATCH",
        help="measure each of these patches alone, and all without it; those that only save CPU if none is named",
    )
    parser.add_argument("--quick", action="store_true", help="one short turn: shows that it works, not what it saves")
    parser.add_argument("--port", type=int, default=9843, help="port of the reference services (default: 9843)")
    arguments = parser.parse_args(argv)
    if arguments.quick:
        vars(arguments).update(QUICK)
    if arguments.each == []:
        arguments.each = [name for name, dependents in DEPENDENTS.items() if not dependents]
    return arguments


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run and print the figures."""
    compared = variants(arguments.each or [])
    per_step: dict[str, list[float]] = {variant.name: [] for variant in compared}
    with reference_services(folder / "reference", arguments.port) as services:
        for turn in range(arguments.turns):
            for number, variant in enumerate(compared):
                variables = reference_variables(
                    services,
                    1,
                    holders=arguments.holders,
                    iterations=arguments.iterations,
                    ramp_up=2,
                    wait_min=0.2,
                    wait_max=0.6,
                    agent_patches=variant.patches,
                )
                with ControllerRun(folder / f"run-{turn}-{number}", variables, variant.module) as run:
                    phase = load_phase(run)
                per_step[variant.name].append(phase.agents / phase.ok)
                print_run(variant, phase)
    print_ratios(per_step)


def print_run(variant: Variant, phase: LoadPhase) -> None:
    """One run's figures."""
    print(
        f"{variant.name:<26}{phase.agents / phase.ok * 1e3:8.1f} ms of agent CPU per step, "
        f"{phase.agents_beside / phase.ok * 1e3:.1f} of which beside its main thread, "
        f"{phase.controller / phase.ok * 1e3:.2f} ms of the controller's; "
        f"{phase.ok} steps ok, {phase.failed} failed, {phase.seconds:.0f} s",
        flush=True,
    )


def print_ratios(per_step: dict[str, list[float]]) -> None:
    """Each variant's median, and its ratio to plain ACA-Py."""
    plain = per_step[PLAIN]
    print(f"\n{'':<26}  ms a step  ratio to {PLAIN} (least and most of the turns)")
    for name, values in per_step.items():
        ratios = [value / base for value, base in zip(values, plain, strict=True)]
        milliseconds, ratio = statistics.median(values) * 1e3, statistics.median(ratios)
        print(f"{name:<26}{milliseconds:11.1f}  {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def main() -> int:
    """The command."""
    return exit_code(measure, parse())


if __name__ == "__main__":
    sys.exit(main())
