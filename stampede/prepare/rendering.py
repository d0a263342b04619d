"""Renders the controller script of a run from Jinja templates, and looks whether it can be run at all."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import difflib
import inspect
import io
import pprint
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from stampede.engine import STEPS, Script, dry_run
from stampede.schema import thresholds
from stampede.schema.durations import seconds
from stampede.schema.errors import BadInput
from stampede.schema.settings import Settings

BLANKED = "stampede_secrets"
"""The variable whose values never come into the rendered script; their names do."""

DURATIONS = tuple(
    f"stampede_{name}" for name in ("ramp_up", "duration", "wait_min", "wait_max", "drain", "step_timeout")
)

TRIAL_HOLDERS = 2
TRIAL_ROUNDS = 2
TRIAL_SECONDS = 120.0


def find_script(name: str, templates_dir: Path, base_dir: Path | None = None) -> Path:
    """The file of ``stampede_script``: a template's name under ``scenarios/``, or the path of a .py.j2 or
    .py file, relative to ``base_dir``. Raises BadInput with the nearest name."""
    if name.endswith((".py", ".py.j2")):
        path = (base_dir or Path.cwd()) / Path(name).expanduser()
        if path.is_file():
            return path
        raise BadInput(
            f"stampede_script is {name!r}, but there is no file {path}; "
            "it must be the path of a .py or .py.j2 file, or the name of a template in templates/scenarios"
        )
    path = templates_dir / "scenarios" / f"{name}.py.j2"
    if path.is_file():
        return path
    names = sorted(file.name.removesuffix(".py.j2") for file in (templates_dir / "scenarios").glob("*.py.j2"))
    nearest = difflib.get_close_matches(name, names, n=1)
    raise BadInput(
        f"stampede_script is {name!r}; it must be one of {', '.join(names)}, or the path of a .py or .py.j2 file"
        + (f"; did you mean {nearest[0]}?" if nearest else "")
    )


def render_scenario(path: Path, variables: dict[str, Any]) -> str:
    """The scenario's source; a ``.j2`` file is rendered with ``variables``.

    Raises BadInput, naming file and line, when it does not render or is not valid Python.
    """
    try:
        source = path.read_text(encoding="utf-8")
        if path.suffix == ".j2":
            source = _environment().from_string(source).render(variables | in_seconds(variables))
    except jinja2.TemplateSyntaxError as error:
        raise BadInput(f"{path} line {error.lineno}: {error.message}; it must be a valid Jinja template") from error
    except jinja2.UndefinedError as error:
        raise BadInput(f"{path}: {error.message}; it may use the stampede_* variables") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    try:
        compile(source, str(path), "exec")
    except SyntaxError as error:
        raise BadInput(
            f"{path} line {error.lineno}: {error.msg}: {(error.text or '').strip()!r}; a script must be valid Python"
        ) from error
    return source


def in_seconds(variables: Mapping[str, Any]) -> dict[str, float | int]:
    """The durations among ``variables`` as numbers, so that a template can write them into Python."""
    numbers = {}
    for name in DURATIONS:
        with contextlib.suppress(KeyError, ValueError):  # not there, or complained of elsewhere
            value = seconds(variables[name])
            numbers[name] = int(value) if value.is_integer() else value
    return numbers


def render_script(variables: dict[str, Any], templates_dir: Path, base_dir: Path | None = None) -> str:
    """The text of the controller script. It holds no secrets. Raises BadInput."""
    path = find_script(str(variables["stampede_script"]), templates_dir, base_dir)
    settings = {**variables, BLANKED: dict.fromkeys(variables.get(BLANKED) or {}, "")}
    return (
        _environment()
        .from_string((templates_dir / "controller.py.j2").read_text(encoding="utf-8"))
        .render(
            settings=settings,
            settings_literal=pprint.pformat(settings, width=100, sort_dicts=True),
            script_file=path.name,
            script_source=render_scenario(path, variables).strip() + "\n",
        )
    )


def try_script(variables: dict[str, Any], templates_dir: Path, base_dir: Path | None = None) -> None:
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


def _environment() -> jinja2.Environment:
    return jinja2.Environment(  # noqa: S701  Python is rendered here, not HTML
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )


def _place(error: BaseException, path: Path) -> str:
    """``FILE line N`` of the script where ``error`` came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path} line {lines[-1]}" if lines else str(path)
