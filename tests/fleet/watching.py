"""A user of ``stampede watch``."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from .fleet import Fleet
from .playbooks import REPOSITORY

STAMPEDE = Path(sys.executable).with_name("stampede")


def watch(inventory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [STAMPEDE, "watch", "-i", inventory, *options], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )


def with_another_key(fleet: Fleet, name: str, folder: Path) -> Path:
    """An inventory in which a host is known by the key of another."""
    lines = (fleet.folder / "known_hosts").read_text().splitlines()
    address, other = fleet[name].address, next(line.split(" ", 1)[1] for line in lines)
    known = [f"{address} {other}" if line.startswith(f"{address} ") else line for line in lines]
    (folder / "known_hosts").write_text("\n".join(known) + "\n")
    document = yaml.safe_load(fleet.inventory.read_text())
    document["all"]["vars"]["ansible_ssh_common_args"] = f"-o UserKnownHostsFile={folder}/known_hosts"
    (folder / "hosts.yml").write_text(yaml.safe_dump(document))
    return folder / "hosts.yml"


def looks(fleet: Fleet, *options: str, until: Any) -> dict[str, Any]:
    """The first of the looks that ``stampede watch --json`` prints of which ``until`` holds."""
    watching = subprocess.Popen(
        [STAMPEDE, "watch", "-i", fleet.inventory, "--json", "--interval", "1", *options],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert watching.stdout
    seen = {}
    try:
        for line in watching.stdout:
            seen = json.loads(line)
            if until(seen):
                return seen
    finally:
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=30)
    raise AssertionError(f"this never came: {seen}")


def in_a_terminal(fleet: Fleet) -> tuple[str, int]:
    """What a terminal of 100 columns shows until the run has ended there, and the exit code."""
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        [STAMPEDE, "watch", "-i", fleet.inventory],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=REPOSITORY,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # the other end was closed
        pass
    os.close(ours)
    return seen.decode(errors="replace"), watching.wait(30)
