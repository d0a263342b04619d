"""The controller script of a run, rendered from Jinja templates."""

from __future__ import annotations

import ast
import contextlib
import difflib
import io
import pprint
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox

from stampede.machine.files import user_path
from stampede.machine.home import HOME
from stampede.prepare.ca_files import copied_ca_files
from stampede.prepare.genesis import with_genesis_texts
from stampede.prepare.script_errors import place_in, said_by, told
from stampede.schema.errors import BadInput
from stampede.schema.settings.script_settings import VARIABLE as SCRIPTS
from stampede.schema.settings.script_settings import read_scripts
from stampede.schema.settings.shapes import Duration
from stampede.schema.settings.variable_reader import VariableReader
from stampede.schema.settings.variables import VARIABLES

BLANKED = "stampede_secrets"
"""The variable of which the rendered script holds the names only, not the values; templates have none of it."""
LARGEST_SCRIPT = 1_000_000
"""Bytes."""


@dataclass(frozen=True, slots=True)
class FoundScript:
    """A script of a run."""

    name: str
    """Empty when the run has no other."""
    path: Path
    variables: Mapping[str, Any]
    """Those that it is rendered with."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A rendered script, as the template of the controller script takes it in."""

    name: str
    file: str
    source: str

    @property
    def lines(self) -> int:
        """How many it has."""
        return self.source.count("\n")


def find_scripts(
    variables: Mapping[str, Any], templates_dir: Path, base_dir: Path | None = None
) -> list[FoundScript]:
    """The files of ``stampede_scripts``, or that of ``stampede_script``. Raises BadInput."""
    reader = VariableReader({SCRIPTS: (), **variables})
    shares = read_scripts(reader)
    if reader.problems:
        raise BadInput(*reader.problems)
    if not shares:
        return [FoundScript("", find_script(str(variables["stampede_script"]), templates_dir, base_dir), variables)]
    return [
        FoundScript(
            share.name,
            find_script(share.script, templates_dir, base_dir, f"{SCRIPTS}[{place}].script"),
            {**variables, "stampede_script": share.script, **share.variables},
        )
        for place, share in enumerate(shares)
    ]


def find_script(
    name: str, templates_dir: Path, base_dir: Path | None = None, variable: str = "stampede_script"
) -> Path:
    """The file of ``stampede_script``: a template's name under ``scenarios/``, or the path of a .py.j2 or
    .py file, relative to ``base_dir``. Raises BadInput with the nearest name."""
    if name.endswith((".py", ".py.j2")):
        path = user_path(variable, name, base_dir or Path.cwd())
        if path.is_file():
            return path
        raise BadInput(
            f"{variable} is {name!r}, but there is no file {path}; "
            "it must be the path of a .py or .py.j2 file, or the name of a template in templates/scenarios"
        )
    path = templates_dir / "scenarios" / f"{name}.py.j2"
    if path.is_file():
        return path
    names = sorted(file.name.removesuffix(".py.j2") for file in (templates_dir / "scenarios").glob("*.py.j2"))
    nearest = difflib.get_close_matches(name, names, n=1)
    raise BadInput(
        f"{variable} is {name!r}; it must be one of {', '.join(names)}, or the path of a .py or .py.j2 file"
        + (f"; did you mean {nearest[0]}?" if nearest else "")
    )


def render_scenario(path: Path, variables: Mapping[str, Any]) -> str:
    """The scenario's source; a ``.j2`` file is rendered with ``variables``, but for the secrets.

    Raises BadInput, naming file and line, when it does not render or is not valid Python.
    """
    source = _source(path)
    if path.suffix == ".j2":
        source = _rendered(path, source, {**variables, **in_seconds(variables)})
    _check_python(source, path)
    return source


def _source(path: Path) -> str:
    """The text of a file, as Python reads its own: with or without a byte order mark, whatever ends its lines."""
    try:
        if path.stat().st_size > LARGEST_SCRIPT:
            raise BadInput(f"{path} has {path.stat().st_size} bytes; a script must have at most {LARGEST_SCRIPT}")
        content = path.read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        if encoding not in ("utf-8", "utf-8-sig"):
            raise BadInput(f"{path} says that it is encoded in {encoding}; a script must be UTF-8")
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, SyntaxError) as error:
        raise BadInput(f"{path} cannot be read: {said_by(error)}; a script must be UTF-8") from error


def _rendered(path: Path, source: str, variables: Mapping[str, Any]) -> str:
    environment = jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    known = {name: value for name, value in variables.items() if name != BLANKED}
    known[BLANKED] = environment.undefined(
        f"no template may use {BLANKED}, for what it renders is kept with the results; "
        "a service's URL, headers and body may have ${secret:NAME}"
    )
    try:
        code = environment.compile(source, path.name, str(path))
        template = environment.template_class.from_code(environment, code, environment.make_globals(None))
        return template.render(known)
    except jinja2.TemplateSyntaxError as error:
        raise BadInput(f"{path} line {error.lineno}: {said_by(error)}; it must be a valid Jinja template") from error
    except jinja2.UndefinedError as error:
        text = str(error.message)
        hint = "" if text.startswith("no template") else "; it may use the stampede_* variables"
        raise BadInput(f"{place_in(path, error)}: {text}{hint}") from error
    except Exception as error:  # templates call methods of values, and those raise anything
        raise BadInput(f"{told(path, error)}; it must be a template that renders") from error


def _check_python(source: str, path: Path) -> None:
    """Raise BadInput when a source cannot be compiled."""
    try:
        compile(source, str(path), "exec")
    except SyntaxError as error:
        line, text = f" line {error.lineno}" if error.lineno else "", (error.text or "").strip()
        raise BadInput(
            f"{path}{line}: {error.msg}{f': {text[:200]!r}' if text else ''}; a script must be valid Python"
        ) from error
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise BadInput(f"{path}: {said_by(error)}; a script must be valid Python") from error


def in_seconds(variables: Mapping[str, Any]) -> dict[str, float | int]:
    """The durations among ``variables`` as numbers, so that a template can write them into Python."""
    numbers: dict[str, float | int] = {}
    for name, shape in VARIABLES.items():
        if isinstance(shape, Duration):
            with contextlib.suppress(KeyError, ValueError):  # not set, or reported elsewhere
                value = shape.read(variables[name])
                numbers[name] = int(value) if value.is_integer() else value
    return numbers


def without_secrets(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables, with empty texts for the values of the secrets."""
    return {**variables, BLANKED: dict.fromkeys(variables.get(BLANKED) or {}, "")}


def render_script(variables: Mapping[str, Any], templates_dir: Path, base_dir: Path | None = None) -> str:
    """The text of the controller script. It holds no secrets. Raises BadInput."""
    settings = without_secrets(variables)
    scenarios: list[Scenario] = []
    future: list[str] = []
    for script in find_scripts(variables, templates_dir, base_dir):
        source, imports = _without_future(render_scenario(script.path, script.variables).strip("\n") + "\n")
        file = "".join(sign if sign.isprintable() else "?" for sign in script.path.name)
        scenarios.append(Scenario(script.name, file, source))
        future += [each for each in imports if each not in future]
    text = (
        jinja2.Environment(  # noqa: S701  Python is rendered here, not HTML
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True
        )
        .from_string((templates_dir / "controller.py.j2").read_text(encoding="utf-8"))
        .render(
            settings=settings,
            settings_literal=pprint.pformat(settings, width=100, sort_dicts=True),
            scenarios=scenarios,
            future=future,
        )
    )
    _check_python(text, script.path)
    return text


def _without_future(source: str) -> tuple[str, list[str]]:
    """The source with its imports from ``__future__`` as mere texts, and those imports: in the controller script they
    must stand before all else."""
    lines = source.splitlines(keepends=True)
    imports: list[str] = []
    for node in reversed(ast.parse(source).body):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            imports.insert(0, ast.unparse(node))
            first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
            before = lines[first].encode()[: node.col_offset].decode()
            after = lines[last].encode()[node.end_col_offset :].decode()
            lines[first : last + 1] = [f"{before}{imports[0]!r}{after}"]
    return "".join(lines), imports


def render_for_host(
    variables: Mapping[str, Any], project: Path, *, share: Mapping[str, Any], postgresql_url: str, ca_dir: str
) -> tuple[str, dict[str, str]]:
    """The controller script of a load host, and the CA files to copy there: the path on the control node by name.

    ``share``: the variables that differ on this host (``LoadModel.shares``). ``ca_dir``: the folder of the copies;
    empty when the load host is the control node, which needs none. Raises BadInput.
    """
    of_host = {**variables, **share, "stampede_postgresql_url": postgresql_url}
    of_host, originals = copied_ca_files(of_host, ca_dir) if ca_dir else (of_host, {})
    of_host = with_genesis_texts(of_host)
    return render_script(of_host, HOME / "templates", project), originals
