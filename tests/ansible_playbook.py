"""``ansible-playbook`` as a user of this checkout types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAM = Path(sys.executable).with_name("ansible-playbook")


def surroundings() -> dict[str, Any]:
    """For subprocess: where the program runs, with the environment as it is now."""
    return {
        "cwd": REPOSITORY,
        "env": os.environ | {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        "stdin": subprocess.DEVNULL,
        "text": True,
    }


def ansible_playbook(*words: str) -> subprocess.CompletedProcess[str]:
    """Play with these words, to the end; two minutes at most."""
    return subprocess.run([PROGRAM, *words], **surroundings(), capture_output=True, check=False, timeout=120)
