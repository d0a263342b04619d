"""The folder of the agents' wallets: in memory where there is a tmpfs, and only while the services run."""

import os
import shutil
import tempfile
from pathlib import Path

import psutil

PREFIX = "stampede-reference-"


def create_wallet_folder() -> Path:
    """Create a folder named after this process, and remove those of processes that were killed."""
    shm = Path("/dev/shm")  # noqa: S108 - no wallet shall outlive the services
    parent = shm if os.access(shm, os.W_OK) else Path(tempfile.gettempdir())
    for folder in parent.glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
