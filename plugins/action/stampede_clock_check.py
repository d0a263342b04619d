"""Check a load host's clock; documented in plugins/modules/stampede_clock_check.py."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from stampede.fleet.clock_check import COMMAND, read_clock
from stampede.schema.settings.durations import seconds


class ActionModule(ActionBase):
    _VALID_ARGS = frozenset({"max_clock_offset"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        name = (task_vars or {})["inventory_hostname"]
        if self._connection.transport == "local":
            return result | {"offset": 0.0, "uncertainty": 0.0, "cores": os.cpu_count()}
        try:
            reading = read_clock(self._ask)
        except AnsibleConnectionFailure as error:
            return result | {"failed": True, "msg": f"{name} cannot be reached: {ssh_error(str(error))}"}
        except ValueError as error:
            return result | {"failed": True, "msg": f"{name} did not report its time and its cores: {error}"}
        result.update(offset=reading.offset, uncertainty=reading.uncertainty, cores=reading.cores)
        if refusal := reading.refusal(name, seconds(self._task.args["max_clock_offset"])):
            result.update(failed=True, msg=refusal)
        return result

    def _ask(self) -> str:
        done = self._low_level_execute_command(COMMAND, sudoable=False)
        if done["rc"]:
            raise ValueError(done["stderr"].strip() or f"its shell ended with {done['rc']}")
        return str(done["stdout"])


def ssh_error(error: str) -> str:
    """What ssh said, on one line, without the words that Ansible puts before it."""
    return error.removeprefix("Failed to connect to the host via ssh: ").strip().replace("\r", "").replace("\n", "; ")
