"""Where the agents' wallets lie: in memory when there is a tmpfs, and only as long as the services run."""

import os
import shutil
import tempfile
from pathlib import Path

import psutil

PREFIX = "stampede-reference-"


def wallets_folder() -> Path:
    """Make a folder named after this process, and remove those whose process was killed."""
    shm = Path("/dev/shm")  # noqa: S108 - nothing of practice targets shall outlive them
    parent = shm if os.access(shm, os.W_OK) else Path(tempfile.gettempdir())
    for folder in parent.glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
