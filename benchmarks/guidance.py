#!/usr/bin/env python3
"""What docs/load-testing.md is about, seen in runs against the reference services on this machine, with pictures.

Realistic delays and none; arrivals below and above what the machine bears; a verifier that stands still for ten
seconds, under a closed load and under rounds at a rate; more and more phones that idle at a mediator (`soak`), or
all that come back at once (`rush`), and what the mediator takes for that; and whether two searches find the same, a
run just below that passes and one above it fails (`ceilings`). `--only` plays some of them, in the order in which
they are named. The figures are printed; with `--pictures` charts of the reports are drawn, too (needs Chromium). All
of them take about three quarters of an hour, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from local_run import ROOT, MeasurementFailed, check_linux, exit_code, reference_services

PRESENT = "benchmarks/scenarios/present.py"
PRESSED = {"script": PRESENT, "wait_min": 0, "wait_max": 0, "iterations": 1, "presentations_max": 1}
STALLED = {"script": PRESENT, "warm_up": "40s", "duration": "2m", "drain": "30s"}
RUNS: dict[str, dict[str, Any]] = {
    "realistic": {
        "holders": 150,
        "ramp_up": "60s",
        "warm_up": "90s",
        "duration": "4m",
        "wait_min": 10,
        "wait_max": 60,
        "presentations_max": 10,
    },
    "fast": {"load_model": "flat_out", "holders": 8, "ramp_up": "5s", "warm_up": "15s", "duration": "75s"},
    "open_below": {"load_model": "open", "rate": "1/s", "holders": 40, "ramp_up": 0, "duration": "60s", **PRESSED},
    "open_near": {"load_model": "open", "rate": "2/s", "holders": 100, "ramp_up": 0, "duration": "60s", **PRESSED},
    "open_past": {"load_model": "open", "rate": "2.5/s", "holders": 100, "ramp_up": 0, "duration": "60s", **PRESSED},
    "open_above": {"load_model": "open", "rate": "6/s", "holders": 400, "ramp_up": 0, "duration": "60s", **PRESSED},
    "stall_closed": {"holders": 8, "ramp_up": "8s", "wait_min": 2, "wait_max": 2, **STALLED},
    "stall_rounds": {
        "load_model": "rounds",
        "rate": "3/s",
        "holders": 60,
        "ramp_up": "30s",
        "wait_min": 0,
        "wait_max": 0,
        **STALLED,
    },
    "soak": {
        "script": "mediator_soak",
        "mediator_pickup": "websocket",
        "holders": 300,
        "ramp_up": "5m",  # as long as the run: its charts over time are over the number of sockets
        "duration": "5m",
        "wait_min": 20,
        "wait_max": 40,
    },
    "rush": {
        "script": "mediator_rush",
        "mediator_pickup": "websocket",
        "holders": 200,
        "ramp_up": "60s",
        "iterations": 1,
        "wait_max": 60,
    },
}
CEILING = {
    "script": PRESENT,
    "wait_min": 1,
    "wait_max": 1,
    "thresholds": ["present_proof p90 < 1 s"],
}
SEARCH = {
    "load_model": "search",
    "holders": 120,
    "search": {"begin": 8, "settle": "20s", "hold": "20s", "confirm": "30s"},
    **CEILING,
}
STALL = 10.0
"""Seconds for which the verifier stands still in the runs that are called so."""
STALL_AT = 70.0
"""Seconds from the start of the load."""
LIMIT = 1800.0
"""Seconds that a run may take."""
PICTURES = {
    "realistic": ("present_proof", ["bands"]),
    "fast": ("present_proof", ["bands"]),
    "open_below": ("connect_to_mediator", ["holders"]),
    "open_above": ("connect_to_mediator", ["holders"]),
    "stall_closed": ("present_proof", ["bands"]),
    "stall_rounds": ("present_proof", ["bands"]),
    "soak": ("ping", ["bands", "sockets"]),
    "rush": ("reconnect", ["throughput"]),
    "search_1": ("present_proof", ["levels"]),
}
"""The step that is looked at, and the charts."""


class Runs:
    """Runs of `run-test.yml` against services that are up; their results are kept in a folder."""

    def __init__(self, folder: Path, services: dict[str, Any]) -> None:
        self._folder = folder
        self._services = services
        self.played: list[str] = []

    def play(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Play one; returns its summary.json. Raises MeasurementFailed when there is none."""
        print(f"{name}:", flush=True)
        given = ("services", "mediator_did", "ca_file", "agent_plugins")
        variables = {
            "run_id": name,
            "results_dir": str(self._folder),
            "work_dir": str(self._folder / "work"),
            "reference_services": False,
            "fail_on_errors": False,
            **{key: self._services[key] for key in given},
            **settings,
        }
        mediator = self._service("mediator")
        before = _usage(mediator)
        log = self._folder / f"{name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("ansible-playbook")),
                    *("-i", "inventory/local", "playbooks/run-test.yml", "-e"),
                    json.dumps({f"stampede_{key}": value for key, value in variables.items()}),
                ],
                cwd=ROOT,
                env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            over = threading.Event()
            watcher = threading.Thread(target=self._stall, args=(name, over))
            watcher.start()
            try:
                process.wait(LIMIT)
            finally:
                over.set()
                watcher.join()
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    process.wait()
        summary = self._folder / name / "summary.json"
        if not summary.exists():
            raise MeasurementFailed(f"{name} left no results; see {log}")
        found: dict[str, Any] = json.loads(summary.read_text())
        self.played.append(name)
        _tell(found)
        print(f"  mediator: {before} when the run was started, {_usage(mediator)} when it had ended", flush=True)
        return found

    def _service(self, name: str) -> psutil.Process:
        services = psutil.Process(self._services["pid"]).children(recursive=True)
        (found,) = (each for each in services if f"Stampede reference {name}" in each.cmdline())
        return found

    def _stall(self, name: str, over: threading.Event) -> None:
        """Have the verifier stand still for a while."""
        if not name.startswith("stall"):
            return
        state = self._folder / "work" / name / "state.json"
        while not over.wait(0.2):
            with suppress(OSError, ValueError):
                start = json.loads(state.read_text()).get("start_at")
                if start and time.time() >= start + STALL_AT:
                    break
        else:
            return
        verifier = self._service("verifier")
        verifier.send_signal(signal.SIGSTOP)
        over.wait(STALL)
        verifier.send_signal(signal.SIGCONT)


def _usage(process: psutil.Process) -> str:
    times = process.cpu_times()
    return f"{process.memory_info().rss / 1e6:.0f} MB, {times.user + times.system:.1f} s of CPU"


def _tell(summary: dict[str, Any]) -> None:
    print(f"  {summary['run']['headline']}")
    if search := summary["search"]:
        for level in search["levels"]:
            print(f"  {level['holders']:>5} {level['per_second'] or 0:8.2f}/s  {level['held']}  {level['why']}")
    load = summary["load"]
    print(f"  {load['steps_per_second'] or 0:.2f} steps/s, up to {load['peak_active_holders']} holders")
    for name, step in summary["steps"].items():
        times = "".join(f"{step['response_time'][which] or 0:8.2f}" for which in ("p50", "p95", "p99", "max"))
        print(f"  {name:<34}{step['ok']:>7}{step['failed']:>5} {times}")
    generator = summary["generator"]
    lag = generator["schedule_lag"]
    print(f"  generator: bottleneck {generator['bottleneck']}, lag p99 {lag['p99']}", flush=True)


def ceilings(runs: Runs) -> None:
    """Search twice; then a run below what was found, and one above."""
    found = [runs.play(f"search_{turn}", SEARCH)["search"]["highest"] for turn in (1, 2)]
    if not all(found):
        raise MeasurementFailed(f"The searches found {found}")
    print(f"the second search found {found[1] / found[0]:.2f} of the first")
    lower = min(found)
    for name, share in (("under", 0.9), ("over", 1.3)):
        holders = max(1, round(lower * share))
        changes = {"holders": holders, "ramp_up": "20s", "warm_up": "25s", "duration": "85s", **CEILING}
        summary = runs.play(name, changes)
        print(f"{holders} holders, {share:.1f} of the lower: {summary['run']['outcome']}")


def draw(folder: Path, names: Sequence[str], pictures: Path) -> None:
    """Take pictures of the reports' charts."""
    from playwright.sync_api import sync_playwright

    pictures.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 1200}, device_scale_factor=1.5)
        for name in names:
            if name not in PICTURES:
                continue
            page.goto((folder / name / "report.html").as_uri())
            step, charts = PICTURES[name]
            page.locator("#detail-step").select_option(label=step)
            page.locator("figure[data-chart=bands] label", has_text="response").click()
            for chart in charts:
                path = pictures / f"{name}-{chart}.png".replace("_", "-")
                page.locator(f"figure[data-chart={chart}], figure.{chart}").screenshot(path=path)
                print(f"  {path}")
        browser.close()


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Play the runs, print the figures, draw the charts."""
    check_linux()
    results = (arguments.results or folder / "results").resolve()
    results.mkdir(parents=True, exist_ok=True)
    names = arguments.only or [*RUNS, "ceilings"]
    with reference_services(folder / "reference", arguments.port) as services:
        runs = Runs(results, services)
        for name in names:
            if name == "ceilings":
                ceilings(runs)
            else:
                runs.play(name, RUNS[name])
    if arguments.pictures:
        draw(results, runs.played, arguments.pictures)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*RUNS, "ceilings"], help="the runs to play (default: all)")
    parser.add_argument("--results", type=Path, help="where to keep the results (default: nowhere)")
    parser.add_argument("--pictures", type=Path, help="where to put pictures of the charts (default: none)")
    parser.add_argument("--port", type=int, default=9543, help="of the reference services (default: 9543)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(exit_code(measure, parse()))
