#!/usr/bin/python
"""The runs on a host, from the folders that they left or still write, the newest last.

Runs on the host, on its plain Python. Each has ``id``, ``dir``, ``phase``, ``pid``, whether its controller is
``alive``, and when it was deployed (``modified``, seconds since 1970).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


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
