#!/usr/bin/env python3
"""How many authentications a minute can a load host drive, and does it matter how its holders get their messages?

Three kinds: connecting to the mediator for the first time, coming back to it (a WebSocket opened and its greeting
answered), and logging in (a proof presented to the verifier). Each is measured as the CPU time of controller and
agents, by the difference of two runs that differ in this only, so that the services under test, and whatever else
this machine does, do not count. The last two runs differ in the way of pickup, and compare how long steps take.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from local_run import (
    ControllerRun,
    LoadPhase,
    MeasurementFailed,
    exit_code,
    load_phase,
    reference_services,
    reference_variables,
)

WANTED = 6000
"""Authentications a minute."""
CORES = 2
SCRIPT = """
async def script(holder):
    await holder.connect_to_mediator()
    if {logins}:
        issuer = await holder.connect("issuer")
        await holder.receive_credential(issuer)
    async for _ in holder.repeat({times}):
        if {logins}:
            await holder.present_proof("verifier")
        else:
            await holder.disconnect()
            await holder.reconnect()
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--holders", type=int, default=60, help="(default: 60)")
    parser.add_argument("--times", type=int, default=5, help="authentications of each holder (default: 5)")
    parser.add_argument("--ramp-up", type=float, default=30, help="seconds over which they start (default: 30)")
    parser.add_argument("--agents", type=int, default=CORES, help=f"agent processes (default: {CORES})")
    parser.add_argument("--port", type=int, default=9843, help="port of the reference services (default: 9843)")
    return parser.parse_args(argv)


class Rush:
    """Runs of the script, each with a name of its own."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, services: dict[str, Any]) -> None:
        self._arguments = arguments
        self._folder = folder
        self._services = services

    def run(self, name: str, logins: bool, times: int, pickup: str = "websocket") -> tuple[LoadPhase, ControllerRun]:
        """A run to its end, in which no step may fail."""
        script = self._folder / f"{name}.py"
        script.write_text(SCRIPT.format(logins=logins, times=times), encoding="utf-8")
        variables = reference_variables(
            self._services,
            self._arguments.agents,
            script=str(script),
            holders=self._arguments.holders,
            iterations=1,
            ramp_up=self._arguments.ramp_up,
            step_timeout=120,
            mediator_pickup=pickup,
        )
        with ControllerRun(self._folder / name, variables) as run:
            phase = load_phase(run)
        if phase.failed:
            raise MeasurementFailed(f"{phase.failed} steps failed in run {name}: {run.steps()}")
        return phase, run


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run and print the figures."""
    holders, repeated = arguments.holders, arguments.holders * arguments.times
    with reference_services(folder / "reference", arguments.port) as services:
        rush = Rush(arguments, folder, services)
        connected, _ = rush.run("connected", logins=False, times=0)
        back, _ = rush.run("back", logins=False, times=arguments.times)
        issued, _ = rush.run("issued", logins=True, times=0)
        phones, by_socket = rush.run("phones", logins=True, times=arguments.times)
        _, by_port = rush.run("ports", logins=True, times=arguments.times, pickup="none")
    print(f"{holders} holders; CPU time of controller and agents")
    tell("connect to the mediator for the first time", cpu(connected) / holders)
    tell("come back to the mediator", (cpu(back) - cpu(connected)) / repeated)
    tell("log in by a proof", (cpu(phones) - cpu(issued)) / repeated)
    print("\nmedian seconds of a step, by port and by WebSocket:")
    ports, sockets = by_port.service_times(), by_socket.service_times()
    for step in ports:
        port, socket = statistics.median(ports[step]), statistics.median(sockets[step])
        print(f"  {step:<22}{port:8.3f}{socket:8.3f}   ratio {socket / port:.2f}")


def tell(what: str, each: float) -> None:
    """One kind of authentication, of ``each`` seconds of CPU."""
    a_minute = CORES * 60 / each
    print(
        f"  {what:<44}{each * 1e3:7.1f} ms; {CORES} cores: {a_minute:6.0f} a minute; "
        f"{WANTED:,} a minute need {WANTED / a_minute:.1f} times as many"
    )


def cpu(phase: LoadPhase) -> float:
    """CPU seconds of the load side."""
    return phase.controller + phase.agents


def main() -> int:
    """The command."""
    return exit_code(measure, parse())


if __name__ == "__main__":
    sys.exit(main())
