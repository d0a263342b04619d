"""What a patch is: the change, the source it was written for, and whether that source is still the same."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

FINGERPRINT_DIGITS = 16


class SourceNotFound(LookupError):
    """A module, class or function is not among the installed packages."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A change to installed packages, made in the process of an agent.

    ``apply`` makes the change. Call it only when there are no ``obstacles``.
    """

    name: str
    reason: str
    """Why the change is needed, in a sentence or two."""
    upstream: str
    """Where the cause is known upstream, or ``not reported upstream``."""
    written_for: Mapping[str, str]
    """The version of each distribution for which the patch was written, such as ``{"acapy-agent": "1.7.0"}``."""
    originals: Mapping[str, str]
    """What the patch replaces or relies on (``module``, or ``module:qualified.name``) and its ``fingerprint``."""
    apply: Callable[..., None]

    def obstacles(self) -> list[str]:
        """What is no longer as the patch expects it, one clause each; empty when the patch can be applied."""
        found = []
        for original, expected in self.originals.items():
            try:
                if fingerprint(original) != expected:
                    found.append(f"{original} has changed")
            except SourceNotFound:
                found.append(f"{original} does not exist")
        return found

    def why_not(self) -> str:
        """A sentence on why the patch cannot be applied; empty when it can."""
        obstacles = self.obstacles()
        if not obstacles:
            return ""
        versions = ", ".join(f"{package} {version}" for package, version in self.written_for.items())
        installed = ", ".join(f"{package} {installed_version(package)}" for package in self.written_for)
        return f"it was written for {versions}; installed: {installed}; {', '.join(obstacles)}"


def fingerprint(original: str) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a module's, class's or function's source.

    Indentation, blank lines, and lines that are only a comment do not count. Nothing is imported: some modules
    patch the process when they are imported, and what is already patched must not be mistaken for the original.
    Raises SourceNotFound.
    """
    lines = textwrap.dedent(source_of(original)).splitlines()
    kept = [line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:FINGERPRINT_DIGITS]


def source_of(original: str) -> str:
    """The source of ``module`` or ``module:qualified.name`` as it is installed. Raises SourceNotFound."""
    module, _, qualified_name = original.partition(":")
    source = _source_file(module).read_text(encoding="utf-8")
    node: ast.AST = ast.parse(source)
    for name in qualified_name.split(".") if qualified_name else ():
        node = _definition(node, name, original)
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = min(part.lineno for part in (node, *node.decorator_list))
        return "\n".join(source.splitlines()[first - 1 : node.end_lineno])
    return source


def installed_version(package: str) -> str:
    """The installed version of a distribution, or ``none``."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _definition(parent: ast.AST, name: str, original: str) -> ast.AST:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    raise SourceNotFound(original)


def _source_file(module: str) -> Path:
    package, *names = module.split(".")
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:
        spec = None
    if spec is None or not spec.origin:
        raise SourceNotFound(module)
    origin = Path(spec.origin)
    path = origin.parent.joinpath(*names)
    candidates = (path.with_name(f"{path.name}.py"), path / "__init__.py") if names else (origin,)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise SourceNotFound(module)
