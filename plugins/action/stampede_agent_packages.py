"""The agents' packages on the control node; ``plugins/modules/stampede_agent_packages.py`` documents it."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from stampede.machine.home import HOME, project
from stampede.prepare.agent_packages import built_packages
from stampede.prepare.overlay import build_overlay
from stampede.schema.errors import BadInput


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"packages", "python"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        python = str(self._task.args.get("python", ""))
        folders = [folder for folder in (os.environ.get("PYTHONPATH"),) if folder]
        try:
            folder = project()
            cache = folder / ".stampede/packages"
            packages = built_packages([str(entry) for entry in self._task.args["packages"]], folder, cache)
            if python and packages:
                folders.insert(0, str(build_overlay(packages, python, HOME / "constraints.txt", cache)))
        except BadInput as error:
            raise AnsibleActionFail(str(error)) from None
        # A cache of this machine's: that it was made changes no host.
        entries = {package.name: package.entry for package in packages}
        return result | {"changed": False, "entries": entries, "pythonpath": os.pathsep.join(folders)}
