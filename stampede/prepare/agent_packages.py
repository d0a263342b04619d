"""``stampede_agent_packages``: packages with ACA-Py's plugins, each a requirement, a wheel or a local folder.

Folders, and what a requirement names by a URL, are built into wheels on the control node, so that load hosts get
wheels alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import re
import shutil
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from stampede.machine.files import user_path
from stampede.prepare.pip import PipFailed, pip
from stampede.schema.errors import BadInput
from stampede.schema.settings.variable_reader import shown

VARIABLE = "stampede_agent_packages"
PLUGINS = "stampede_agent_plugins"
RIGHT = "it must be a requirement such as NAME==1.0, or the path of a wheel or of a folder, such as ./plugin"
MOST_FILES = 5_000
MOST_BYTES = 100_000_000
"""Of a folder, what is not LEFT_OUT aside."""
LEFT_OUT = frozenset({".git", ".venv", "venv", "__pycache__", "build", "dist", "node_modules", ".mypy_cache"})
"""Names within a folder that are no part of a package."""
KEPT = 20
"""Wheels that are kept, the newest; more if more are in use."""
_LOGIN = re.compile(r"://[^/\s@]*@")
"""In a URL; all of it may be a token."""


@dataclass(frozen=True, slots=True)
class AgentPackage:
    """A package that is ready to be installed."""

    entry: str
    """As the setting has it."""
    name: str
    """Of the distribution, in its normal form."""
    requirement: str
    """What pip takes: a requirement, or the path of a wheel."""
    digest: str
    """Changes whenever the package does."""

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel on this machine."""
        return self.requirement.endswith(".whl")


def package_problems(variables: Mapping[str, Any], project: Path) -> list[str]:
    """A sentence for each entry that cannot be a package, without building any."""
    entries, plugins = variables.get(VARIABLE), variables.get(PLUGINS)
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, str) for entry in entries):
        return []  # told elsewhere
    problems = []
    for entry in entries:
        try:
            if problem := _problem(entry, project):
                problems.append(f"{VARIABLE} has {shown(_LOGIN.sub('://***@', entry))}, {problem}")
        except BadInput as error:  # a path that none can be
            problems += error.sentences
    if not problems:
        problems += _twice((entry, _known_name(entry, project)) for entry in entries)
    if entries and isinstance(plugins, list | tuple) and not plugins and not problems:
        problems.append(
            f"{VARIABLE} has {shown(entries[0])}, but {PLUGINS} names no plugin; it must name those that ACA-Py is "
            "to load, by their modules"
        )
    return problems


def built_packages(entries: Sequence[str], project: Path, cache: Path) -> list[AgentPackage]:
    """The packages, those that are no wheels yet built, once for each content. Raises BadInput."""
    problems = package_problems({VARIABLE: entries, PLUGINS: ["any"]}, project)
    if problems:
        raise BadInput(*problems)
    if not entries:
        return []
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = [_readable(entry, project, cache) for entry in entries]
        _forget_old(cache, max(KEPT, len(packages)))
    if problems := list(_twice((package.entry, package.name) for package in packages)):
        raise BadInput(*problems)
    return packages


def _twice(packages: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A sentence for each entry with the name of an earlier one."""
    first: dict[str, str] = {}
    for entry, name in packages:
        if name and name in first:
            yield (
                f"{VARIABLE} has {shown(entry)}, which is the package {name}, as is {shown(first[name])}; it must be "
                "there once"
            )
        first.setdefault(name, entry)


def _known_name(entry: str, project: Path) -> str:
    """The name of a package; empty where it takes building it to know."""
    if not _is_path(entry):
        return canonicalize_name(Requirement(entry).name)
    path = user_path(VARIABLE, entry, project)
    if path.is_file():
        return _name(path)
    try:
        written = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))
        return canonicalize_name(written["project"]["name"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def _problem(entry: str, project: Path) -> str:
    """What is wrong with an entry, to follow it; empty when it may be a package."""
    if not _is_path(entry):
        try:
            requirement = Requirement(entry)
        except InvalidRequirement:
            return f"which is no package; {RIGHT}"
        if requirement.url and _LOGIN.search(requirement.url):
            return "whose URL holds a login; it must be without, for pip has a configuration of its own for logins"
        return ""
    try:
        path = user_path(VARIABLE, entry, project)
        if path.is_file() and path.suffix == ".whl":
            return _wheel_problem(path)
        if not path.is_dir():
            return f"but there is no such folder or wheel ({shown(str(path))}); {RIGHT}"
        is_project = any((path / name).is_file() for name in ("pyproject.toml", "setup.py"))
    except OSError as error:
        return f"which cannot be read ({error.strerror}); {RIGHT}"
    if not is_project:
        return f"but {shown(str(path))} has neither pyproject.toml nor setup.py; it must be a Python package's folder"
    return ""


def _wheel_problem(path: Path) -> str:
    try:
        parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        return f"which is not named as a wheel ({error}); it must be a wheel under its own name"
    return (
        "" if zipfile.is_zipfile(path) else f"but {shown(str(path))} is no wheel, which is a zip file; it must be one"
    )


def _is_path(entry: str) -> bool:
    return entry.startswith((".", "/", "~")) or ("@" not in entry and ("/" in entry or entry.endswith(".whl")))


def _readable(entry: str, project: Path, cache: Path) -> AgentPackage:
    """A package as pip takes it. Raises BadInput."""
    try:
        return _ready(entry, project, cache)
    except OSError as error:
        reason = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        raise BadInput(f"{VARIABLE} has {shown(entry)}, which cannot be read ({reason}); {RIGHT}") from None


def _ready(entry: str, project: Path, cache: Path) -> AgentPackage:
    """The same. Raises OSError too."""
    if not _is_path(entry):
        requirement = Requirement(entry)
        name, digest = canonicalize_name(requirement.name), _digest(entry.encode())
        if not requirement.url:
            return AgentPackage(entry, name, entry, digest)
        return AgentPackage(entry, name, str(_built(entry, entry, cache / digest)), digest)
    path = user_path(VARIABLE, entry, project)
    if path.is_file():
        return AgentPackage(entry, _name(path), str(path), _digest(path.name.encode(), path.read_bytes()))
    with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as folder:
        source = Path(folder) / "source"
        digest = _copied(entry, path, source)
        wheel = _built(entry, str(source), cache / digest, isolated=not _has_what_it_needs(source))
    return AgentPackage(entry, _name(wheel), str(wheel), digest)


def _built(entry: str, source: str, folder: Path, isolated: bool = True) -> Path:
    """The wheel of a source in ``folder``, built when it is not there. Raises BadInput with pip's own words."""
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as name:
            draft = Path(name) / "wheel"
            options = [] if isolated else ["--no-build-isolation"]
            try:
                pip("wheel", "--no-deps", *options, "--wheel-dir", str(draft), source)
            except PipFailed as error:
                raise BadInput(
                    f"{VARIABLE} has {shown(entry)}, which cannot be built into a wheel: {error}"
                ) from None
            draft.rename(folder)
    else:
        folder.touch()
    return next(folder.glob("*.whl"))


def _copied(entry: str, folder: Path, copy: Path) -> str:
    """The digest of a folder's content, of which a copy is made: nothing is written where the user works.

    Raises BadInput when it is too much for a package.
    """
    digest, total = hashlib.sha256(), 0
    copy.mkdir()
    files = itertools.islice(_files(folder), MOST_FILES + 1)  # a link may lead to all there is
    for count, file in enumerate(sorted(files), 1):
        total += file.stat().st_size
        if count > MOST_FILES or total > MOST_BYTES:
            raise BadInput(
                f"{VARIABLE} has {shown(entry)}, but {shown(str(folder))} has more than {MOST_FILES:,} files or "
                f"{MOST_BYTES // 1_000_000} MB; it must be the folder of a single package"
            )
        name, content = file.relative_to(folder), file.read_bytes()
        digest.update(f"\0{name}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy / name)
    return digest.hexdigest()[:16]


def _files(folder: Path, within: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """All files of a package, also those behind links to folders, unless these are ``within`` each other."""
    real = folder.resolve()
    if real in within:
        return
    for path, folders, names in folder.walk():
        folders[:] = [name for name in folders if _is_part(name)]
        for file in (path / name for name in names):
            if file.is_file():
                yield file
            elif file.is_dir() and _is_part(file.name):  # a link, which walk() does not follow
                yield from _files(file, within | {real})


def _is_part(folder: str) -> bool:
    return folder not in LEFT_OUT and not folder.endswith(".egg-info")


def _has_what_it_needs(source: Path) -> bool:
    """Whether a package can be built with what this Python has, so that no index is needed."""
    try:
        project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
        needed = [Requirement(text) for text in project["build-system"]["requires"]]
        return all(each.specifier.contains(version(each.name)) for each in needed)
    except (OSError, ValueError, KeyError, TypeError, InvalidRequirement, PackageNotFoundError):
        return False


def _name(wheel: Path) -> str:
    return str(parse_wheel_filename(wheel.name)[0])


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _forget_old(cache: Path, kept: int) -> None:
    wheels = sorted(cache.glob("*/*.whl"), key=lambda wheel: wheel.parent.stat().st_mtime, reverse=True)
    for stale in wheels[kept:]:
        shutil.rmtree(stale.parent)
