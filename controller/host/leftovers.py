"""Removes what killed runs have left behind on this host."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil

from controller.agents.pool import WALLET_DIR_PREFIX, wallet_dir_parent


def remove_leftovers(run_dir: Path) -> None:
    """Remove the folders with wallets of controllers that are no longer running.

    A folder's name has its controller's process id. Those of other users are left alone.
    """
    for folder in wallet_dir_parent(run_dir).glob(f"{WALLET_DIR_PREFIX}*"):
        owner = folder.name.removeprefix(WALLET_DIR_PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)) and folder.stat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
