"""What a machine lacks as a control node, or for practice runs on it, and how to mend it."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import json
import locale
import os
import platform
import resource
import shlex
import shutil
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml
from packaging.requirements import Requirement

from stampede.cloud.faults import install_collections
from stampede.machine.home import HOME, project
from stampede.machine.wallet_space import TMPFS
from stampede.prepare.folder_checks import no_home, unwritable
from stampede.schema.errors import BadInput

OPEN_FILES = 4096
"""Enough for some hundred holders with a socket each, their agents and the reference services."""
DISK = 500e6
"""Bytes: a load host's packages in one file take half of it, and a short run's results a few megabytes."""
MEMORY = 1.5e9
"""Bytes: two agents of holders and the four of the reference services, with some hundred wallets."""
WALLETS = 50e6
"""Bytes of TMPFS, on which wallets are kept."""
FEW = 5
"""So many packages of other versions are named, and mended one by one; of more, the whole list is installed."""
TIME_ERROR = 5
"""What ntp_adjtime(3) says when nobody keeps the clock right."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found."""

    text: str
    """What is there; or what is lacking, and for what it is needed."""
    mend: str = ""
    """How to have it; empty when nothing is lacking."""
    needed: bool = True
    """Whether no run is possible without it."""

    @property
    def sign(self) -> str:
        """``ok``; ``lacking``, or ``to mend`` where runs are possible without it."""
        return "ok" if not self.mend else "lacking" if self.needed else "to mend"


def findings() -> Iterator[Finding]:
    """All that is found on this machine, for a project in the current folder."""
    for check in CHECKS:
        yield from check()


def python() -> Iterator[Finding]:
    """That it is new enough is seen to by pip."""
    yield Finding(f"Python {platform.python_version()}, {sys.executable}")


def pip() -> Iterator[Finding]:
    """For what is installed on load hosts, and for mending packages here. Environments made by uv come without."""
    if importlib.util.find_spec("pip"):
        yield Finding("pip for load hosts' packages")
    else:
        yield Finding(
            "pip is lacking; the packages of load hosts and those of stampede_agent_packages are got by it",
            shlex.join([sys.executable, "-m", "ensurepip"]),
            needed=False,
        )


def packages() -> Iterator[Finding]:
    """Whether all packages, also those that others pull in, have the versions that Stampede was tested with."""
    lock = HOME / "requirements.lock"
    text = lock.read_text(encoding="utf-8")
    wrong = wrong_versions(
        line.rstrip(" \\") for line in text.splitlines() if line and not line.startswith((" ", "#"))
    )
    if not wrong:
        yield Finding("Python packages: as they were tested")
        return
    said = [f"{name}, {f'not {version}' if version else 'which is not installed'}" for name, version in wrong.items()]
    if len(said) > FEW:
        said[FEW:] = [f"and {len(said) - FEW} more"]
        mend = pip_install("--no-deps", "-r", str(lock))
    else:
        mend = pip_install(*wrong)
    # A newer one of those that are only pulled in may do as well; what is pinned or is not there never does.
    needed = not all(wrong.values()) or bool(wrong_versions(importlib.metadata.requires("stampede-vc") or []))
    yield Finding(f"Stampede was tested with {'; '.join(said)}", mend, needed)


def wrong_versions(requirements: Iterable[str]) -> dict[str, str]:
    """Those of the requirements that apply here and are not met, as ``NAME==VERSION``, and the version that is
    installed, which is empty when none is."""
    found = {}
    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            version = ""
        if not version or not requirement.specifier.contains(version, prereleases=True):
            found[f"{requirement.name}{requirement.specifier}"] = version
    return found


def pip_install(*what: str) -> str:
    """The command by which the Python of this process, whichever is the shell's, gets packages."""
    return shlex.join([sys.executable, "-m", "pip", "install", *what])


def utf8() -> Iterator[Finding]:
    """Ansible refuses to start without it."""
    if locale.getencoding().upper() == "UTF-8":
        yield Finding("locale: UTF-8")
        return
    yield Finding(
        f"the locale's encoding is {locale.getencoding()}; Ansible needs UTF-8 (the commands of stampede see to it)",
        "export LC_ALL=C.UTF-8",
        needed=False,
    )


def folders() -> Iterator[Finding]:
    """Where Ansible and runs write."""
    if said := no_home():
        yield Finding(said[0], "export HOME=FOLDER, one that is yours")
    try:
        folder = project()
        said = unwritable(folder, "the project folder", str(folder))
    except BadInput as error:
        yield Finding(str(error), "export STAMPEDE_PROJECT=FOLDER, or unset it")
        return
    if said:
        yield Finding(said[0], "cd to the folder of your project, which stampede init makes")
        return
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free in {folder}"
    if free < DISK:
        yield Finding(f"only {text}; runs need about {DISK / 1e9:g} GB", "make room, or have the project elsewhere")
    else:
        yield Finding(text)


def memory() -> Iterator[Finding]:
    """For holders on this machine."""
    free, cores = psutil.virtual_memory().available, len(os.sched_getaffinity(0))
    text = f"{free / 1e9:.1f} GB of memory free, {cores} core{'s' if cores > 1 else ''}"
    if free < MEMORY:
        yield Finding(f"only {text}; a practice run needs {MEMORY / 1e9:g} GB", "end other programs", needed=False)
    else:
        yield Finding(text)
    wallets = shutil.disk_usage(TMPFS).free if os.access(TMPFS, os.W_OK) else 0
    if wallets < WALLETS:
        yield Finding(
            f"{wallets / 1e6:.0f} MB free in {TMPFS}, where holders on this machine have their wallets",
            f"mount -o remount,size=1G {TMPFS}; in a container, --shm-size=1g",
            needed=False,
        )


def open_files() -> Iterator[Finding]:
    """For holders on this machine, of whom each may keep a socket open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= OPEN_FILES:
        yield Finding(f"open files: {'no limit' if soft == resource.RLIM_INFINITY else soft}")
    else:
        yield Finding(
            f"a process may open {soft} files, which hundreds of holders on this machine use up",
            f"ulimit -n {OPEN_FILES}",
            needed=False,
        )


def port() -> Iterator[Finding]:
    """For the reference services of practice runs."""
    defaults = HOME / "roles/reference_services/defaults/main.yml"
    number = yaml.safe_load(defaults.read_text(encoding="utf-8"))["stampede_reference_port"]
    with socket.socket() as wanted:
        wanted.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            wanted.bind(("127.0.0.1", number))
        except OSError as error:
            yield Finding(
                f"port {number}, which the reference services use, cannot be had ({error.strerror})",
                "stampede run -e stampede_reference_port=PORT, one that is free",
                needed=False,
            )
        else:
            yield Finding(f"port {number} is free for the reference services")


def ssh() -> Iterator[Finding]:
    """For fleets."""
    lacking = [name for name in ("ssh", "sftp") if not shutil.which(name)]
    if lacking:
        yield Finding(
            f"no {' and no '.join(lacking)}; load hosts of a fleet are reached by it",
            "apt-get install openssh-client",
            needed=False,
        )
    else:
        yield Finding("ssh and sftp for fleets")


def clock() -> Iterator[Finding]:
    """For fleets, whose hosts start at one time."""
    if ctypes.CDLL(None).ntp_adjtime(ctypes.create_string_buffer(512)) == TIME_ERROR:
        yield Finding(
            "nothing keeps this machine's clock right; hosts of a fleet whose clocks differ from it are refused",
            "apt-get install chrony",
            needed=False,
        )
    else:
        yield Finding("the clock is kept right")


def collections() -> Iterator[Finding]:
    """For clouds. Everything else needs none but Ansible's own."""
    wanted = HOME / "requirements.yml"
    if not wanted.is_file():
        return
    from ansible.constants import COLLECTIONS_PATHS

    asked_for = yaml.safe_load(wanted.read_text(encoding="utf-8"))["collections"]
    versions = {entry["name"]: str(entry["version"]) for entry in asked_for}
    roots = [Path(root) / "ansible_collections" for root in (*COLLECTIONS_PATHS, *sys.path)]
    there = {name: installed_version(name, roots) for name in versions}
    lacking = [
        f"{name} {version}{f' ({there[name]} is there)' if there[name] else ''}"
        for name, version in versions.items()
        if there[name] != version
    ]
    if lacking:
        yield Finding(
            f"Ansible's collections {', '.join(lacking)} are not installed; clouds need them",
            install_collections(wanted),
            needed=False,
        )
    elif versions:
        named = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield Finding(f"Ansible's collections for clouds: {named}")


def installed_version(collection: str, roots: Iterable[Path]) -> str:
    """The version of the collection that Ansible takes, the first that is there, or words where that does not say it;
    empty when there is none."""
    folders = (root / collection.replace(".", "/") for root in roots)
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        return ""
    try:
        manifest = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
        return str(manifest["collection_info"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"one without a version, in {folder},"


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    *(python, pip, packages, utf8, folders, memory, open_files, port),
    *(ssh, clock, collections),
)


def report(found: Iterable[Finding]) -> tuple[str, int]:
    """The findings as text, and the exit code: 1 when something is lacking without which no run is possible."""
    lines, code = [], 0
    for finding in found:
        lines.append(f"{finding.sign:<8} {finding.text}")
        if finding.mend:
            lines.append(f"{'':<8} -> {finding.mend}")
            code |= finding.needed
    return "\n".join(lines), int(code)
