"""The wheelhouse: all packages of a load host in one file, built on the control node for the host's Python.

Hosts need no package index: they install from this file alone. It is kept under a name made from everything
that went into it, so that it is built once for all hosts of a kind and pushed only when something has changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stampede.machine import home
from stampede.prepare.agent_packages import VARIABLE, AgentPackage
from stampede.prepare.pip import PipFailed, pip
from stampede.schema.errors import BadInput
from stampede.schema.settings.variable_reader import shown

PACKAGES = ("controller", "reference", "stampede")
BESIDE_THEM = (
    *("constraints.txt", "pyproject.toml"),
    *("requirements-cloud.txt", "requirements-host.txt", "requirements.txt"),
)
OLDEST_GLIBC = 5
KEPT = 3
"""Wheelhouses that are kept, the newest."""


@dataclass(frozen=True)
class Kind:
    """What a wheel must fit: a host's Python, architecture and C library."""

    python: str
    """Such as ``3.13``."""
    machine: str
    """Such as ``x86_64`` or ``aarch64``."""
    glibc: str
    """Such as ``2.41``."""

    def pip_arguments(self) -> list[str]:
        """Tell pip to take wheels for such a host, and nothing that must be compiled."""
        major, minor = map(int, self.glibc.split(".")[:2])
        platforms = [f"manylinux_{major}_{number}_{self.machine}" for number in range(minor, OLDEST_GLIBC - 1, -1)]
        platforms += [f"manylinux{year}_{self.machine}" for year in (2014, 2010, 1)]
        platforms.append(f"linux_{self.machine}")
        arguments = ["--only-binary=:all:", "--implementation=cp", f"--python-version={self.python}"]
        return arguments + [f"--platform={platform}" for platform in platforms]


def fingerprint(kind: Kind, packages: Sequence[AgentPackage] = ()) -> str:
    """A name for everything that goes into a wheelhouse: 16 hexadecimal digits."""
    digest = hashlib.sha256(f"{kind}".encode())
    for package in packages:
        digest.update(f"\0{package.name}\0{package.digest}\0".encode())
    for name, file in sorted(_files()):
        content = file.read_bytes()
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def build(
    folder: Path,
    kind: Kind,
    tell: Callable[[str], None] = lambda line: None,
    packages: Sequence[AgentPackage] = (),
) -> Path:
    """The wheelhouse's tar file under ``folder``, made when it is not there; with the agents' ``packages``.

    Several processes may ask at the same time: one builds, the others wait. Raises BadInput with pip's own words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"wheelhouse-{fingerprint(kind, packages)}.tar"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        tell(f"for Python {kind.python} on {kind.machine}, a minute at most")
        with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as name:
            wheels = Path(name) / "wheels"
            try:
                pip(
                    *("download", "--dest", str(wheels), *kind.pip_arguments()),
                    *("-c", str(home.HOME / "constraints.txt"), "-r", str(home.HOME / "requirements-host.txt")),
                    *(package.requirement for package in packages),
                )
                own_wheel(Path(name) / "source", wheels)
            except PipFailed as error:
                raise BadInput(_failure(packages, error)) from None
            draft = Path(name) / target.name
            with tarfile.open(draft, "w") as tar:
                for wheel in sorted(wheels.iterdir()):
                    tar.add(wheel, arcname=wheel.name)
            draft.rename(target)
        _forget_old(folder)
    return target


def own_wheel(source: Path, wheels: Path) -> None:
    """Build the wheel of a load host from a copy in ``source``, for nothing is written where Stampede lies."""
    for name, file in _files():
        copy = source / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source))


def _files() -> Iterator[tuple[Path, Path]]:
    """What the wheel of a load host is made of: where each file belongs in a checkout, and where it is."""
    for name in BESIDE_THEM:
        yield Path(name), home.HOME / name
    for package in PACKAGES:
        for file in (home.PACKAGES / package).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts and not file.is_relative_to(home.SHIPPED):
                yield file.relative_to(home.PACKAGES), file


def _failure(packages: Sequence[AgentPackage], error: PipFailed) -> str:
    if not packages:
        return f"The load hosts' packages cannot be downloaded or built: {error}"
    return (
        f"{VARIABLE} has {shown([package.entry for package in packages])}, with which the load hosts' packages "
        f"cannot be downloaded or built: {error}"
    )


def _forget_old(folder: Path) -> None:
    tars = sorted(folder.glob("wheelhouse-*.tar"), key=lambda file: file.stat().st_mtime, reverse=True)
    for stale in tars[KEPT:]:
        stale.unlink()
