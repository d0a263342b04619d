"""The blocks of the documentation, and what is wrong with one: no such command, option, setting or method.

Commands are not run, but given to the parsers that would read them; what has no parser here needs a mark before it,
``<!-- not tested: WHY -->``, as a comment that readers do not see.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import inspect
import io
import itertools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import jinja2
import yaml
from ansible.cli import CLI
from ansible.cli.adhoc import AdHocCLI
from ansible.cli.galaxy import GalaxyCLI
from ansible.cli.playbook import PlaybookCLI
from ansible.cli.vault import VaultCLI
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from markdown_it import MarkdownIt

from stampede import cli, playbooks
from stampede.engine import Holder
from stampede.prepare.run_check import unknown_names
from stampede.schema.settings.run_settings import check_variables
from stampede.schema.settings.variable_reader import shape_problems

REPOSITORY = Path(__file__).resolve().parents[1]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
PLACEHOLDER = re.compile(r"INVENTORY|inventory/mine|~/\.cache/stampede/fleets/\w+/inventory/hosts\.yml")
"""Inventories that the reader has, and the repository has not."""
MARK = re.compile(r"<!-- not tested: (\S.*) -->")
ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")
COMPILED = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
RUN = (".venv/bin/python - RUN_ID", "openssl req", "ssh-keygen -Y sign", "ssh-keygen -Y verify")
"""How blocks begin that test_docs_blocks.py and test_release.py run."""
PIPELINES = {"jobs": "vendor.github-workflows", "include": "vendor.gitlab-ci"}
"""A key by which a pipeline is known, and the published schema that check-jsonschema has of it."""
SERVICE_KEYS = {"invitation", "revocation", "result", "request", "requests"}


@dataclass(frozen=True)
class Block:
    """A block of a page: ``language`` is that of a fence, and ``sh`` where the block is indented."""

    line: int
    language: str
    text: str
    mark: str
    """Why it is not tested; empty when it is."""


def blocks(text: str) -> Iterator[Block]:
    """All blocks of a page, in lists and quotes too."""
    mark = ""
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "html_block":
            found = MARK.search(token.content)
            mark = found[1] if found else ""
        elif token.type in ("fence", "code_block"):
            language = token.info.split()[0] if token.info.split() else ""
            yield Block(
                (token.map or [0])[0] + 1, "sh" if token.type == "code_block" else language, token.content, mark
            )
            mark = ""
        elif not token.hidden:
            mark = ""


def problems(block: Block, variables: Mapping[str, Any]) -> list[str]:
    """What is wrong with a block; ``variables`` are settings that are right."""
    checks: dict[str, Callable[[str, Mapping[str, Any]], Iterator[str]]] = {
        "sh": _shell,
        "yaml": _settings,
        "python": _python,
        "jinja": _jinja,
        "json": _json,
    }
    if block.language == "text":
        return ["text has no mark: it is not tested"] if block.mark else []
    check = checks.get(block.language)
    found = (
        list(check(block.text, variables)) if check else [f"nothing here can check {block.language or 'a bare ```'}"]
    )
    if block.mark:
        return [] if found else ["the mark is idle: the block passes its check"]
    return found


def _json(text: str, _: Mapping[str, Any]) -> Iterator[str]:
    try:
        json.loads(text)
    except ValueError as error:
        yield f"it is no JSON: {error}"


# ---------------------------------------------------------------- commands


def _shell(text: str, variables: Mapping[str, Any]) -> Iterator[str]:
    if text.startswith(RUN):
        return
    for line in _commands(text):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            yield f"{line}: {error}"
            continue
        while words and ASSIGNMENT.match(words[0]):
            words.pop(0)
        yield from (f"{line.partition(chr(10))[0]}: {problem}" for problem in _command(words, variables))


def _commands(text: str) -> Iterator[str]:
    """The commands of a block: a line each, or several where a quote or a document goes on."""
    waiting = ""
    for line in text.splitlines():
        waiting = f"{waiting}\n{line}" if waiting else line
        document = re.search(r"<<'(\w+)'", waiting)
        if document and line != document[1]:
            continue
        if not document:
            with contextlib.suppress(ValueError):
                shlex.split(waiting, comments=True)
                document = re.search("", "")
        if document:
            if waiting.strip():
                yield waiting
            waiting = ""
    if waiting:
        yield waiting


def _command(words: list[str], variables: Mapping[str, Any]) -> Iterator[str]:
    program, *rest = words
    match program.removeprefix(".venv/bin/"), rest:
        case "make", [target, *given]:
            yield from _make(target, given, variables)
        case "ansible-playbook", _:
            yield from _playbook(rest, variables)
        case "ansible", _:
            yield from _ansible(AdHocCLI, rest)
        case "ansible-vault", _:
            yield from _ansible(VaultCLI, rest)
        case "ansible-galaxy", _:
            yield from _ansible(GalaxyCLI, rest)
        case "pip", ["install", *given]:
            files = [word for option, word in itertools.pairwise(given) if option in ("-c", "-r")]
            yield from (f"{file} is no file" for file in files if not (REPOSITORY / file).is_file())
            yield from _options(("-m", "pip", "install"), given)
        case "stampede", _:
            if found := playbooks.asked(rest):
                playbook, given = found
                yield from _playbook(["-i", "inventory/local", f"playbooks/{playbook.file}", *given], variables)
            else:
                yield from _stampede(rest)
        case "python", ["-m", module, *given]:
            yield from _options(("-m", module), given)
        case "python", [script, *given] if script.endswith(".py"):
            yield from _options((script,), given)
        case "cp", ["-r", origin, _]:
            if not (REPOSITORY / origin).is_dir():
                yield f"{origin} is no folder"
        case _:
            yield f"no check knows {program}; write one, or mark the block"


def _make(target: str, given: list[str], variables: Mapping[str, Any]) -> Iterator[str]:
    recipe = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    if not recipe:
        yield f"make has no target {target}"
        return
    for name, value in (word.split("=", 1) for word in given):
        arguments = shlex.split(value)
        if name != "ARGS" or "$(ARGS)" not in recipe[1]:
            yield f"make {target} takes no {name}"
        elif target == "run":
            yield from _playbook(["-i", "inventory/local", "playbooks/run-test.yml", *arguments], variables)
        elif target == "fleet":
            yield from _options(("-m", "tests.fleet", "up"), arguments)
        elif "pytest" in recipe[1]:
            yield from _options(("-m", "pytest"), arguments)
        elif target == "lock":
            yield from _options(("-m", "uv", "pip", "compile"), arguments)
        else:
            yield f"no check knows what make {target} takes"


def _playbook(words: list[str], variables: Mapping[str, Any]) -> Iterator[str]:
    try:
        arguments = _parsed(PlaybookCLI, words)
    except ValueError as error:
        yield str(error)
        return
    for playbook in arguments.args:
        if not (REPOSITORY / playbook).is_file():
            yield f"{playbook} is no playbook"
    for inventory in arguments.inventory or ():
        if not PLACEHOLDER.fullmatch(inventory) and not (REPOSITORY / inventory).exists():
            yield f"{inventory} is no inventory"
    given: dict[str, Any] = {}
    for text in arguments.extra_vars:
        given |= json.loads(text) if text.startswith("{") else dict(pair.split("=", 1) for pair in shlex.split(text))
    yield from _wrong_settings(given, variables)


def _wrong_settings(given: dict[str, Any], variables: Mapping[str, Any]) -> Iterator[str]:
    """What the check of a run would say to these beside ``variables``."""
    yield from unknown_names(given)
    yield from shape_problems(given)
    for sentence in check_variables({**variables, **given}):
        if sentence not in shape_problems(given):
            yield sentence


def _ansible(kind: type[CLI], words: list[str]) -> Iterator[str]:
    try:
        _parsed(kind, words)
    except ValueError as error:
        yield str(error)


def _parsed(kind: type[CLI], words: list[str]) -> argparse.Namespace:
    """What a command of Ansible understands. Raises ValueError with its own words."""
    command = kind([kind.__name__, *words])
    command.init_parser()
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return command.parser.parse_args(words)
    except SystemExit:
        raise ValueError(said.getvalue().strip().rpartition("\n")[2]) from None


class _Understood(Exception):
    """The arguments of ``stampede`` have been parsed; nothing is to be done."""


def _stampede(words: list[str]) -> Iterator[str]:
    parse, said = argparse.ArgumentParser.parse_args, io.StringIO()

    def parse_only(parser: argparse.ArgumentParser, argv: list[str]) -> None:
        parse(parser, argv)
        raise _Understood

    with mock.patch.object(argparse.ArgumentParser, "parse_args", parse_only), contextlib.redirect_stderr(said):
        try:
            cli.main(words)
        except _Understood:
            return
        except SystemExit:
            yield said.getvalue().strip().rpartition("\n")[2]


def _options(program: tuple[str, ...], words: list[str]) -> Iterator[str]:
    """Options that a program's help does not have."""
    if program[0].endswith(".py") and not (REPOSITORY / program[0]).is_file():
        yield f"{program[0]} is no file"
        return
    help_text = _help(program)
    for option in (word.partition("=")[0] for word in words if word.startswith("-")):
        if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", help_text):
            yield f"{' '.join(program)} has no {option}"


@functools.cache
def _help(program: tuple[str, ...]) -> str:
    command = [sys.executable, *program, "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout if done.returncode == 0 else ""


# ---------------------------------------------------------------- settings


def validator(schema: str) -> Validator:
    """A published schema's, by check-jsonschema's name of it."""
    document = get_builtin_schema(schema)
    return validator_for(document)(document)


class _Loader(yaml.SafeLoader):
    """Knows values that Ansible's vault has encrypted."""


_Loader.add_constructor("!vault", lambda loader, node: "a secret")


def _settings(text: str, variables: Mapping[str, Any]) -> Iterator[str]:
    """Settings, services, or parts of one service."""
    try:
        given = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        yield f"no YAML: {error}"
        return
    if not isinstance(given, dict):
        yield "no mapping"
        return
    if schema := next((schema for key, schema in PIPELINES.items() if key in given), ""):
        given = {"on" if key is True else key: value for key, value in given.items()}  # YAML 1.1 takes on for true
        yield from (error.message for error in validator(schema).iter_errors(given))
        return
    if given.keys() <= SERVICE_KEYS:
        given = {"issuer": {**variables["stampede_services"]["issuer"], **given}}
    if not any(name.startswith("stampede_") for name in given):
        given = {"stampede_services": given}
    needed = set(re.findall(r"\$\{secret:(\w+)\}", text))
    secrets = {name: f"the {name} of a service" for name in needed} | given.get("stampede_secrets", {})
    taken = {name: value for name, value in given.items() if not (isinstance(value, str) and "{{" in value)}
    yield from _wrong_settings(taken | {"stampede_secrets": secrets}, variables)


# ---------------------------------------------------------------- Python


def _python(text: str, variables: Mapping[str, Any]) -> Iterator[str]:
    """Python with ``await`` at its top level, in which ``holder`` is a Holder."""
    try:
        tree = compile(text, "block", "exec", ast.PyCF_ONLY_AST | COMPILED)
        compile(tree, "block", "exec", COMPILED)
    except SyntaxError as error:
        yield f"no Python: {error}"
        return
    has = {*dir(Holder), *_own_attributes()}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="holder"), attr=name) if name not in has:
                yield f"a holder has no {name}"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="holder"), attr=name)) if hasattr(Holder, name):
                try:
                    names = [keyword.arg for keyword in node.keywords if keyword.arg]
                    inspect.signature(getattr(Holder, name)).bind(None, *node.args, **dict.fromkeys(names))
                except TypeError as error:
                    yield f"holder.{name}: {error}"
            case ast.ImportFrom(module="stampede", names=names):
                yield from (
                    f"stampede has no {each.name}" for each in names if each.name not in ("Holder", "StepError")
                )


@functools.cache
def _own_attributes() -> frozenset[str]:
    """What a Holder has beside what its class has."""
    source = inspect.getsource(Holder)
    return frozenset(re.findall(r"^        self\.(\w+)[:\s]", source, re.MULTILINE))


def _jinja(text: str, variables: Mapping[str, Any]) -> Iterator[str]:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    try:
        rendered = environment.from_string(text).render(variables)
    except jinja2.TemplateError as error:
        yield f"no template: {error}"
        return
    yield from _python(rendered, variables)
