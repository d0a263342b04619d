#!/usr/bin/python
"""Find the runs on a host. Runs on the host, on its plain Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: stampede_runs
short_description: find the runs on a host
description:
  - Finds runs by the folders that they left or still write to.
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
    dir:
      description: Folder of the run.
      type: path
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
"""


def main() -> None:
    module = AnsibleModule(argument_spec={"work_dir": {"type": "path", "required": True}}, supports_check_mode=True)
    module.exit_json(runs=find(Path(module.params["work_dir"])))


def find(work_dir: Path) -> list[dict[str, Any]]:
    """All runs in a folder, the newest last."""
    runs = [describe(script.parent) for script in work_dir.glob("*/controller_script.py")]
    return sorted(runs, key=lambda run: run["modified"])


def describe(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / "state.json").read_text())
    except (FileNotFoundError, ValueError):
        state = {}
    pid = state.get("pid", 0)
    return {
        "id": folder.name,
        "modified": (folder / "controller_script.py").stat().st_mtime,
        "dir": str(folder),
        "phase": state.get("phase", "starting"),
        "pid": pid,
        "alive": is_controller(pid, folder),
    }


def is_controller(pid: int, folder: Path) -> bool:
    """Whether the process lives and is this run's: a number may by now be another's."""
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


if __name__ == "__main__":
    main()
