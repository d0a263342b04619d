"""A run's settings, as Ansible's variables hold them: check, probe, forecast, share out or render them.

Documented in plugins/modules/stampede_settings.py. What it does is in stampede/prepare; here, Ansible's variables
become plain values and results become what a task returns.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.vault import EncryptedString, VaultHelper
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from stampede import wording
from stampede.machine.home import project
from stampede.prepare.ca_files import absolute_ca_files
from stampede.prepare.data_rows import absolute_data_file, rows_of_host
from stampede.prepare.folder_checks import no_home
from stampede.prepare.genesis import absolute_genesis_files
from stampede.prepare.hooks import set_up, tear_down, timeout_of
from stampede.prepare.host_checks import neighbours, together
from stampede.prepare.notices import notices
from stampede.prepare.preflight import probe_run
from stampede.prepare.rendering import render_for_host
from stampede.prepare.run_check import check_run, run_id_by_time
from stampede.prepare.trial import forecast
from stampede.schema.errors import BadInput
from stampede.schema.settings.run_settings import Settings

PREFIX = "stampede_"
SECRETS = "stampede_secrets"
ARGUMENTS = {
    "verb": {
        "type": "str",
        "required": True,
        "choices": ["check", "probe", "dry_run", "shares", "render", "rows", "setup", "teardown"],
    },
    "run_id": {"type": "str", "default": ""},
    "weights": {"type": "dict"},
    "share": {"type": "dict", "default": {}},
    "ca_dir": {"type": "str", "default": ""},
    "postgresql_url": {"type": "str", "default": ""},
    "results": {"type": "str", "default": ""},
    "shared": {"type": "str", "default": "", "no_log": True},
    "pid": {"type": "int", "default": 0},
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
            variables = self._with_run_id(self._evaluated(self._task_vars), run_id_by_time())
            result |= getattr(self, f"_{self._arguments['verb']}")(variables)
        except BadInput as error:
            result |= {"failed": True, "msg": str(error)}
        return result

    def _check(self, variables: dict[str, Any]) -> dict[str, Any]:
        if str(self.get_shell_option("remote_tmp", "")).startswith("~") and (homeless := no_home()):
            raise BadInput(*homeless)
        every = {host: self._all_variables_of(host) for host in self._task_vars["ansible_play_hosts_all"]}
        names = {name for found in every.values() for name in found if name.startswith(PREFIX)}
        load_hosts: dict[str, dict[str, Any]] = {}
        problems: dict[str, list[str]] = {}
        for host, found in every.items():
            try:
                load_hosts[host] = self._with_run_id(self._evaluated(found), variables["stampede_run_id"])
                problems[host] = []
            except BadInput as error:
                problems[host] = error.sentences
        if len(load_hosts) < len(every):
            raise BadInput(*together(problems))
        services, metrics = (self._first_address(group) for group in ("services", "metrics"))
        ports = {
            host: neighbours(found, address(host, every[host]), services, metrics)
            for host, found in load_hosts.items()
        }
        checked = check_run(variables, names, len(every), project(), load_hosts, ports)
        found = dataclasses.asdict(checked)
        of_scripts = found.pop("notices")
        return found | {"warnings": [*notices(variables, os.environ), *of_scripts]}

    def _probe(self, variables: dict[str, Any]) -> dict[str, Any]:
        made = plain(self._templar.template(self._task_vars["run_generated_secrets"]))
        return {"warnings": probe_run(Settings.from_variables(variables), variables["stampede_secrets"] | made)}

    def _dry_run(self, variables: dict[str, Any]) -> dict[str, Any]:
        text = forecast(variables, project())
        Display().display(f"{text.rstrip()}\nNothing was started.")
        return {"stdout": text}

    def _shares(self, variables: dict[str, Any]) -> dict[str, Any]:
        weights = {str(host): float(weight) for host, weight in self._arguments["weights"].items()}
        return {"shares": Settings.from_variables(variables).load.shares(weights)}

    def _render(self, variables: dict[str, Any]) -> dict[str, Any]:
        of_host = {name: self._arguments[name] for name in ("share", "ca_dir", "postgresql_url")}
        script, ca_files = render_for_host(variables, project(), **of_host)
        return {"script": script, "ca_files": ca_files}

    def _rows(self, variables: dict[str, Any]) -> dict[str, Any]:
        rows, shared = rows_of_host(variables, self._arguments["share"]), self._arguments["shared"]
        given = ({"rows": rows} if rows else {}) | ({"shared": json.loads(shared)} if shared else {})
        return {"text": json.dumps(given) if given else ""}

    def _setup(self, variables: dict[str, Any]) -> dict[str, Any]:
        playbook = os.getppid()  # this is a worker of it
        made = plain(self._templar.template(self._task_vars["run_generated_secrets"]))
        found = set_up(
            variables, variables["stampede_secrets"] | made, project(), Path(self._arguments["results"]), playbook
        )
        return {"shared": json.dumps(found.shared) if found.shared else "", "pid": found.pid}

    def _teardown(self, variables: dict[str, Any]) -> dict[str, Any]:
        failure = tear_down(self._arguments["pid"], Path(self._arguments["results"]), timeout_of(variables))
        if failure:
            Display().display(wording.printable(failure), color="red")
        return {"failure": failure}

    def _with_run_id(self, variables: dict[str, Any], by_default: str) -> dict[str, Any]:
        """The variables with the run's name: that which it was given, or else ``by_default``."""
        given = self._arguments["run_id"] or variables.get("stampede_run_id")
        return variables | {"stampede_run_id": by_default if given in (None, "") else given}

    def _all_variables_of(self, host: str) -> dict[str, Any]:
        """All variables that this task would have on a host, not evaluated: as Ansible itself gathers them."""
        hostvars = self._task_vars["hostvars"]
        found: dict[str, Any] = hostvars._variable_manager.get_vars(
            play=self._task.get_play(),
            host=hostvars._inventory.get_host(host),
            task=self._task,
            include_hostvars=False,
        )
        return found | {"hostvars": hostvars}

    def _first_address(self, group: str) -> str:
        """The address of the first host of a group; that of this machine when it has none."""
        host = (self._task_vars["groups"].get(group) or ["localhost"])[0]
        return address(host, self._task_vars["hostvars"].raw_get(host))

    def _evaluated(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the ``stampede_*`` variables among a host's, at this moment. Raises BadInput."""
        templar = self._templar.copy_with_new_env(available_variables=variables)
        values, problems = {}, []
        for name, value in variables.items():
            if name.startswith(PREFIX):
                try:
                    found = templar.template(value)
                    problems += vaulted(found, name) if name != SECRETS else []
                    values[name] = plain(found)
                except (AnsibleError, RecursionError) as error:
                    reason = " ".join(str(error).split())
                    problems.append(f"{name} cannot be evaluated: {reason}; it must be a template that renders")
        if problems:
            raise BadInput(*problems)
        folder = project()
        return absolute_data_file(absolute_genesis_files(absolute_ca_files(values, folder), folder), folder)


def address(host: str, variables: Mapping[str, Any]) -> str:
    """Where a host is reached; ``localhost`` for this machine."""
    if variables.get("ansible_connection") == "local":
        return "localhost"
    return str(variables.get("ansible_host", host))


def vaulted(value: Any, where: str) -> list[str]:
    """A sentence for each value that Ansible Vault has encrypted, where it would be written down in clear."""
    if isinstance(value, Mapping):
        return [sentence for key, item in value.items() for sentence in vaulted(item, f"{where}.{key}")]
    if isinstance(value, list | tuple):
        return [sentence for place, item in enumerate(value) for sentence in vaulted(item, f"{where}[{place}]")]
    if VaultHelper.get_ciphertext(value, with_tags=False) is None:
        return []
    return [
        f"{where} is encrypted with Ansible Vault, but would be kept in clear with the results; put it into "
        f"{SECRETS} and write ${{secret:NAME}} in a service's URL, headers or body"
    ]


def plain(value: Any) -> Any:
    """A copy without Ansible's own kinds of text, number and container."""
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value) if isinstance(value, EncryptedString) else value
