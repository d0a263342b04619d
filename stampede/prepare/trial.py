"""A trial of a run's script with simulated holders, in virtual time, before anything is started."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import io
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stampede.engine import STEPS, Script, dry_run
from stampede.prepare.rendering import find_script, render_scenario, render_script
from stampede.schema.errors import BadInput
from stampede.schema.settings import thresholds
from stampede.schema.settings.run_settings import Settings

TRIAL_HOLDERS = 2
TRIAL_ROUNDS = 2
TRIAL_SECONDS = 120.0


def try_script(variables: Mapping[str, Any], templates_dir: Path, base_dir: Path | None = None) -> None:
    """Run the script on virtual time with simulated holders.

    Raises BadInput, naming file and line, when it has no ``async def script(holder)``, asks for a service
    that is not configured, raises anything, or never does a step that a threshold is about.
    """
    settings = Settings.from_variables(variables)
    path = find_script(settings.script, templates_dir, base_dir)
    source = render_scenario(path, variables)
    names: dict[str, Any] = {"__name__": "scenario", "__file__": str(path)}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, str(path), "exec"), names)  # noqa: S102  the user's own script
    except Exception as error:
        raise BadInput(f"{_place(error, path)}: {type(error).__name__}: {error}") from error
    script = names.get("script")
    if not inspect.iscoroutinefunction(script):
        raise BadInput(f"{path} has no 'async def script(holder)'; every script must have one")
    few = settings.load.reduced(TRIAL_HOLDERS)
    short = settings.load.reduced(TRIAL_HOLDERS, TRIAL_ROUNDS, TRIAL_SECONDS)
    steps: set[str] = set()
    wanted = {step for step in thresholds.steps_in(settings.thresholds) if step in STEPS or step in source}
    for load in (short, few, settings.load):  # a step may come late, or from few holders, so look ever longer
        steps |= _steps_of(script, dataclasses.replace(settings, load=load), path)
        if not wanted - steps:
            break
    thresholds.check_steps(settings.thresholds, sorted(steps))


def forecast(variables: Mapping[str, Any], repository: Path) -> str:
    """What the controller script says of the load that it would make. Raises BadInput."""
    with tempfile.TemporaryDirectory(prefix="stampede-") as folder:
        file = Path(folder) / "controller_script.py"
        file.write_text(render_script(variables, repository / "templates", repository), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(file), "dry-run"], cwd=repository, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise BadInput(*([line for line in done.stderr.splitlines() if line.strip()] or ["The dry run failed"]))
    return done.stdout


def _steps_of(script: Script, settings: Settings, path: Path) -> set[str]:
    """The steps that a script does in a dry run. Raises BadInput."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return set(dry_run(script, settings).steps)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        text = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
        raise BadInput(f"{_place(error, path)}: {text}") from error


def _place(error: BaseException, path: Path) -> str:
    """``FILE line N`` of the script where ``error`` came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path} line {lines[-1]}" if lines else str(path)
