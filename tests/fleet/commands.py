"""Commands of this machine, whose failures are sentences."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


class FleetError(Exception):
    """The fleet cannot be brought up; the message is a sentence for people."""


def run(*words: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command and return its output. Raises FleetError with what it said."""
    try:
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=env, check=False)
    except FileNotFoundError:
        raise FleetError(f"The command {words[0]} is not installed on this machine") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise FleetError(f"{' '.join(map(str, words))} failed: {said[-1] if said else 'it does not say why'}")
    return done.stdout


def install_missing(packages: Mapping[str, str]) -> None:
    """Install the Debian packages whose command (command: package) is not there. Raises FleetError."""
    missing = sorted({package for command, package in packages.items() if not shutil.which(command)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise FleetError(f"The test fleet needs {', '.join(missing)}; install them, then try again")
    run("apt-get", "update", "-q")
    run(
        *("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-q", "-y", "--no-install-recommends"),
        *missing,
    )
