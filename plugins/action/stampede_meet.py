"""The first words with a load host: how far its clock is off, and how many cores it has.

Asks over the host's own connection, without its Python. Returns ``offset``, the host's clock less the control
node's, its ``uncertainty`` (both seconds) and ``cores``. A host that cannot be reached, or whose clock is off by
more than ``max_clock_offset`` for certain, fails with a sentence.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from stampede.schema.settings.durations import seconds

ASKED = 5
"""Times. The answer that came soonest says best what the host's time is."""


class ActionModule(ActionBase):
    _VALID_ARGS = frozenset({"max_clock_offset"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        name = (task_vars or {})["inventory_hostname"]
        if self._connection.transport == "local":
            return result | {"offset": 0.0, "uncertainty": 0.0, "cores": os.cpu_count()}
        try:
            offset, uncertainty, cores = compare(self._ask)
        except AnsibleConnectionFailure as error:
            return result | {"failed": True, "msg": f"{name} cannot be reached: {reason(str(error))}"}
        except ValueError as error:
            return result | {"failed": True, "msg": f"{name} did not tell its time and its cores: {error}"}
        result.update(offset=offset, uncertainty=uncertainty, cores=cores)
        limit = seconds(self._task.args["max_clock_offset"])
        if abs(offset) - uncertainty > limit:
            result.update(
                failed=True,
                msg=f"The clock of {name} is {abs(offset):.2f} s {'ahead of' if offset > 0 else 'behind'} the "
                f"control node's (measured to {uncertainty:.2f} s), more than stampede_max_clock_offset, which is "
                f"{limit:g} s; let chrony set it, as playbooks/provision.yml --tags clock does",
            )
        return result

    def _ask(self) -> str:
        done = self._low_level_execute_command("date +%s.%N; nproc", sudoable=False)
        if done["rc"]:
            raise ValueError(done["stderr"].strip() or f"its shell ended with {done['rc']}")
        return str(done["stdout"])


def compare(ask: Callable[[], str]) -> tuple[float, float, int]:
    """A host's clock and the control node's, as NTP does it: the answer is taken for the middle of the time that it
    took. Returns offset and uncertainty in seconds, and the cores. Raises ValueError for an answer that is none."""
    best = (0.0, float("inf"), 0)
    for _ in range(ASKED):
        before = time.time()
        words = ask().split()
        after = time.time()
        if len(words) != 2:
            raise ValueError(f"it said {' '.join(words)!r}")
        if (after - before) / 2 < best[1]:
            best = (float(words[0]) - (before + after) / 2, (after - before) / 2, int(words[1]))
    return best


def reason(error: str) -> str:
    """What ssh said, without the words that Ansible puts around it."""
    return error.removeprefix("Failed to connect to the host via ssh: ").strip().replace("\r", "").replace("\n", "; ")
