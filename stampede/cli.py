"""The command ``stampede`` on the control node."""

from __future__ import annotations

import argparse
import errno
import json
import os
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stampede import playbooks, wording
from stampede.completion import SHELLS
from stampede.planning import arguments as plan_arguments
from stampede.schema.errors import BadInput
from stampede.version import VERSION

type Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

READER_GONE = 1
"""The exit code when nobody reads the output any more, which rich has, too."""
UNWRITTEN = 1
"""The exit code when the output cannot be written."""
INTERRUPTED = 130
"""The exit code after Ctrl-C, which shells have for it."""
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What only writing to a file can fail with."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``stampede``."""
    try:
        try:
            return _run(argv)
        finally:  # also when argparse ends the process, as after --help
            print(end="", flush=True)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as of `| head`, which has seen enough
        _forget_output()
        return READER_GONE
    except OSError as error:
        if isinstance(error, FileNotFoundError) and _is_nowhere():
            print("stampede: the current folder no longer exists; change to one that does", file=sys.stderr)
            return 2
        if error.errno not in NO_ROOM:
            raise
        _forget_output()
        print(f"stampede: {error.filename or 'the output'} cannot be written ({error.strerror})", file=sys.stderr)
        return UNWRITTEN


def _forget_output() -> None:
    """What is not written yet goes nowhere; else Python tries again at its end, and complains."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_nowhere() -> bool:
    """Whether the current folder has been removed."""
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return True
    return False


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options, for the command line and its completion."""
    parser = argparse.ArgumentParser(prog="stampede", description="Load tests of verifiable-credential services.")
    parser.add_argument("--version", action="version", version=f"stampede {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = commands.add_parser(
        "init",
        help="make a project: settings, a scenario, thresholds, files for CI",
        description="Makes a project of your own: inventories, a scenario, thresholds, and files for CI. `stampede "
        "run` in its folder is a practice run. Overwrites nothing.",
    )
    init.add_argument("folder", type=_folder, metavar="FOLDER", help="such as my-tests")
    _add_playbooks(commands)
    commands.add_parser(
        "doctor",
        help="say what this machine lacks, for what, and how to mend it",
        description="Says what this machine lacks as a control node or for practice runs, and how to mend it. Exit "
        "codes: 1 when something is lacking without which no run is possible, else 0.",
    )
    completion = commands.add_parser(
        "completion",
        help="print the script by which a shell completes commands and options",
        description="Prints the script by which a shell completes stampede's commands and options; "
        "bash reads it from ~/.local/share/bash-completion/completions/stampede.",
    )
    completion.add_argument("shell", choices=SHELLS, help="the shell that reads it")
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
        *("-i", "--inventory"),
        action="append",
        metavar="INVENTORY",
        help=f"the run's inventory (default: {playbooks.INVENTORY})",
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
    watch.set_defaults(error=watch.error)
    compare.set_defaults(error=compare.error)
    return parser


def _add_playbooks(commands: Subparsers) -> None:
    """A command of each playbook; those of two words under their first."""
    groups: dict[str, Subparsers] = {}
    for playbook in playbooks.PLAYBOOKS:
        group, _, name = playbook.command.rpartition(" ")
        if group and group not in groups:
            parser = commands.add_parser(group, help=f"a fleet of hosts: {', '.join(playbooks.words_after(group))}")
            groups[group] = parser.add_subparsers(dest="second", required=True, metavar="COMMAND")
        command = groups.get(group, commands).add_parser(name, help=playbook.help, description=playbook.help)
        playbooks.add_arguments(command, playbook)


def _run(argv: Sequence[str] | None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if asked := playbooks.asked(words):
        try:
            playbooks.play(*asked)
        except BadInput as error:
            return _refused(asked[0].command, error)
    arguments = build_parser().parse_args(words)
    if arguments.command == "init":
        return _init(arguments.folder)
    if arguments.command == "doctor":
        from stampede import doctor

        text, code = doctor.report(doctor.findings())
        print(text)
        return code
    if arguments.command == "completion":
        from stampede.completion import script

        print(script(build_parser(), arguments.shell))
        return 0
    if arguments.command == "replay":
        from stampede.results.replay import main as replay_results

        return replay_results(arguments)
    if arguments.command == "watch":
        if arguments.web and (arguments.once or arguments.interval):
            arguments.error(
                "--web goes without --once and --interval: the page shows the run from now on, each second"
            )
        if arguments.port is not None and not arguments.web:
            arguments.error("--port is that of the page; it needs --web")
        return _watch(arguments)
    if arguments.command == "plan":
        from stampede.planning import command

        return command.plan(arguments)
    if arguments.command == "compare":
        if arguments.a.is_file():
            if arguments.html:
                arguments.error("--html goes without a plan: it is a page of two runs")
            from stampede.planning import command

            return command.compare(arguments.a, arguments.b, as_json=arguments.json)
        return _compare(arguments.a, arguments.b, arguments.html, as_json=arguments.json)
    return _report(arguments.results)


def _init(folder: Path) -> int:
    from stampede.new_project.project import make_project

    try:
        files = make_project(folder)
    except BadInput as error:
        return _refused("init", error)
    there = f"./{folder}" if str(folder).startswith("-") else str(folder)
    print(*files, "", "A practice run:", f"  cd {shlex.quote(there)} && stampede run", sep="\n")
    return 0


def _refused(command: str, error: Exception) -> int:
    """Say what is wrong with the input, and return the exit code for it."""
    print(wording.printable_lines(f"stampede {command}: {error}"), file=sys.stderr)
    return 2


def _watch(arguments: argparse.Namespace) -> int:
    from stampede.fleet.watch import show, watch

    try:
        sources = arguments.inventory or playbooks.default_inventory().split(",")
    except BadInput as error:
        return _refused("watch", error)
    if arguments.web:
        from stampede.live.web import serve

        return watch(sources, arguments.run, partial(serve, port=arguments.port or 0))
    display = partial(show, interval=arguments.interval, as_json=arguments.json, once=arguments.once)
    return watch(sources, arguments.run, display)


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("it is empty; name a folder, such as my-tests, or . for this one")
    return Path(text)


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
        return _refused("report", error)
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
        return _refused("compare", error)
    if as_json:
        print(json.dumps(compared.to_json(), indent=2, allow_nan=False))
        return 0
    Console(highlight=False, soft_wrap=True).print(text(compared.comparison))
    if page:
        print(f"\nComparison: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
