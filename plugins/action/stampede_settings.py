"""A run's settings, as Ansible's variables hold them: check, probe, forecast, share out or render them.

Documented in plugins/modules/stampede_settings.py. What it does is in stampede/prepare; here, Ansible's variables
become plain values and results become what a task returns.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from stampede.prepare.ca_files import absolute_ca_files
from stampede.prepare.folder_checks import no_home
from stampede.prepare.notices import notices
from stampede.prepare.preflight import probe_run
from stampede.prepare.rendering import render_for_host
from stampede.prepare.run_check import check_run, run_id_by_time
from stampede.prepare.trial import forecast
from stampede.schema.errors import BadInput
from stampede.schema.settings.run_settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
PREFIX = "stampede_"
ARGUMENTS = {
    "verb": {"type": "str", "required": True, "choices": ["check", "probe", "dry_run", "shares", "render"]},
    "run_id": {"type": "str", "default": ""},
    "weights": {"type": "dict"},
    "share": {"type": "dict", "default": {}},
    "ca_dir": {"type": "str", "default": ""},
    "postgresql_url": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):
    """Runs on the control node."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """See ActionBase."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(ARGUMENTS, required_if=[("verb", "shares", ("weights",))])
        self._arguments, self._task_vars = plain(arguments), task_vars or {}
        try:
            variables = absolute_ca_files(self._variables(), REPOSITORY)
            variables["stampede_run_id"] = (
                self._arguments["run_id"] or str(variables.get("stampede_run_id") or "") or run_id_by_time()
            )
            result |= getattr(self, f"_{self._arguments['verb']}")(variables)
        except BadInput as error:
            result |= {"failed": True, "msg": str(error)}
        return result

    def _check(self, variables: dict[str, Any]) -> dict[str, Any]:
        if str(self.get_shell_option("remote_tmp", "")).startswith("~") and (problems := no_home()):
            raise BadInput(*problems)
        hosts = self._task_vars["ansible_play_hosts_all"]
        names = {name for host in hosts for name in self._task_vars["hostvars"][host]} | self._task_vars.keys()
        ours = {name for name in names if name.startswith(PREFIX)}
        checked = check_run(variables, ours, len(hosts), REPOSITORY)
        return dataclasses.asdict(checked) | {"warnings": notices(variables, os.environ)}

    def _probe(self, variables: dict[str, Any]) -> dict[str, Any]:
        made = plain(self._templar.template(self._task_vars["run_generated_secrets"]))
        return {"warnings": probe_run(Settings.from_variables(variables), variables["stampede_secrets"] | made)}

    def _dry_run(self, variables: dict[str, Any]) -> dict[str, Any]:
        text = forecast(variables, REPOSITORY)
        Display().display(f"{text.rstrip()}\nNothing was started.")
        return {"stdout": text}

    def _shares(self, variables: dict[str, Any]) -> dict[str, Any]:
        weights = {str(host): float(weight) for host, weight in self._arguments["weights"].items()}
        return {"shares": Settings.from_variables(variables).load.shares(weights)}

    def _render(self, variables: dict[str, Any]) -> dict[str, Any]:
        of_host = {name: self._arguments[name] for name in ("share", "ca_dir", "postgresql_url")}
        script, ca_files = render_for_host(variables, REPOSITORY, **of_host)
        return {"script": script, "ca_files": ca_files}

    def _variables(self) -> dict[str, Any]:
        """The values of all ``stampede_*`` variables at this moment."""
        return {
            name: plain(self._templar.template(value))
            for name, value in self._task_vars.items()
            if name.startswith(PREFIX)
        }


def plain(value: Any) -> Any:
    """A copy without Ansible's own kinds of text, number and container."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value
