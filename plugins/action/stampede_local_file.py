"""Write a small file on the control node; ``plugins/modules/stampede_local_file.py`` documents it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from stampede.machine.files import write_atomically


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"path", "content", "mode"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        mode = int(str(args.get("mode", "0644")), 8)
        changed = write(Path(args["path"]), str(args["content"]), mode, trial=self._task.check_mode)
        return result | {"changed": changed}


def write(path: Path, content: str, mode: int, *, trial: bool) -> bool:
    """Whether the file gets another text; with ``trial`` it is left as it is. Raises AnsibleActionFail."""
    try:
        changed = not (path.is_file() and path.read_bytes() == content.encode())
        if not trial:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_atomically(path, content, mode)
    except OSError as error:
        raise AnsibleActionFail(f"{path} cannot be written: {error.strerror}") from None
    return changed
