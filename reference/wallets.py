"""The folder of the agents' wallets: in memory where there is space for them, and only while the services run."""

import os
import shutil
import tempfile
from pathlib import Path

import psutil

from stampede.machine.wallet_space import TMPFS

PREFIX = "stampede-reference-"
ENOUGH = 32_000_000
"""Bytes that the wallets of the services must find in memory."""


def create_wallet_folder() -> Path:
    """Create a folder named after this process, and remove those of processes that were killed."""
    places = (TMPFS, Path(tempfile.gettempdir()))
    for folder in (folder for place in places for folder in place.glob(f"{PREFIX}*-*")):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    in_memory = os.access(TMPFS, os.W_OK) and shutil.disk_usage(TMPFS).free >= ENOUGH
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=places[0 if in_memory else 1]))
