"""The rendered controller script's command line.

Exit codes: 0 the run ended (steps may have failed), 1 it crashed, 2 bad input, 3 it could not arm.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from controller.holder.holder import Script
from controller.run.run_hooks import Hook
from stampede.schema.data_rows import no_row
from stampede.schema.errors import BadInput
from stampede.schema.settings.run_settings import Settings
from stampede.version import VERSION

SCENARIO = "# ---- scenario: "
"""What the line before a scenario begins with, in a rendered controller script; see templates/controller.py.j2."""


def run_file(file: str, variables: Mapping[str, Any], scenarios: Sequence[tuple[str, int]] = ()) -> int:
    """What a rendered controller script does when it is run; returns its exit code.

    It is loaded once more, as the module ``scenario``: all names there are the scenario's own, and it is not
    ``__main__``, so that what the scenario does when it is run by itself is left out. ``scenarios``: where there are
    several, their names and how many lines each has; each is a module of its own.
    """
    text = Path(file).read_text(encoding="utf-8")
    sources = _sources(text, scenarios) if scenarios else {"scenario": text}
    modules = [_loaded(name, source, file) for name, source in sources.items()]
    setups = [setup for module in modules if (setup := getattr(module, "setup", None))]
    return run_script([module.script for module in modules], variables, setups=setups)


def _loaded(name: str, source: str, file: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__file__ = file
    sys.modules[module.__name__] = module
    exec(compile(source, file, "exec"), module.__dict__)  # noqa: S102
    return module


def _sources(text: str, scenarios: Sequence[tuple[str, int]]) -> dict[str, str]:
    """The source of each scenario by the name of its module, its lines numbered as in the whole text."""
    lines = text.split("\n")
    begin = next(number for number, line in enumerate(lines) if line.startswith(SCENARIO)) + 2
    sources = {}
    for name, length in scenarios:
        before = [line if line.startswith("from __future__ ") else "" for line in lines[:begin]]
        sources[f"scenario_{name}"] = "\n".join([*before, *lines[begin : begin + length], ""])
        begin += length + 5  # with the lines between two scenarios
    return sources


def run_script(
    script: Script | Sequence[Script],
    variables: Mapping[str, Any],
    argv: Sequence[str] | None = None,
    setups: Sequence[Hook] = (),
) -> int:
    """The command line of a controller script; returns its exit code. ``script``: one, or those of
    ``stampede_scripts`` in their order. ``setups``: the scenarios' own, for the dry run."""
    parser = argparse.ArgumentParser(description="Stampede controller script: makes the load of one host.")
    parser.add_argument("--version", action="version", version=f"stampede {VERSION}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="arm, wait for go.json, run the script for all holders, drain")
    run.add_argument("--run-dir", type=Path, required=True, metavar="DIR", help="work folder of the run")
    run.add_argument("--die-with", type=int, default=0, metavar="PID", help="end when this process is gone")
    dry = verbs.add_parser("dry-run", help="simulated holders on virtual time: what load would it make?")
    dry.add_argument("--json", action="store_true", help="print JSON")
    verbs.add_parser("check", help="look whether settings and script can be used")
    arguments = parser.parse_args(argv)
    try:
        settings = Settings.from_variables(variables)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.verb == "run":
        return _run_on_host(script, settings, arguments.run_dir.resolve(), arguments.die_with)
    if arguments.verb == "dry-run":
        return _dry_run(script, setups, settings, variables, as_json=arguments.json)
    return 0


def _run_on_host(script: Script | Sequence[Script], settings: Settings, run_dir: Path, die_with: int) -> int:
    import uvloop

    from controller.host.host_run import HostRun

    logs = run_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=logs / "controller.log",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)

    async def main() -> int:
        return await HostRun(script, settings, run_dir, die_with).go_through()

    return asyncio.run(main(), loop_factory=uvloop.new_event_loop)


def _dry_run(
    script: Script | Sequence[Script],
    setups: Sequence[Hook],
    settings: Settings,
    variables: Mapping[str, Any],
    *,
    as_json: bool,
) -> int:
    from controller.run.dry_run import dry_run
    from controller.run.run_hooks import simulate
    from stampede.machine.data_file import read_data_file

    try:
        rows = read_data_file(settings.data, settings.seed).row if settings.data else no_row
        forecast = dry_run(script, settings, row_of=rows, shared=simulate(setups, (), settings, variables))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    if as_json:
        print(json.dumps({"seconds": forecast.seconds, "steps": forecast.steps, "per_second": forecast.per_second}))
    else:
        print(forecast.text())
    return 0
