"""A user of the playbooks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .fleet import Fleet

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class Played:
    """What a playbook left."""

    code: int
    output: str
    seconds: float

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host; only with ``recap=True``."""
        return {
            host: int(count) for host, count in re.findall(r"^(\S+) +: .*changed=(\d+)", self.output, re.MULTILINE)
        }


def start(fleet: Fleet, name: str, *words: str, recap: bool = False, **variables: Any) -> subprocess.Popen[str]:
    """Start ``playbooks/NAME.yml`` on the fleet; ``variables`` without the prefix ``stampede_``."""
    extra = {f"stampede_{name}": value for name, value in variables.items()}
    return subprocess.Popen(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("-i", str(fleet.inventory), f"playbooks/{name}.yml", "-e", json.dumps(extra), *words),
        ],
        cwd=REPOSITORY,
        env=os.environ | ENVIRONMENT | ({"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"} if recap else {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def play(fleet: Fleet, name: str, *words: str, recap: bool = False, **variables: Any) -> Played:
    """``start`` a playbook and await its end."""
    began = time.monotonic()
    process = start(fleet, name, *words, recap=recap, **variables)
    try:
        output, _ = process.communicate()
    except BaseException:  # the test was interrupted
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return Played(process.returncode, output, time.monotonic() - began)
