"""Build the wheelhouse of a kind of host; ``plugins/modules/stampede_wheelhouse.py`` documents it."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from stampede.machine.home import project
from stampede.prepare.agent_packages import built_packages
from stampede.prepare.wheelhouse import Kind, build
from stampede.schema.errors import BadInput


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"python", "machine", "glibc", "packages"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        kind = Kind(str(args["python"]), str(args["machine"]), str(args["glibc"]))
        try:
            folder = project()
            entries = [str(entry) for entry in args.get("packages", ())]
            packages = built_packages(entries, folder, folder / ".stampede/packages")
            path = build(folder / ".stampede/wheelhouse", kind, lambda line: Display().display(f"  {line}"), packages)
        except BadInput as error:
            raise AnsibleActionFail(str(error)) from None
        # A cache of this machine's: that it was made changes no host.
        result.update(changed=False, path=str(path), fingerprint=path.stem.removeprefix("wheelhouse-"))
        return result
