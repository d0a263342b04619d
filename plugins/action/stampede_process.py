"""Start or stop a process on this machine; ``plugins/modules/stampede_process.py`` documents it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from stampede.machine import background_process
from stampede.schema.settings.durations import seconds


class ActionModule(ActionBase):
    _requires_connection = False
    _VALID_ARGS = frozenset({"name", "state", "argv", "log", "cwd", "ready_file", "timeout", "pid"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        if self._connection.transport != "local":
            raise AnsibleActionFail(f"{args['name']} can be started on this machine only, not over SSH")
        timeout = seconds(args.get("timeout", 10))
        if args["state"] == "stopped":
            return result | {"changed": background_process.stop(int(args["pid"]), timeout)}
        log = Path(args["log"])
        # The worker that runs this task is a child of ansible-playbook itself.
        pid = background_process.start([str(word) for word in args["argv"]], os.getppid(), log, args.get("cwd"))
        result.update(changed=True, pid=pid)
        if "ready_file" in args:
            problem = background_process.wait_until_ready(
                args["name"], pid, Path(args["ready_file"]), log, timeout, lambda line: Display().display(f"  {line}")
            )
            if problem:
                background_process.stop(pid, 10)
                result.update(failed=True, msg=problem)
        return result
