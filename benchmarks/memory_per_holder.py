#!/usr/bin/env python3
"""How much memory does each additional holder take, in the agent and in the controller?

For each number of holders, one agent: every holder connects to the mediator and to the issuer, receives a credential,
and waits. Memory is the unique set size (USS) of the processes, read until it is stable. The wallets' files are in
memory too (tmpfs) and counted separately; what a PostgreSQL server takes is not counted.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

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

AGENT_TARGET = 0.5e6
"""Upper limit in bytes per additional holder in the agent."""
CONTROLLER_TARGET = 50e3
"""Upper limit in bytes per additional holder in the controller."""
PATIENCE = 120.0
"""Seconds without progress after which the measurement is given up."""

SCRIPT = """
import asyncio

AT_ONCE = asyncio.Semaphore({at_once})


async def script(holder):
    async with AT_ONCE:  # memory is measured here, not the throughput of an agent
        await holder.connect_to_mediator()
        issuer = await holder.connect("issuer")
        await holder.receive_credential(issuer)
    await holder.wait(86400)
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--holders", type=int, nargs="+", default=[10, 100, 500], metavar="N", help="(default: 10 100 500)"
    )
    parser.add_argument("--at-once", type=int, default=6, help="holders that connect concurrently (default: 6)")
    parser.add_argument(
        "--storage", choices=("memory", "sqlite", "postgresql"), default="memory", help="(default: memory)"
    )
    parser.add_argument(
        "--postgresql-url",
        default="",
        metavar="URL",
        help="for --storage postgresql: a server that asks for no password, postgresql://USER@HOST:PORT",
    )
    parser.add_argument("--port", type=int, default=9843, help="port of the reference services (default: 9843)")
    return parser.parse_args(argv)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run for each number of holders and print the figures."""
    check_linux()
    script = folder / "receive_and_wait.py"
    script.write_text(SCRIPT.format(at_once=arguments.at_once), encoding="utf-8")
    figures = []
    print(f"{'holders':>8}{'agent':>12}{'controller':>12}{'wallet files':>14}{'took':>8}", flush=True)
    with reference_services(folder / "reference", arguments.port) as services:
        for holders in sorted(arguments.holders):
            variables = reference_variables(
                services,
                1,
                script=str(script),
                holders=holders,
                ramp_up=0,
                duration="24h",
                drain=5,
                step_timeout=120,
                wallet_storage=arguments.storage,
                postgresql_url=arguments.postgresql_url,
            )
            begun = time.monotonic()
            with ControllerRun(folder / f"run-{holders}", variables) as run:
                run.go()
                await_credentials(run, holders)
                figures.append((holders, *memory(run)))
                run.stop()
            agent, controller, files = (f"{value / 1e6:.1f} MB" for value in figures[-1][1:])
            took = time.monotonic() - begun
            print(f"{holders:>8}{agent:>12}{controller:>12}{files:>14}{took:>6.0f} s", flush=True)
    first, last = figures[0], figures[-1]
    if last[0] == first[0]:
        return
    agent, controller, files = (
        (more - less) / (last[0] - first[0]) for less, more in zip(first[1:], last[1:], strict=True)
    )
    print(f"per additional holder, {first[0]} to {last[0]}:")
    print(f"  agent       {agent / 1e3:7.1f} KB, target 500 KB: {verdict(agent, AGENT_TARGET)}")
    print(f"  controller  {controller / 1e3:7.1f} KB, target 50 KB: {verdict(controller, CONTROLLER_TARGET)}")
    print(f"  wallet files{files / 1e3:7.1f} KB")


def await_credentials(run: ControllerRun, holders: int) -> None:
    """Wait until every holder has its credential."""
    had, since = -1, time.monotonic()
    while had < holders:
        received = run.steps().get("receive_credential", {}).get("ok", 0)
        if received > had:
            had, since = received, time.monotonic()
        if run.over or time.monotonic() > since + PATIENCE:
            raise MeasurementFailed(f"{had} of {holders} holders have a credential; steps: {run.steps()}")
        time.sleep(1)


def memory(run: ControllerRun) -> tuple[int, int, int]:
    """Bytes of the agent, the controller and the wallets' files, once they are stable."""
    (agent,) = run.agents()
    before, now = 0, agent.memory_full_info().uss
    for _ in range(20):
        if abs(now - before) < 0.5e6:
            break
        time.sleep(3)
        before, now = now, agent.memory_full_info().uss
    return now, run.controller.memory_full_info().uss, wallet_files(run)


def main() -> int:
    """The command."""
    return exit_code(measure, parse())


if __name__ == "__main__":
    sys.exit(main())
