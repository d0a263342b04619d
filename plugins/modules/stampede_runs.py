#!/usr/bin/python
"""Find a run on a host, from the folder that it left or still writes: the named one, else the newest.

Runs on the host, on its plain Python. With ``going_on: true`` only runs whose controller lives are looked at.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "work_dir": {"type": "path", "required": True},
            "run_id": {"type": "str", "default": ""},
            "going_on": {"type": "bool", "default": False},
            "host": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    work_dir, run_id = Path(module.params["work_dir"]), module.params["run_id"]
    runs = find(work_dir)
    candidates = [
        run for run in runs if run_id in ("", run["id"]) and (run["alive"] or not module.params["going_on"])
    ]
    if not candidates:
        which = f"Run {run_id} was not found" if run_id else "No run was found"
        which += " going on" if module.params["going_on"] else ""
        known = ", ".join(run["id"] for run in runs[:3]) or "nothing"
        module.fail_json(msg=f"{which} on {module.params['host']}: {work_dir} holds {known}")
    module.exit_json(run=candidates[0])


def find(work_dir: Path) -> list[dict[str, Any]]:
    """All runs in a folder, the newest first."""
    scripts = sorted(work_dir.glob("*/controller_script.py"), key=lambda file: file.stat().st_mtime, reverse=True)
    return [describe(script.parent) for script in scripts]


def describe(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / "state.json").read_text())
    except (FileNotFoundError, ValueError):
        state = {}
    pid = state.get("pid", 0)
    return {
        "id": folder.name,
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
