"""A trial of a run's script with simulated holders, in virtual time, before anything is started.

A script may do anything, so it is tried in a process that is ended: see ``trial_process.py``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stampede.machine.bounded_process import NoAnswer, answer_of
from stampede.machine.home import HOME
from stampede.prepare.rendering import find_scripts, without_secrets
from stampede.prepare.script_work import ScriptWork, read_work
from stampede.prepare.trial_process import FORECAST, FORECAST_SECONDS, LENGTH, TRIAL, TRIAL_SECONDS, WORK
from stampede.schema.errors import BadInput

MARGIN = 1.0
"""Seconds that the process gets to tell by itself what keeps it."""


def try_script(
    variables: Mapping[str, Any], templates_dir: Path, base_dir: Path | None = None, hosts: int = 1
) -> list[str]:
    """Run the script on virtual time with simulated holders. ``hosts``: how many load hosts share the run. Returns a
    sentence for each thing that the run does otherwise than its user may expect.

    Raises BadInput, naming file and line, when it does not render, has no ``async def script(holder)``, asks for a
    service that is not configured, raises anything, does not end, or never does a step that a threshold is about.
    """
    return _ask(TRIAL, variables, templates_dir, base_dir or Path.cwd(), TRIAL_SECONDS, hosts).splitlines()


def forecast(variables: Mapping[str, Any], project: Path) -> str:
    """What the controller script says of the load that it would make. Raises BadInput."""
    return _ask(FORECAST, variables, HOME / "templates", project, FORECAST_SECONDS)


def script_work(variables: Mapping[str, Any], project: Path) -> ScriptWork:
    """What a holder of the run does before its first round and in a round, on average. Raises BadInput."""
    return read_work(_ask(WORK, variables, HOME / "templates", project, FORECAST_SECONDS))


def simulated_seconds(variables: Mapping[str, Any], project: Path) -> float:
    """How long simulated holders take for all of the run, or for as much of it as can be simulated in some seconds;
    of a search in which every level holds. Raises BadInput."""
    return float(_ask(LENGTH, variables, HOME / "templates", project, FORECAST_SECONDS))


def _ask(
    verb: str, variables: Mapping[str, Any], templates_dir: Path, base_dir: Path, seconds: float, hosts: int = 1
) -> str:
    """The text that the process answers. Raises BadInput with what it has to say against the script."""
    scripts = find_scripts(variables, templates_dir, base_dir)
    path = " or ".join(str(script.path) for script in scripts)
    question = {
        "verb": verb,
        "variables": without_secrets(variables),
        "templates_dir": str(templates_dir),
        "base_dir": str(base_dir),
        "hosts": hosts,
    }
    program = [sys.executable, "-P", "-m", "stampede.prepare.trial_process"]
    try:
        sentences, text = _read(
            answer_of(program, json.dumps(question, default=str), seconds * len(scripts) + MARGIN)
        )
    except NoAnswer as error:
        raise BadInput(
            f"{path}: its trial {error}; a script must await its steps, and neither block nor end the process"
        ) from error
    if sentences:
        raise BadInput(*sentences)
    return text


def _read(line: str) -> tuple[list[str], str]:
    """The sentences and the text of an answer. Raises NoAnswer when the script has written to the same place."""
    try:
        answer = json.loads(line)
        return [str(sentence) for sentence in answer["sentences"]], str(answer["text"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise NoAnswer("gave an answer that was not its own") from None
