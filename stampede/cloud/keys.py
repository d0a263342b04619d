"""The folder of a fleet's keys on the control node: whose it is, and what of it goes with the fleet."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from stampede.schema.settings.variables import CloudVariables

KEY = "id_ed25519"
"""The private key of ``cloud_user``."""
HOSTS = "hosts"
"""Folder of the hosts' own keys."""
MARK = "fleet"
"""File that says which fleet the folder is of. Nothing is removed from a folder without it."""


def folder_of(fleet: CloudVariables) -> Path:
    """Where the keys are."""
    return Path(os.path.expanduser(fleet.keys_dir))  # noqa: PTH111  as Ansible does, which raises nothing


def mark_of(fleet: CloudVariables) -> str:
    """What the folder's mark says."""
    return f"{fleet.name} at {fleet.provider} in {fleet.region}"


def taken(fleet: CloudVariables) -> list[str]:
    """A sentence when the folder has something else in it than the keys of this fleet."""
    folder = folder_of(fleet)
    mark, right = _mark_in(folder), "it must be a folder of its own"
    if mark and mark != mark_of(fleet):
        return [f"cloud_keys_dir is {folder}, which has the keys of fleet {mark}; {right}, or end that fleet first"]
    if not mark and folder.is_dir() and any(file.name != HOSTS for file in folder.iterdir()):
        return [f"cloud_keys_dir is {folder}, which has files that are of no fleet; {right}"]
    return []


def remove(fleet: CloudVariables) -> bool:
    """Remove what was made, and the folder if nothing else is in it. Whether there was anything of this fleet."""
    folder = folder_of(fleet)
    if _mark_in(folder) != mark_of(fleet):
        return False
    shutil.rmtree(folder / HOSTS, ignore_errors=True)
    for name in (KEY, f"{KEY}.pub", "known_hosts", MARK):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
    return True


def _mark_in(folder: Path) -> str:
    try:
        return (folder / MARK).read_text().strip()
    except OSError:
        return ""
