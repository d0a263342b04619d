"""Removes what killed runs have left behind on this host.

``python -m controller.host.leftovers RUNS SERVICES`` does so where the control node is the load host: ``RUNS`` is the
folder of runs, ``SERVICES`` that of the reference services of each run. It prints what it has removed.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from pathlib import Path

import psutil

from controller.agents.pool import WALLET_DIR_PREFIX, wallet_dir_parent

SERVICES_WALLETS = f"{WALLET_DIR_PREFIX}reference-"
"""What names of folders with the reference services' wallets begin with (reference/wallets.py)."""
JUST_MADE = 10.0
"""Seconds that services may take from making their folder to being seen in the list of processes."""


def remove_leftovers(run_dir: Path) -> list[Path]:
    """Remove the folders with wallets of controllers and reference services that are no longer running.

    A folder's name has the process id of its owner. Those of other users are left alone. Returns what was removed.
    """
    removed = []
    for folder in wallet_dir_parent(run_dir).glob(f"{WALLET_DIR_PREFIX}*"):
        owner = folder.name.removeprefix(SERVICES_WALLETS).removeprefix(WALLET_DIR_PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)) and folder.lstat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def remove_services(parent: Path) -> list[Path]:
    """Remove the folders of reference services that are no longer running; returns them."""
    in_use = {Path(word) for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or []}
    removed = []
    for folder in parent.glob("*/"):
        found = folder.lstat()
        old = time.time() - found.st_mtime > JUST_MADE
        if old and folder not in in_use and stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def main(runs: Path, services: Path) -> None:
    """Remove everything that was left, and print it."""
    left = [runs / "any"] if wallet_dir_parent(runs) != runs else list(runs.glob("*/"))
    removed = remove_services(services)
    for run in left:
        removed += remove_leftovers(run)
    for path in removed:
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
