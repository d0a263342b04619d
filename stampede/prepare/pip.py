"""pip, run on the control node: bounded in time, and its words when it fails."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LIMIT = 900.0
"""Seconds for one command of pip."""
_CONFLICT = re.compile(r"^The conflict is caused by:\n((?: +.*\n)+)", re.MULTILINE)
"""What pip says of versions that exclude each other, a line for who wants which."""
_ERROR = re.compile(r"^ *(?:ERROR|error): (.*)$", re.MULTILINE)
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s]*@")
_IDLE = ("ResolutionImpossible: for help", "subprocess-exited-with-error", "Exception:")


class PipFailed(Exception):
    """The message is pip's own words, in one line."""


def pip(*arguments: str, python: str = "") -> str:
    """What a command of pip prints; ``python``: for the packages of another interpreter. Raises PipFailed."""
    of_another = ["--python", python] if python and Path(python) != Path(sys.executable) else []
    command = [sys.executable, "-m", "pip", *of_another, "--disable-pip-version-check", "--no-input", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise PipFailed(f"pip {arguments[0]} was not over after {LIMIT:g} s") from None
    if done.returncode and done.stderr.strip().endswith(": No module named pip"):
        raise PipFailed(
            f"{sys.executable} has no pip, as in environments that uv makes; run {sys.executable} -m ensurepip"
        )
    if done.returncode:
        found = [line for line in _ERROR.findall(done.stderr) if not line.startswith(_IDLE)]
        if conflict := _CONFLICT.search(done.stdout):
            found += [line.strip() for line in conflict[1].splitlines()]
        said = "; ".join(dict.fromkeys(found or done.stderr.strip().splitlines()[-1:]))
        printable = "".join(sign if sign.isprintable() else " " for sign in said)
        raise PipFailed(f"{_PASSWORD.sub(r'\1***@', printable)[:600].strip()} (pip {arguments[0]})")
    return done.stdout
