"""The command ``stampede`` on the control node."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stampede import wording
from stampede.planning import arguments as plan_arguments
from stampede.version import VERSION

READER_GONE = 1
"""The exit code when nobody reads the output any more, which rich has, too."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``stampede``."""
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # as of `| head`, which has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE


def _run(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="stampede",
        description="Load tests of verifiable-credential services. Start runs with ansible-playbook "
        "(playbooks/run-test.yml); these commands monitor and evaluate them.",
    )
    parser.add_argument("--version", action="version", version=f"stampede {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    report = commands.add_parser("report", help="rebuild the report of a run from its collected results")
    report.add_argument("results", type=Path, metavar="RESULTS_DIR", help="such as results/RUN_ID")
    compare = commands.add_parser(
        "compare",
        help="compare two runs, and say for each step whether the difference is more than noise",
        description="Compares two runs and says for each step whether the difference is more than noise, and by "
        "which test. With a plan as RUN_A, it says what was planned and what the run used. Exit codes: 0 if the runs "
        "could be compared, whether they differ or not; 2 on invalid input.",
    )
    compare.add_argument(
        "a", type=Path, metavar="RUN_A", help="results folder of the earlier run, or a plan (stampede plan --output)"
    )
    compare.add_argument("b", type=Path, metavar="RUN_B", help="results folder of the later run")
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.add_argument("--html", type=Path, metavar="FILE", help="also write a page that opens offline")
    plan = commands.add_parser(
        "plan",
        help="plan a run by what a finished one cost: hosts, CPU, memory, rates",
        description=plan_arguments.DESCRIPTION,
    )
    plan_arguments.add_arguments(plan)
    watch = commands.add_parser(
        "watch",
        help="monitor a run, from any machine that has the inventory",
        description="Shows a live table of the run in progress, or else the newest. Ctrl-C detaches without "
        "affecting the run. Exits with 0 when all controllers have ended, and with 2 if there is nothing to watch. "
        "Reads the inventory as ansible-playbook does, connects to the hosts over SSH with its options, checks their "
        "host keys, and needs no vault password. With --web it serves a page instead: charts like the report's that "
        "follow the run, and buttons that stop it and go on to the next stage. It prints the address, which holds a "
        "secret: whoever has it can control the run. Only this machine can reach it (from another one: ssh -L "
        "PORT:127.0.0.1:PORT). The page outlasts the run by an hour; Ctrl-C ends the page, and leaves the run alone.",
    )
    watch.add_argument(
        *("-i", "--inventory"), action="append", required=True, metavar="INVENTORY", help="such as inventory/local"
    )
    watch.add_argument("--run", default="", metavar="RUN", help="ID of the run, such as 2026-11-22T18-03-12Z")
    shown = watch.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print a line of JSON per interval: hosts, fleet, faults")
    shown.add_argument("--web", action="store_true", help="serve a page on 127.0.0.1 with charts and run control")
    watch.add_argument("--port", type=_port, metavar="PORT", help="with --web: the port (default: any that is free)")
    watch.add_argument("--once", action="store_true", help="print the current state once")
    watch.add_argument(
        "--interval",
        type=_interval,
        metavar="SECONDS",
        help="interval between tables (default: 1 in a terminal, where the table is redrawn in place, else 10)",
    )
    replay = commands.add_parser(
        "replay",
        help="push the collected journals of a run to InfluxDB",
        description="Pushes the collected journals of a run to InfluxDB: to complete what was not pushed during the "
        "run, or to fill another server. Pushing again duplicates no points. Without --url, the server is taken from "
        "the run's own settings. The password is read from the environment variable STAMPEDE_INFLUXDB_PASSWORD, the "
        "token from STAMPEDE_INFLUXDB_TOKEN. Exit codes: 0 if all points are in InfluxDB, 1 if not, 2 on invalid "
        "input.",
    )
    replay.add_argument("results", type=Path, metavar="RESULTS_DIR", help="such as results/RUN_ID")
    replay.add_argument("--url", help="such as https://influx.example.org:8086")
    replay.add_argument("--database", help="database of an InfluxDB 1")
    replay.add_argument("--user", help="user of an InfluxDB 1 with write access to the database")
    replay.add_argument("--org", help="organization of the bucket")
    replay.add_argument("--bucket", help="bucket of an InfluxDB 2 or 3; selects the v2 write API")
    replay.add_argument("--ca-file", metavar="FILE", help="PEM file with additional certificate authorities to trust")
    replay.add_argument("--dry-run", action="store_true", help="print what would be pushed, and push nothing")
    arguments = parser.parse_args(argv)
    if arguments.command == "replay":
        from stampede.results.replay import main as replay_results

        return replay_results(arguments)
    if arguments.command == "watch":
        if arguments.web and (arguments.once or arguments.interval):
            watch.error("--web goes without --once and --interval: the page shows the run from now on, each second")
        if arguments.port is not None and not arguments.web:
            watch.error("--port is that of the page; it needs --web")
        return _watch(arguments)
    if arguments.command == "plan":
        from stampede.planning import command

        return command.plan(arguments)
    if arguments.command == "compare":
        if arguments.a.is_file():
            if arguments.html:
                compare.error("--html goes without a plan: it is a page of two runs")
            from stampede.planning import command

            return command.compare(arguments.a, arguments.b, as_json=arguments.json)
        return _compare(arguments.a, arguments.b, arguments.html, as_json=arguments.json)
    return _report(arguments.results)


def _watch(arguments: argparse.Namespace) -> int:
    from stampede.fleet.watch import show, watch

    if arguments.web:
        from stampede.live.web import serve

        return watch(arguments.inventory, arguments.run, partial(serve, port=arguments.port or 0))
    display = partial(show, interval=arguments.interval, as_json=arguments.json, once=arguments.once)
    return watch(arguments.inventory, arguments.run, display)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} must be a port from 1 to 65535")
    return int(text)


def _interval(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive number of seconds")
    return value


def _report(results: Path) -> int:
    from stampede.report.output import ReportError, report
    from stampede.report.terminal import table

    try:
        print(table(report(results), sys.stdout))
    except ReportError as error:
        print(wording.printable_lines(f"stampede report: {error}"), file=sys.stderr)
        return 2
    print(f"\nReport: {results / 'report.html'}")
    return 0


def _compare(a: Path, b: Path, page: Path | None, *, as_json: bool) -> int:
    from rich.console import Console

    from stampede.comparison.page import render
    from stampede.comparison.runs import compare_runs
    from stampede.comparison.terminal import text
    from stampede.report.output import ReportError, write

    try:
        compared = compare_runs(a, b)
        if page:
            write(page, render(compared))
    except ReportError as error:
        print(wording.printable_lines(f"stampede compare: {error}"), file=sys.stderr)
        return 2
    if as_json:
        print(json.dumps(compared.to_json(), indent=2, allow_nan=False))
        return 0
    Console(highlight=False, soft_wrap=True).print(text(compared.comparison))
    if page:
        print(f"\nComparison: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
