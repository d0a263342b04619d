"""Collect files of a host into the results; ``plugins/modules/stampede_collect.py`` documents it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from stampede.machine.processes import cleaning_up_when_interrupted
from stampede.results import collection
from stampede.results.archive import Damaged, Packed


class ActionModule(ActionBase):
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"folder", "compress", "keep", "unit", "dest", "remove"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.check_mode:
            return result | {"changed": True, "collected": False}
        try:
            with cleaning_up_when_interrupted():
                return result | self._collect(self._task.args, task_vars)
        except collection.NotCollected as problem:
            return result | {"failed": True, "collected": False, "msg": str(problem)}

    def _collect(self, args: Mapping[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        host = AnsibleHost(self, args, task_vars)
        remove = boolean(args.get("remove", False))
        try:
            done = collection.collect(host, Path(args["folder"]), Path(args["dest"]), remove=remove)
        except collection.HostUnreachable as lost:
            raise lost.__cause__ or lost from None
        return {"changed": done.changed, "collected": True, "files": done.files, "warnings": done.warnings}


class AnsibleHost:
    """A host of a play, as ``collection.collect`` needs it."""

    def __init__(self, action: ActionBase, args: Mapping[str, Any], task_vars: dict[str, Any] | None) -> None:
        self._action = action
        self._args = args
        self._task_vars = task_vars

    def pack(self, spools: list[str]) -> Packed:
        action, args = self._action, self._args
        with connection_failures():
            # Root reads the folder, the connection's user fetches what is packed.
            reader = str(action._low_level_execute_command("id -u", sudoable=False)["stdout"]).strip()
            if not re.fullmatch(r"[0-9]{1,10}", reader):
                raise Damaged(f"The host says that its user has the number {reader[:80]!a}; it must be digits")
            # A module unpacks itself into a temporary folder first, for which a full disk has no room.
            action._task.environment = [*(action._task.environment or []), {"TMPDIR": collection.PLACES[-1]}]
            packed: dict[str, Any] = action._execute_module(
                module_name="stampede_pack",
                module_args={
                    "folder": args["folder"],
                    "compress": args.get("compress", []),
                    "keep": args.get("keep", []),
                    "unit": args.get("unit", ""),
                    "spools": spools,
                    "reader": int(reader),
                },
                task_vars=self._task_vars,
            )
        if packed.get("failed"):
            raise collection.NotCollected(packed.get("module_stderr") or packed["msg"])
        return Packed.announced(packed, spools)

    def fetch(self, source: str, target: Path) -> None:
        with connection_failures():
            try:
                self._action._connection.fetch_file(source, str(target))
            except AnsibleConnectionFailure:
                raise
            except AnsibleError as error:  # such as what sftp wrote
                raise collection.TransferFailed(str(error)) from error

    def clear(self, prefixes: list[str], folders: list[str], *, collected: bool) -> str:
        words = [f"{shlex.quote(prefix)}*" for prefix in prefixes] + [shlex.quote(folder) for folder in folders]
        command = f"rm -rf -- {' '.join(words)}"
        if collected and (unit := self._args.get("unit", "")):
            # It fails where the unit did not.
            command = f"systemctl reset-failed {shlex.quote(unit)} >/dev/null 2>&1; {command}"
        with connection_failures():
            done = self._action._low_level_execute_command(command)
        return str(done["stderr"]).strip() if done["rc"] else ""


@contextmanager
def connection_failures() -> Iterator[None]:
    """Raise HostUnreachable for a lost connection."""
    try:
        yield
    except AnsibleConnectionFailure as error:
        raise collection.HostUnreachable(str(error)) from error
