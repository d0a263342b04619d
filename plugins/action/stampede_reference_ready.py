"""Wait for the reference services of another host; ``plugins/modules/stampede_reference_ready.py`` documents it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from stampede.machine.files import write_atomically
from stampede.schema.settings.durations import seconds

ENDED, LATE = 3, 4
"""Exit codes of the command."""
LARGEST = 1_000_000
"""Bytes of a file that is read."""
BETWEEN = "\036"
"""Neither JSON nor PEM has it."""

# The files are read as the services' user, who may have laid links.
WAIT_AND_READ = """
end=$(($(date +%s) + {timeout}))
until [ -e {folder}/services.json ]; do
    systemctl is-active --quiet {unit} || {{ journalctl -q -n 5 -o cat -u {unit} >&2; exit {ended}; }}
    [ "$(date +%s)" -lt "$end" ] || exit {late}
    sleep 0.2
done
runuser --user={user} -- head -c {largest} {folder}/ca.pem && printf '{between}' &&
runuser --user={user} -- head -c {largest} {folder}/services.json
"""


class ActionModule(ActionBase):
    _VALID_ARGS = frozenset({"folder", "unit", "user", "timeout", "dest"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.bring_home(self._task.args)
        return result | {"changed": True}

    def bring_home(self, args: Mapping[str, Any]) -> None:
        """Wait, and write the services' files. Raises AnsibleActionFail."""
        authority, description = self._read(args)
        folder = Path(args["dest"])
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(folder / "ca.pem", authority, 0o600)
            ready = description | {"ca_file": str(folder / "ca.pem")}
            write_atomically(folder / "services.json", json.dumps(ready), 0o600)
        except OSError as error:
            raise AnsibleActionFail(f"{folder} cannot be written: {error.strerror}") from None

    def _read(self, args: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The services' certificate authority and their description, once they are ready."""
        unit = str(args["unit"])
        command = WAIT_AND_READ.format(
            folder=shlex.quote(str(args["folder"])),
            unit=shlex.quote(unit),
            user=shlex.quote(str(args["user"])),
            timeout=round(seconds(args["timeout"])),
            ended=ENDED,
            late=LATE,
            largest=LARGEST,
            between=f"\\{ord(BETWEEN):03o}",
        )
        done = self._low_level_execute_command(command)
        said = str(done["stderr"]).strip()
        if done["rc"] == ENDED:
            raise AnsibleActionFail(f"The reference services ended before they were ready: {said}")
        if done["rc"] == LATE:
            raise AnsibleActionFail(
                f"The reference services were not ready after {args['timeout']} (stampede_reference_timeout); "
                f"see journalctl -u {unit}"
            )
        authority, _, text = str(done["stdout"]).partition(BETWEEN)
        try:
            description = json.loads(text)
        except ValueError:
            description = None
        if done["rc"] or not isinstance(description, dict):
            raise AnsibleActionFail(
                f"{args['folder']}/services.json is {text[:80]!r}; it must be an object of JSON"
                + (f": {said}" if said else "")
            )
        return authority, description
