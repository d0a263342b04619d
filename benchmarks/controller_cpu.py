#!/usr/bin/env python3
"""What share of its agents' CPU does the controller use?

Real holders go through the mission's script against the reference services, all on this machine. CPU is read
from the controller and from its agents at the start and at the end of the load phase.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil
from local_run import (
    ControllerRun,
    MeasurementFailed,
    cpu_seconds,
    default_variables,
    free_ports,
    reference_services,
    verdict,
)

TARGET = 0.10
"""Controller's CPU over its agents' CPU is to be at most this."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--holders", type=int, default=20, help="(default: 20)")
    parser.add_argument("--iterations", type=int, default=2, help="rounds of the script (default: 2)")
    parser.add_argument("--wait", type=float, nargs=2, default=(1, 3), metavar=("MIN", "MAX"), help="(default: 1 3)")
    parser.add_argument("--agents", type=int, default=0, help="agent processes (default: one per core)")
    parser.add_argument("--no-mediator", action="store_true", help="leave the mediator out")
    parser.add_argument("--port", type=int, default=9843, help="of the reference services (default: 9843)")
    return parser.parse_args(argv)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run and print."""
    agents = arguments.agents or psutil.cpu_count() or 1
    with reference_services(folder / "reference", arguments.port) as services:
        variables = default_variables(
            holders=arguments.holders,
            iterations=arguments.iterations,
            wait_min=arguments.wait[0],
            wait_max=arguments.wait[1],
            presentations_max=3,
            agents=agents,
            agent_port=free_ports(agents, 8950),
            mediator_did="" if arguments.no_mediator else services["mediator_did"],
            services=services["services"],
            ca_file=services["ca_file"],
            agent_plugins=services["agent_plugins"],
        )
        with ControllerRun(folder / "run", variables) as run:
            measure_load_phase(run, arguments)


def measure_load_phase(run: ControllerRun, arguments: argparse.Namespace) -> None:
    """From go to the moment when the last holder has finished."""
    processes = [run.controller, *run.agents()]
    before = [cpu_seconds(process) for process in processes]
    now, lags, phase_end = before, [], 0.0
    begun = time.monotonic()
    run.go()
    while not run.over:
        try:
            now, phase_end = [cpu_seconds(process) for process in processes], time.monotonic()
        except psutil.Error:
            break  # the agents are being stopped: the last reading is the load phase's end
        state = run.state
        lags.append((state["lag_p99"], state["loop_lag_max"]))
        if state["holders"]["finished"] + state["holders"]["stopped"] == arguments.holders:
            break
        time.sleep(0.1)
    controller, agents = now[0] - before[0], sum(now[1:]) - sum(before[1:])
    steps = run.steps()
    ok = sum(outcomes.get("ok", 0) for outcomes in steps.values())
    failed = sum(outcomes.get("failed", 0) for outcomes in steps.values())
    if not ok:
        raise MeasurementFailed(f"no step succeeded: {steps}")
    seconds = phase_end - begun
    print(
        f"{arguments.holders} holders, {len(processes) - 1} agents, {ok} steps ok, {failed} failed, {seconds:.0f} s"
    )
    for name, used in (("controller", controller), ("agents", agents)):
        print(f"  {name:<11}{used:8.2f} CPU-s  {used / seconds:6.2f} cores  {used / ok * 1e3:7.2f} ms a step")
    p99, loop = (sorted(part)[len(part) // 2] * 1e3 for part in zip(*lags, strict=True))
    print(f"  lag while the agents work: median over seconds of p99 {p99:.1f} ms, of the loop's worst {loop:.1f} ms")
    share = controller / agents
    print(f"controller/agents {share:.1%}, target 10 %: {verdict(share, TARGET)}")


def main() -> int:
    """The command."""
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="stampede-benchmark-") as folder:
        try:
            measure(arguments, Path(folder))
        except MeasurementFailed as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
