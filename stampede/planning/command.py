"""The commands ``stampede plan``, and ``stampede compare`` with a plan."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text

from stampede import wording
from stampede.machine.home import project
from stampede.planning.against_run import compare_plan
from stampede.planning.calibration import calibrate
from stampede.planning.plan import Plan
from stampede.planning.planner import Wanted, make_plan
from stampede.planning.terminal import comparison_text, plan_text
from stampede.prepare.run_check import unknown_names
from stampede.report.output import ReportError, write
from stampede.schema.errors import BadInput
from stampede.schema.json_form import to_json


def plan(arguments: argparse.Namespace) -> int:
    """Print a plan, and write it if asked to. Returns the exit code."""

    def made() -> Plan:
        found = plan_of(arguments)
        if arguments.output:
            write(arguments.output, _json(found) + "\n")
        return found

    code = _printed("plan", made, plan_text, as_json=arguments.json)
    if code == 0 and arguments.output and not arguments.json:
        print(f"\nPlan: {arguments.output}")
    return code


def compare(plan_file: Path, results: Path, *, as_json: bool) -> int:
    """Print what was planned beside what a run used. Returns the exit code."""
    return _printed("compare", lambda: compare_plan(plan_file, results), comparison_text, as_json=as_json)


def _printed[Found](command: str, find: Callable[[], Found], text: Callable[[Found], Text], *, as_json: bool) -> int:
    try:
        found = find()
    except (BadInput, ReportError) as error:
        print(wording.printable_lines(f"stampede {command}: {error}"), file=sys.stderr)
        return 2
    if as_json:
        print(_json(found))
    else:
        Console(highlight=False, soft_wrap=True).print(text(found))
    return 0


def _json(document: Any) -> str:
    return json.dumps(to_json(document), indent=2, allow_nan=False)


def plan_of(arguments: argparse.Namespace) -> Plan:
    """The plan that the arguments ask for. Raises BadInput, and ReportError for results that cannot be read."""
    extra = extra_variables(arguments.extra_vars)
    calibration = calibrate(arguments.results, project(), in_spite_of_bottleneck=arguments.in_spite_of_bottleneck)
    wanted = Wanted(
        arguments.asked,
        extra,
        duration=arguments.duration,
        percentile=arguments.percentile,
        cores=arguments.cores_per_host,
        memory=arguments.memory_per_host,
        utilisation=arguments.utilisation,
        price=arguments.price_per_host_hour,
    )
    return make_plan(calibration, wanted, project())


def extra_variables(given: list[str]) -> dict[str, Any]:
    """The variables of ``-e``, later ones before earlier ones. Raises BadInput for what no role describes."""
    found: dict[str, Any] = {}
    for text in given:
        found |= _variables(text)
    if problems := unknown_names(found):
        raise BadInput(*problems)
    return found


def _variables(text: str) -> dict[str, Any]:
    """Those of one ``-e``: a file, JSON or YAML, or names with values, which are texts then."""
    if text.startswith("@") or text.lstrip().startswith("{"):
        try:
            content = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
            variables = yaml.safe_load(content)
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            said = str(getattr(error, "strerror", None) or error).splitlines()[0]
            raise BadInput(f"-e is {text[:80]!r}, and that cannot be read: {said}") from None
        if not isinstance(variables, dict):
            raise BadInput(f"-e is {text[:80]!r}; it must map names of variables to values")
        return {str(name): value for name, value in variables.items()}
    try:
        pairs = [word.partition("=") for word in shlex.split(text)]
    except ValueError as error:
        raise BadInput(f"-e is {text[:80]!r}, and that cannot be read: {error}") from None
    if not pairs or not all(name and sign for name, sign, _ in pairs):
        raise BadInput(f"-e is {text[:80]!r}; it must be name=value, JSON, or @FILE")
    return {name: value for name, _, value in pairs}
