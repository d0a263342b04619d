"""The controller script of a run, rendered from Jinja templates."""

from __future__ import annotations

import contextlib
import difflib
import pprint
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from stampede.machine.files import user_path
from stampede.prepare.ca_files import copied_ca_files
from stampede.schema.errors import BadInput
from stampede.schema.settings.shapes import Duration
from stampede.schema.settings.variables import VARIABLES

BLANKED = "stampede_secrets"
"""The variable of which the rendered script holds the names only, not the values."""


def find_script(name: str, templates_dir: Path, base_dir: Path | None = None) -> Path:
    """The file of ``stampede_script``: a template's name under ``scenarios/``, or the path of a .py.j2 or
    .py file, relative to ``base_dir``. Raises BadInput with the nearest name."""
    if name.endswith((".py", ".py.j2")):
        path = user_path("stampede_script", name, base_dir or Path.cwd())
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


def render_scenario(path: Path, variables: Mapping[str, Any]) -> str:
    """The scenario's source; a ``.j2`` file is rendered with ``variables``.

    Raises BadInput, naming file and line, when it does not render or is not valid Python.
    """
    try:
        source = path.read_text(encoding="utf-8")
        if path.suffix == ".j2":
            source = _environment().from_string(source).render({**variables, **in_seconds(variables)})
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
    numbers: dict[str, float | int] = {}
    for name, shape in VARIABLES.items():
        if isinstance(shape, Duration):
            with contextlib.suppress(KeyError, ValueError):  # not set, or reported elsewhere
                value = shape.read(variables[name])
                numbers[name] = int(value) if value.is_integer() else value
    return numbers


def render_script(variables: Mapping[str, Any], templates_dir: Path, base_dir: Path | None = None) -> str:
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


def render_for_host(
    variables: Mapping[str, Any], repository: Path, *, share: Mapping[str, Any], postgresql_url: str, ca_dir: str
) -> tuple[str, dict[str, str]]:
    """The controller script of a load host, and the CA files to copy there: the path on the control node by name.

    ``share``: the variables that differ on this host (``LoadModel.shares``). ``ca_dir``: the folder of the copies;
    empty when the load host is the control node, which needs none. Raises BadInput.
    """
    of_host = {**variables, **share, "stampede_postgresql_url": postgresql_url}
    of_host, originals = copied_ca_files(of_host, ca_dir) if ca_dir else (of_host, {})
    return render_script(of_host, repository / "templates", repository), originals


def _environment() -> jinja2.Environment:
    return jinja2.Environment(  # noqa: S701  Python is rendered here, not HTML
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
