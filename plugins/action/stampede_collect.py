"""Bring files of a folder on a host home: compressed, in one transfer, each checked against its SHA-256.

``folder`` on the host; ``compress`` and ``keep`` are lists of patterns within it; ``dest`` is a folder on the
control node. The host's files stay as they are.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _VALID_ARGS = frozenset({"folder", "compress", "keep", "dest"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        # A folder of the user of the connection, who may not read the run's, and nobody else.
        tmp = self._make_tmp_path()
        try:
            return result | self._collect(args, self._connection._shell.join_path(tmp, "collected.tar"), task_vars)
        finally:
            self._remove_tmp_path(tmp)

    def _collect(self, args: dict[str, Any], on_host: str, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        packed: dict[str, Any] = self._execute_module(
            module_name="stampede_pack",
            module_args={
                "folder": args["folder"],
                "compress": args.get("compress", []),
                "keep": args.get("keep", []),
                "tar": on_host,
            },
            task_vars=task_vars,
        )
        if packed.get("failed"):
            return packed
        dest = Path(args["dest"])
        dest.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=dest, prefix=".collect-") as folder:
            tar = Path(folder) / "collected.tar"
            self._connection.fetch_file(on_host, str(tar))
            names = unpack(tar, dest)
        return {"changed": True, "files": names}


def unpack(tar_file: Path, dest: Path) -> list[str]:
    """Unpack into ``dest``; AnsibleActionFail when a file is not what its host said it was."""
    with tarfile.open(tar_file) as tar:
        tar.extractall(dest, filter="data")
    sums = (dest / "SHA256SUMS").read_text().splitlines()
    names = []
    for line in sums:
        wanted, name = line.split("  ", 1)
        with (dest / name).open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != wanted:
            raise AnsibleActionFail(
                f"{dest / name} arrived damaged: its SHA-256 is {found}, on its host it was {wanted}"
            )
        names.append(name)
    return names
