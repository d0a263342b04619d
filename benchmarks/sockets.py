#!/usr/bin/env python3
"""What does a phone's open WebSocket to the mediator take, in real agents, and how many can one host hold?

For each number of holders: all connect to the reference mediator, once as phones (a WebSocket each), once with a port
of the agents open, and then do nothing. Memory is the unique set size (USS) of the agents, read until it is stable;
CPU time is that of the agents while nobody does anything. A holder without a socket takes memory, too: the difference
is what the socket takes.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

PATIENCE = 120.0
"""Seconds without progress after which the measurement is given up."""
SCRIPT = """
import asyncio

AT_ONCE = asyncio.Semaphore({at_once})


async def script(holder):
    async with AT_ONCE:  # the sockets are measured here, not how fast they can be opened
        await holder.connect_to_mediator()
    await holder.wait(86400)
"""


@dataclass(frozen=True)
class Idle:
    """A host whose holders do nothing."""

    holders: int
    sockets: int
    """Open ones from the agents to the mediator."""
    memory: float
    """Bytes of all agents."""
    cpu: float
    """Seconds of CPU of all agents, each second."""
    connect: float
    """Seconds of CPU of agents and controller to connect one holder."""
    services: str
    """What gateway and mediator take."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--holders", type=int, nargs="+", default=[100, 1000], metavar="N", help="(default: 100 1000)"
    )
    parser.add_argument("--agents", type=int, default=0, help="agent processes (default: one per core)")
    parser.add_argument("--at-once", type=int, default=6, help="holders that connect concurrently (default: 6)")
    parser.add_argument("--idle", type=float, default=30, help="seconds for which CPU is measured (default: 30)")
    parser.add_argument("--phones-only", action="store_true", help="leave out the runs with an open port")
    parser.add_argument("--port", type=int, default=9843, help="port of the reference services (default: 9843)")
    return parser.parse_args(argv)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run for each number of holders and print the figures."""
    check_linux()
    agents = arguments.agents or psutil.cpu_count() or 1
    check_limit(max(arguments.holders), agents)
    script = folder / "stay_connected.py"
    script.write_text(SCRIPT.format(at_once=arguments.at_once), encoding="utf-8")
    modes = ["websocket"] if arguments.phones_only else ["none", "websocket"]
    found: dict[str, list[Idle]] = {mode: [] for mode in modes}
    print(f"{agents} agents; CPU while idle for {arguments.idle:g} s")
    print(
        f"{'pickup':<10}{'holders':>8}{'sockets':>8}{'agents':>10}{'idle CPU':>12}{'connecting one':>18}", flush=True
    )
    with reference_services(folder / "reference", arguments.port) as services:
        for holders in sorted(arguments.holders):
            for mode in modes:
                variables = reference_variables(
                    services,
                    agents,
                    script=str(script),
                    holders=holders,
                    mediator_pickup=mode,
                    ramp_up=0,
                    duration="24h",
                    drain=5,
                    step_timeout=120,
                )
                with ControllerRun(folder / f"run-{mode}-{holders}", variables) as run:
                    idle = hold(run, holders, arguments.idle, services)
                    run.stop()
                found[mode].append(idle)
                print(
                    f"{mode:<10}{holders:>8}{idle.sockets:>8}{idle.memory / 1e6:>7.0f} MB{idle.cpu * 1e3:>8.1f} ms/s"
                    f"{idle.connect * 1e3:>11.0f} CPU-ms   {idle.services}",
                    flush=True,
                )
    compare(found)


def compare(found: dict[str, list[Idle]]) -> None:
    """What an additional holder takes, by the smallest and the largest run, and what of it is the socket's."""
    each: dict[str, tuple[float, float]] = {}
    for mode, runs in found.items():
        first, last = runs[0], runs[-1]
        if more := last.holders - first.holders:
            each[mode] = (last.memory - first.memory) / more, (last.cpu - first.cpu) / more
            memory, cpu = each[mode]
            print(f"each additional holder, pickup {mode:<10}", told(memory, cpu))
    if len(each) == 2:
        memory, cpu = (phone - other for other, phone in zip(each["none"], each["websocket"], strict=True))
        print(f"{'the socket of a phone':<41}", told(memory, cpu))


def told(memory: float, cpu: float) -> str:
    """Bytes, and seconds of CPU each second."""
    return f"{memory / 1024:7.1f} KiB, {cpu * 1e6:6.1f} µs of CPU a second"


def hold(run: ControllerRun, holders: int, seconds: float, services: dict[str, Any]) -> Idle:
    """Connect everyone, and measure while nobody does anything."""
    processes = [run.controller, *run.agents()]
    before = sum(map(cpu_seconds, processes))
    run.go()
    await_connections(run, holders)
    connecting = (sum(map(cpu_seconds, processes)) - before) / holders
    used = memory(run.agents())
    was = sum(map(cpu_seconds, run.agents()))
    time.sleep(seconds)
    cpu = (sum(map(cpu_seconds, run.agents())) - was) / seconds
    port = int(services["mediator_did"].split("%3A")[1].split(":")[0])
    taken = [
        f"{name} {psutil.Process(pid).memory_info().rss / 1e6:.0f} MB"
        for name, pid in (("gateway", services["pid"]), ("mediator", services["agents"]["mediator"]))
    ]
    return Idle(holders, open_sockets(run.agents(), port), used, cpu, connecting, ", ".join(taken))


def await_connections(run: ControllerRun, holders: int) -> None:
    """Wait until every holder is connected."""
    had, since = -1, time.monotonic()
    while had < holders:
        connected = run.steps().get("connect_to_mediator", {}).get("ok", 0)
        if connected > had:
            had, since = connected, time.monotonic()
        if run.over or time.monotonic() > since + PATIENCE:
            raise MeasurementFailed(f"{had} of {holders} holders are connected; steps: {run.steps()}")
        time.sleep(1)


def memory(agents: list[psutil.Process]) -> int:
    """Bytes of the agents, once they are stable."""
    before, now = 0, 0
    for _ in range(20):
        before, now = now, sum(agent.memory_full_info().uss for agent in agents)
        if abs(now - before) < 0.5e6:
            break
        time.sleep(3)
    return now


def open_sockets(agents: list[psutil.Process], port: int) -> int:
    """Connections of the agents to the port of the reference services."""
    connections = (connection for agent in agents for connection in agent.net_connections(kind="tcp"))
    return sum(
        one.status == psutil.CONN_ESTABLISHED and bool(one.raddr) and one.raddr.port == port for one in connections
    )


def check_limit(holders: int, agents: int) -> None:
    """Raises MeasurementFailed where the processes may not have as many files open as the sockets need."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    for process, needed in (("the gateway of the reference services", 2 * holders), ("an agent", holders // agents)):
        if needed + 200 > most:
            raise MeasurementFailed(
                f"{holders} holders take {needed} files of {process}, but a process may open {most} (ulimit -Hn)"
            )


def main() -> int:
    """The command."""
    return exit_code(measure, parse())


if __name__ == "__main__":
    sys.exit(main())
