"""What this machine has of the software of others that tests use, and the folder where it is kept installed between
runs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

BUILD_LIMIT = 900
"""Seconds for one command of an installation."""


class Missing(Exception):
    """Something that the tests do not install is not on this machine: its name, and how to get it."""


class MissingPython(Missing):
    """A version of Python that no package of Debian has."""


def cache() -> Path:
    """``$STAMPEDE_INTEROP_CACHE``, else ``stampede/interop`` where the user keeps caches."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("STAMPEDE_INTEROP_CACHE") or Path(home) / "stampede/interop")


def installed(name: str, recipe: Iterable[str | Path], make: Callable[[Path], None]) -> Path:
    """The folder that ``make`` filled, now or in an earlier run. Another ``recipe`` replaces it: one of each is kept.

    ``recipe`` is all that decides what is made: versions, and files by their content.
    """
    parts = [part.read_bytes() if isinstance(part, Path) else part.encode() for part in recipe]
    wanted = hashlib.sha256(b"\0".join(parts)).hexdigest()
    folder, made = cache() / name, cache() / f"{name}.made"
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists() or made.read_text() != wanted:
            made.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.write_text(wanted)
    return folder


def command(*words: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """What a command printed. Raises AssertionError with its last lines when it fails."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_LIMIT,
        check=False,
    )
    assert done.returncode == 0, f"{words[0]} failed ({done.returncode}):\n{done.stdout[-3000:]}"
    return done.stdout


def program(name: str, package: str) -> str:
    """Where a program is. Raises Missing."""
    if not (found := shutil.which(name)):
        raise Missing(f"{name} (Debian: apt install {package})")
    return found


def python(minor: int, *, headers: bool = False) -> Path:
    """An interpreter of Python 3.``minor`` that can make virtual environments, and build modules if ``headers``.

    Raises MissingPython.
    """
    check = "import ensurepip, venv, sysconfig, pathlib, sys;" + (
        "sys.exit(not pathlib.Path(sysconfig.get_paths()['include'], 'Python.h').exists())" if headers else ""
    )
    for candidate in _pythons(minor):
        if subprocess.run([candidate, "-c", check], capture_output=True, check=False).returncode == 0:
            return candidate
    raise MissingPython(f"Python 3.{minor}{' with its headers' if headers else ''} (pyenv install 3.{minor})")


def _pythons(minor: int) -> Sequence[Path]:
    on_path = shutil.which(f"python3.{minor}")
    roots = [Path(root) for root in (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv") if root]
    of_pyenv = [found for root in roots for found in sorted(root.glob(f"versions/3.{minor}.*/bin/python3.{minor}"))]
    return [*([Path(on_path)] if on_path else []), *of_pyenv]


def npm_install(folder: Path) -> None:
    """The packages of ``package.json`` in ``folder``, without running their scripts. Raises Missing."""
    quiet = ("--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund", "--loglevel=error")
    command(program("npm", "npm"), "install", *quiet, cwd=folder)


def virtualenv(folder: Path, interpreter: Path, *requirements: str) -> None:
    """A virtual environment with these packages of PyPI."""
    command(interpreter, "-m", "venv", folder)
    command(folder / "bin/python", "-m", "pip", "install", "--disable-pip-version-check", "-q", *requirements)


def had[T](make: Callable[[], T]) -> T:
    """What ``make`` returns. The test is skipped where it cannot be had on this machine.

    STAMPEDE_REQUIRE_INTEROP=1 makes that a failure, but for a Python that no package of Debian has.
    """
    try:
        return make()
    except (Missing, AssertionError) as reason:
        if os.environ.get("STAMPEDE_REQUIRE_INTEROP") == "1" and not isinstance(reason, MissingPython):
            raise
        pytest.skip(f"not tested on this machine, for want of {str(reason)[-400:]}")
