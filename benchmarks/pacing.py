#!/usr/bin/env python3
"""How late do 10,000 waiting holders wake up, and how much CPU does pacing them cost?

Simulated holders (no agents, no network) go through the default scenario in real time, with think times of 10 to 60
s; run, pacer, journal on disk and event loop are those of a real run. Lag is the time from when a holder was due
until its script continued.

With `--arrivals 50 --wait 1 2` fifty new holders a second come instead, go through the scenario once, and leave.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from pathlib import Path

import psutil
from local_run import TEMPLATES, cpu_seconds, default_variables, service_variables, verdict

TARGET = 0.020
"""Upper limit of the lag's 99th percentile, in seconds."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--holders", type=int, default=10_000, help="simulated holders (default: 10000)")
    parser.add_argument("--seconds", type=float, default=60, help="time measured after the ramp-up (default: 60)")
    parser.add_argument("--ramp-up", type=float, default=30, help="seconds of ramp-up (default: 30)")
    parser.add_argument(
        "--arrivals", type=float, help="new holders a second who leave after one round, in place of those that stay"
    )
    parser.add_argument(
        "--wait", type=float, nargs=2, default=(10, 60), metavar=("MIN", "MAX"), help="(default: 10 60)"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="service times as a multiple of the assumed ones (default: 1)"
    )
    return parser.parse_args(argv)


async def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run and print the figures."""
    from controller.load.gc_tuning import keep_pauses_short
    from controller.metrics.journal import Journal
    from controller.metrics.monitor import Monitor, load_record
    from controller.run.run import Run
    from controller.run.simulated import SimulatedServices, SimulatedWallets
    from stampede.prepare.rendering import render_scenario
    from stampede.schema.settings.run_settings import Settings

    arriving = {"load_model": "open", "rate": f"{arguments.arrivals}/s", "iterations": 1}
    variables = default_variables(
        **(arriving if arguments.arrivals else {}),
        holders=arguments.holders,
        ramp_up=arguments.ramp_up,
        duration=arguments.ramp_up + arguments.seconds,
        wait_min=arguments.wait[0],
        wait_max=arguments.wait[1],
        drain=5,
        mediator_did="did:web:localhost%3A9443:mediator",
        services=service_variables(),
    )
    settings = Settings.from_variables(variables)
    holders = settings.load.holders
    names: dict[str, object] = {}
    exec(render_scenario(TEMPLATES / "scenarios/issue_present_revoke.py.j2", variables), names)
    lags: dict[str, list[float]] = {"ramp-up": [], "measured": []}
    loop_lag_max = 0.0
    own = psutil.Process()
    tags = {"run": settings.run_id, "host": settings.host_name, "scenario": settings.scenario}
    with Journal(folder / "journal.lp", tags) as journal:
        run = Run(
            settings,
            names["script"],  # type: ignore[arg-type]
            services=SimulatedServices(),
            wallets=SimulatedWallets(settings.seed, arguments.scale),
            journal=journal,
        )

        taken: list[float] = []

        def take_lags() -> list[float]:
            taken[:] = run.pacer.take_lags()
            return taken

        monitor = Monitor(take_lags)
        watching = asyncio.create_task(monitor.watch_loop())
        keep_pauses_short()
        gc_pauses = watch_gc()
        before = own.memory_info().rss
        playing = asyncio.create_task(run.play(run.clock.now()))
        begun, cpu, steps, core_wait, arrivals = 0.0, 0.0, 0, 0.0, 0
        start = time.monotonic()
        while time.monotonic() < start + settings.load.plan.duration - 0.5:
            await asyncio.sleep(1)
            sample = monitor.sample()
            journal.write(
                load_record(
                    sample,
                    active=run.active,
                    ready=holders,
                    in_flight=run.recorder.in_flight,
                    arrivals=run.started,
                    finished=run.finished + run.stopped,
                ),
                time.time_ns(),
            )
            await asyncio.to_thread(journal.sync)
            in_ramp = time.monotonic() < start + arguments.ramp_up
            lags["ramp-up" if in_ramp else "measured"] += taken
            if in_ramp:
                begun, cpu, steps = time.monotonic(), cpu_seconds(own), run.figures.outcomes.total()
                arrivals = run.started
                core_wait = waited_for_core()
            else:
                loop_lag_max = max(loop_lag_max, sample.loop_lag_max)
        seconds = time.monotonic() - begun
        core_wait = waited_for_core() - core_wait
        cpu, steps = cpu_seconds(own) - cpu, run.figures.outcomes.total() - steps
        rss = own.memory_info().rss - before
        arrivals = run.started - arrivals
        run.abort()
        await playing
        watching.cancel()
    who = f"{arguments.arrivals:g} new holders a second" if arguments.arrivals else f"{holders:,} simulated holders"
    print(f"{who}, waiting {settings.wait_min:g} to {settings.wait_max:g} s,")
    print(f"measured for {seconds:.0f} s after a ramp-up of {settings.load.plan.steady_after:g} s:")
    if arguments.arrivals:
        achieved = arrivals / seconds
        share = achieved / arguments.arrivals
        print(f"  arrivals             {achieved:8.2f} per second, {share:.4f} of the rate asked for")
        print(f"  dropped              {run.dropped:8.0f}")
    print(f"  waits ended          {len(lags['measured']) / seconds:8.0f} per second")
    print(f"  steps                {steps / seconds:8.0f} per second")
    for name, part in lags.items():
        p50, p99, most = (quantile(part, share) * 1e3 for share in (0.5, 0.99, 1.0))
        print(f"  lag, {name:<14}  {p50:8.2f} ms p50, {p99:.2f} ms p99, {most:.2f} ms max")
    print(f"  event loop lag       {loop_lag_max * 1e3:8.2f} ms max")
    print(f"  CPU                  {cpu / seconds:8.3f} cores, {cpu / steps * 1e6:.0f} us per step")
    print(f"  waited for a core    {core_wait / seconds:8.3f} s per second (other processes had it)")
    print(
        f"  garbage collection   {max(gc_pauses, default=0) * 1e3:8.2f} ms max, {sum(gc_pauses) * 1e3:.0f} ms total"
    )
    if not arguments.arrivals:
        print(f"  memory               {rss / holders / 1e3:8.1f} KB per holder (simulated wallet included)")
    p99 = quantile(lags["measured"], 0.99)
    print(f"lag p99 {p99 * 1e3:.2f} ms, target 20 ms: {verdict(p99, TARGET)}")


def watch_gc() -> list[float]:
    """A list to which the duration of each garbage collection of this process is appended, in seconds."""
    pauses: list[float] = []
    begun = 0.0

    def watch(phase: str, _: dict[str, int]) -> None:
        nonlocal begun
        if phase == "start":
            begun = time.perf_counter()
        else:
            pauses.append(time.perf_counter() - begun)

    gc.callbacks.append(watch)
    return pauses


def waited_for_core() -> float:
    """Seconds that this thread was runnable while others had the cores (Linux, schedstats)."""
    path = Path("/proc/self/schedstat")
    return int(path.read_text().split()[1]) / 1e9 if path.exists() else 0.0


def quantile(values: list[float], share: float) -> float:
    """The nearest-rank quantile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def main() -> int:
    """The command."""
    import uvloop

    arguments = parse()
    gc.collect()
    with tempfile.TemporaryDirectory(prefix="stampede-benchmark-") as folder:
        asyncio.run(measure(arguments, Path(folder)), loop_factory=uvloop.new_event_loop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
