#!/usr/bin/python
"""Find the runs on a host. Runs on the host, on its plain Python."""

from __future__ import annotations

import json
import os
import platform
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: stampede_runs
short_description: find the runs on a host
description:
  - Finds runs by the folders that they left or still write to, and tells which machine the host is.
options:
  work_dir:
    description: Folder under which each run has its own.
    type: path
    required: true
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Find runs
  stampede_runs:
    work_dir: /var/lib/stampede/runs
  register: found
"""

RETURN = r"""
runs:
  description: The runs, the newest last.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: Name of the run.
      type: str
    phase:
      description: The last phase that the controller reported.
      type: str
    pid:
      description: Number of the controller's process; V(0) when it is not known.
      type: int
    alive:
      description: Whether the controller runs.
      type: bool
    modified:
      description: When the run was deployed, in seconds since 1970.
      type: float
machine:
  description: The same on a host that is reached by another name, and different on any other host.
  type: str
  returned: success
"""

SCRIPT = "controller_script.py"
LARGEST_STATE = 1 << 20
"""Bytes of a state.json; a larger one is none."""


def main() -> None:
    module = AnsibleModule(argument_spec={"work_dir": {"type": "path", "required": True}}, supports_check_mode=True)
    module.exit_json(runs=find(Path(module.params["work_dir"])), machine=machine())


def find(work_dir: Path) -> list[dict[str, Any]]:
    """All runs in a folder, the newest last. Links are no runs: whoever laid them may want root to read elsewhere."""
    try:
        parent = os.open(work_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        names = os.listdir(parent)  # noqa: PTH208 (of a descriptor)
        runs = [described for name in names if (described := describe(parent, work_dir / name))]
    finally:
        os.close(parent)
    return sorted(runs, key=lambda run: run["modified"])


def describe(parent: int, folder: Path) -> dict[str, Any] | None:
    """A run, whose folder is in the folder ``parent``; None when there is no controller's script in it."""
    try:
        opened = os.open(folder.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return None
    try:
        modified = os.stat(SCRIPT, dir_fd=opened, follow_symlinks=False).st_mtime
        state = read_state(opened)
    except OSError:
        return None
    finally:
        os.close(opened)
    pid = state.get("pid")
    pid = pid if type(pid) is int and pid > 0 else 0
    return {
        "id": folder.name,
        "modified": modified,
        "phase": str(state.get("phase", "starting")),
        "pid": pid,
        "alive": is_controller(pid, folder),
    }


def read_state(folder: int) -> dict[str, Any]:
    """What a run's state.json says; empty when there is none, or none that can be understood."""
    try:
        file = os.open("state.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(file, "rb") as content:
            if not stat.S_ISREG(os.fstat(content.fileno()).st_mode):
                return {}
            state = json.loads(content.read(LARGEST_STATE))
    except (OSError, ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def is_controller(pid: int, folder: Path) -> bool:
    """Whether the process lives and is this run's: a number may by now be another's."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return folder / SCRIPT in (Path(os.fsdecode(word)) for word in words)


def machine() -> str:
    """A kernel is told by the identity of its boot, hosts that share one by their namespaces of processes."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return platform.node()


if __name__ == "__main__":
    main()
