"""Whether the folders that a run writes to, or is compared with, are what they must be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psutil

from stampede.machine.wallet_space import TMPFS, lacking_space
from stampede.schema.settings.run_settings import Settings


def unwritable(folder: Path, variable: str, value: str) -> list[str]:
    """A sentence when ``folder`` can neither be written to nor created. Creates nothing."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        if not there.is_dir():
            raise NotADirectoryError(f"{there} is a file")
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        return [
            f"{variable} is {value!r}, but {folder} cannot be written ({reason}); "
            "name a folder in which you may make files"
        ]
    return []


def no_home() -> list[str]:
    """A sentence when this user has no home folder to write to: Ansible has its temporary files there."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  stays "~" where there is none
    if not home.is_absolute():
        return ["HOME is not set, and this user has no home folder; it must be a folder in which you may make files"]
    return unwritable(home / ".ansible", "HOME", str(home))


def no_space_for_wallets(settings: Settings) -> list[str]:
    """A sentence when the memory of this machine, which is the load host, has no room for the holders' wallets."""
    if not os.access(TMPFS, os.W_OK):
        return []
    agents, holders = settings.agents or psutil.cpu_count() or 1, settings.load.holders
    lacking = lacking_space(settings.wallet_storage, TMPFS, agents, holders)
    return [f"stampede_holders is {settings.load.holders}, but {lacking}"] if lacking else []


def existing_run(run_id: str, folders: Iterable[Path]) -> list[str]:
    """A sentence when there is a run of that name already: journals of two runs must not be mixed."""
    return [
        f"stampede_run_id is {run_id!r}, but {folder} is there already; choose another name, or leave it empty"
        for folder in folders
        if folder.exists()
    ][:1]


def within_each_other(results: Path, work: Path) -> list[str]:
    """A sentence when the two folders of a run on this machine are one, or one is in the other: the results are made
    when the run is over, of what is in its work folder then."""
    one, other = results.resolve(), work.resolve()
    if not (one.is_relative_to(other) or other.is_relative_to(one)):
        return []
    return [
        f"stampede_results_dir leads to {results}, and stampede_work_dir to {work}; the one must not be in the other"
    ]


def nothing_to_compare_with(folder: str, project: Path) -> list[str]:
    """A sentence when ``stampede_compare_with`` is not the results folder of a run."""
    if not folder or list((project / folder).glob("*/journal.lp*")):
        return []
    return [
        f"stampede_compare_with is {folder!r}, but {project / folder} holds no journal of a load host; "
        "it must be the results folder of an earlier run, such as results/RUN"
    ]
