"""Hashes of wheels: those of an index must be the ones that were locked, and hosts check what they get."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

LIST = "wheels.txt"
"""A requirements file in the wheelhouse, by which hosts install: each wheel with its SHA-256."""
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==(?:.*\\\n)(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.MULTILINE)
_HASH = re.compile(r"sha256:([0-9a-f]{64})")


def hash_problems(wheels: Path, lock: Path, own: Collection[str]) -> Iterator[str]:
    """A sentence for each wheel in a folder that the lock file does not have, by name and SHA-256.

    ``own`` are names of packages that the user has asked for. They need no place in the lock, and what they bring
    along has none; but what the lock has must be as it is there.
    """
    locked = {
        canonicalize_name(found[1]): set(_HASH.findall(found[0])) for found in _LOCKED.finditer(lock.read_text())
    }
    for wheel in sorted(wheels.glob("*.whl")):
        name = parse_wheel_filename(wheel.name)[0]
        if name in own or (own and name not in locked):
            continue
        if (digest := _sha256(wheel)) not in locked.get(name, ()):
            yield (
                f"{wheel.name} has the SHA-256 {digest}, which {lock.name} does not have for {name}; pip must get "
                "the files that were locked, so look at its package index, or lock anew (make lock)"
            )


def write_list(wheels: Path) -> None:
    """Write ``LIST`` into a folder of wheels."""
    lines = []
    for wheel in sorted(wheels.glob("*.whl")):
        name, version = parse_wheel_filename(wheel.name)[:2]
        lines.append(f"{name}=={version} --hash=sha256:{_sha256(wheel)}\n")
    (wheels / LIST).write_text("".join(lines))


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
