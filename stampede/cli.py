"""The command ``stampede`` on the control node."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from stampede.version import VERSION


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``stampede``."""
    parser = argparse.ArgumentParser(
        prog="stampede",
        description="Load tests of verifiable-credential services. Runs are made by ansible-playbook "
        "(playbooks/run-test.yml); here is what goes with them.",
    )
    parser.add_argument("--version", action="version", version=f"stampede {VERSION}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    report = verbs.add_parser("report", help="make the report of a run again from its collected results")
    report.add_argument("results", type=Path, metavar="RESULTS_DIR", help="such as results/RUN_ID")
    compare = verbs.add_parser(
        "compare",
        help="compare two runs, and tell for each step whether the difference is more than noise",
        description="Compares two runs and tells for each step whether the difference is more than noise, and by "
        "which test. Exit codes: 0 the runs could be compared, whether they differ or not; 2 bad input.",
    )
    compare.add_argument("a", type=Path, metavar="RUN_A", help="results folder of the earlier run")
    compare.add_argument("b", type=Path, metavar="RUN_B", help="results folder of the later run")
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.add_argument("--html", type=Path, metavar="FILE", help="also write a page that opens offline")
    watch = verbs.add_parser(
        "watch",
        help="show how a run on a fleet goes, from any machine that has the inventory",
        description="Shows how a run goes: the one that goes on, or else the newest. It only looks: Ctrl-C ends "
        "watching, and the run goes on. Ends by itself, with exit code 0, when all controllers have ended; exit code "
        "2 says that there was nothing to watch. Reads the inventory as ansible-playbook does, reaches hosts by SSH "
        "with the options that it has, checks their keys, and needs no vault's password.",
    )
    watch.add_argument(
        *("-i", "--inventory"), action="append", required=True, metavar="INVENTORY", help="such as inventory/local"
    )
    watch.add_argument("--run", default="", metavar="RUN", help="name of the run, such as 20260315-120000")
    watch.add_argument("--json", action="store_true", help="print a line of JSON each interval: hosts, fleet, faults")
    watch.add_argument("--once", action="store_true", help="look once")
    watch.add_argument(
        "--interval",
        type=_interval,
        metavar="SECONDS",
        help="between two tables (default: 1 in a terminal, where the table is redrawn in place, else 10)",
    )
    replay = verbs.add_parser(
        "replay",
        help="push the collected journals of a run to InfluxDB",
        description="Pushes the collected journals of a run to InfluxDB: what could not be pushed while it went on, "
        "or all of it to another server. Nothing is there twice, however often it is pushed. Without --url the "
        "server is that of the run's own settings. The password is read from the environment variable "
        "STAMPEDE_INFLUXDB_PASSWORD, the token from STAMPEDE_INFLUXDB_TOKEN. Exit codes: 0 all points are in "
        "InfluxDB, 1 they are not, 2 bad input.",
    )
    replay.add_argument("results", type=Path, metavar="RESULTS_DIR", help="such as results/RUN_ID")
    replay.add_argument("--url", help="such as https://influx.example.org:8086")
    replay.add_argument("--database", help="of an InfluxDB 1")
    replay.add_argument("--user", help="of an InfluxDB 1, who may write to the database")
    replay.add_argument("--org", help="organization of the bucket")
    replay.add_argument("--bucket", help="of an InfluxDB 2 or 3: uses the v2 write API")
    replay.add_argument("--ca-file", metavar="FILE", help="PEM file with further certificate authorities to trust")
    replay.add_argument("--dry-run", action="store_true", help="say what would be pushed, and push nothing")
    arguments = parser.parse_args(argv)
    if arguments.verb == "replay":
        from stampede.results.replay import main as replay_results

        return replay_results(arguments)
    if arguments.verb == "watch":
        from stampede.fleet.watch import watch as watch_fleet

        return watch_fleet(
            arguments.inventory, arguments.run, arguments.interval, as_json=arguments.json, once=arguments.once
        )
    if arguments.verb == "compare":
        return _compare(arguments.a, arguments.b, arguments.html, as_json=arguments.json)
    return _report(arguments.results)


def _interval(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


def _report(results: Path) -> int:
    from stampede.report.output import ReportError, report
    from stampede.report.terminal import table

    try:
        print(table(report(results), sys.stdout))
    except ReportError as error:
        print(f"stampede report: {error}", file=sys.stderr)
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
        print(f"stampede compare: {error}", file=sys.stderr)
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
