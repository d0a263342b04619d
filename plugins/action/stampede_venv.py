"""Copy a wheelhouse to a host and create a virtualenv from it; ``plugins/modules/stampede_venv.py`` documents it."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"dir", "python", "fingerprint", "wheelhouse"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        wheelhouse = args.pop("wheelhouse")
        found = self._module(args, task_vars)
        if found.get("failed") or not found["changed"] or self._task.check_mode:
            return result | found
        folder = self._make_tmp_path()
        try:
            copied = self._transfer_file(wheelhouse, self._connection._shell.join_path(folder, "wheelhouse.tar"))
            return result | self._module(args | {"wheelhouse": copied}, task_vars)
        finally:
            self._remove_tmp_path(folder)

    def _module(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        done: dict[str, Any] = self._execute_module("stampede_venv", module_args=args, task_vars=task_vars)
        return done
