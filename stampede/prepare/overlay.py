"""A folder with the agents' packages for runs on this machine, whose own Python is not changed.

It holds only what that Python lacks, in the versions that load hosts get, and is put on the agents' PYTHONPATH.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from stampede.prepare.agent_packages import VARIABLE, AgentPackage
from stampede.prepare.pip import PipFailed, pip
from stampede.schema.errors import BadInput
from stampede.schema.settings.variable_reader import shown

KEPT = 5
"""Overlays that are kept, the newest: another run may use one."""
WHEELS_ONLY = "--only-binary=:all:"


def build_overlay(packages: Sequence[AgentPackage], python: str, constraints: Path, cache: Path) -> Path:
    """The folder, made when it is not there. Raises BadInput with pip's own words."""
    parts = [python, constraints.read_text(encoding="utf-8"), *(f"{each.entry} {each.digest}" for each in packages)]
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"overlay-{hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:16]}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            target.touch()
            return target
        with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as folder:
            draft = Path(folder) / "packages"
            try:
                _install(packages, python, constraints, draft)
            except PipFailed as error:
                raise BadInput(
                    f"{VARIABLE} has {shown([each.entry for each in packages])}, which cannot be installed beside "
                    f"the packages of {python}: {error}"
                ) from None
            draft.rename(target)
        for stale in sorted(cache.glob("overlay-*"), key=lambda each: each.stat().st_mtime, reverse=True)[KEPT:]:
            shutil.rmtree(stale)
    return target


def _install(packages: Sequence[AgentPackage], python: str, constraints: Path, folder: Path) -> None:
    folder.mkdir()
    plan = folder.with_name("plan.json")
    wanted = [package.requirement for package in packages]
    pip(
        *("install", "--dry-run", "--report", str(plan), WHEELS_ONLY, "-c", str(constraints), *wanted),
        python=python,
    )
    wheels = [package.requirement for package in packages if package.is_wheel]
    there = {package.name for package in packages if package.is_wheel}
    found = [item["metadata"] for item in json.loads(plan.read_text(encoding="utf-8"))["install"]]
    missing = [f"{each['name']}=={each['version']}" for each in found if canonicalize_name(each["name"]) not in there]
    if wheels or missing:
        pip("install", "--no-deps", "--target", str(folder), WHEELS_ONLY, *wheels, *missing, python=python)
