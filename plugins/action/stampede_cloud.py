"""Decides about a fleet in a cloud; see ``stampede.cloud``."""

from __future__ import annotations

import dataclasses
import json
import time
from importlib import import_module
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from stampede.cloud import hosts, keys, plan
from stampede.cloud.faults import explain, install_collections
from stampede.cloud.settings import PLUGINS, checked_fleet, checked_name, read_fleet, unusable_credentials
from stampede.prepare.host_checks import kept_seconds
from stampede.prepare.run_check import run_id_by_time, unknown_names
from stampede.schema.errors import BadInput
from stampede.schema.faults import CLOUD_FAULT
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.variables import VARIABLES, CloudVariables

ARGUMENTS = {
    "verb": {
        "type": "str",
        "required": True,
        "choices": [
            "check",
            "check_name",
            "list",
            "plan",
            "status",
            "others",
            "taken",
            "unknown",
            "remains",
            "explain",
            "not_ended",
            "remove_keys",
        ],
    },
    "listed": {"type": "list", "elements": "dict", "default": []},
    "hosts": {"type": "list", "elements": "dict", "default": []},
    "asked": {"type": "list", "elements": "str", "default": []},
    "perhaps": {"type": "list", "elements": "str", "default": []},
    "left": {"type": "list", "elements": "str"},
    "price": {"type": "float", "default": 0.0},
    "failure": {"type": "raw"},
}


class ActionModule(ActionBase):
    """Runs on the control node."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """See ActionBase."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(ARGUMENTS)
        self._arguments, self._task_vars = arguments, task_vars or {}
        try:
            result |= getattr(self, f"_{arguments['verb']}")()
        except BadInput as error:
            result |= {"failed": True, "msg": str(error)}
        return result

    def _check(self) -> dict[str, Any]:
        self._check_words()
        seconds, unknown = self._run_seconds()
        checked_fleet(self._variables("cloud_"), self._sources(), seconds)
        return {"warnings": [unknown]} if unknown else {}

    def _check_name(self) -> dict[str, Any]:
        self._check_words()
        checked_name(self._variables("cloud_"), self._sources())
        return {}

    def _check_words(self) -> None:
        """Raises BadInput for what there is no need to ask the provider about."""
        given = {name for name in self._task_vars["hostvars"]["localhost"] if name.startswith("cloud_")}
        if problems := [*unknown_names(given - {CLOUD_FAULT}), *unusable_credentials()]:
            raise BadInput(*problems)
        self._find_collection()

    def _find_collection(self) -> None:
        """Raises BadInput when the provider's is not installed."""
        plugin = PLUGINS.get(str(self._task_vars.get("cloud_provider")))
        if not plugin:
            return  # the check of the settings says so
        name = plugin.rpartition(".")[0]
        try:
            import_module(f"ansible_collections.{name}")
        except ImportError:
            raise BadInput(
                f"Ansible's collection {name} is not installed, without which the cloud cannot be asked; install it: "
                f"{install_collections()}"
            ) from None

    def _list(self) -> dict[str, Any]:
        of = {"aws": hosts.of_ec2, "hetzner": hosts.of_hetzner}[self._fleet().provider]
        return {"hosts": [dataclasses.asdict(host) for host in of(self._arguments["listed"])]}

    def _plan(self) -> dict[str, Any]:
        fleet = self._fleet()
        price = fleet.price or self._arguments["price"]
        found = plan.plan(fleet, self._hosts(), price, time.time())
        return {
            "missing": list(found.missing),
            "expires": found.expires,
            "price": price,
            "text": found.text,
            "mark": keys.mark_of(fleet),
        }

    def _others(self) -> dict[str, Any]:
        if problems := plan.others(self._fleet(), self._hosts()):
            raise BadInput(*problems)
        return {}

    def _taken(self) -> dict[str, Any]:
        if problems := plan.taken(self._fleet(), self._arguments["listed"]):
            raise BadInput(*problems)
        return {}

    def _unknown(self) -> dict[str, Any]:
        if problems := plan.unknown(self._hosts(), self._arguments["asked"]):
            raise BadInput(*problems)
        return {}

    def _status(self) -> dict[str, Any]:
        return {"lines": plan.status(self._fleet(), self._hosts(), time.time())}

    def _remains(self) -> dict[str, Any]:
        given = self._arguments["failure"]
        failures = given if isinstance(given, list) else [given]
        reasons = dict.fromkeys(each if isinstance(each, str) else explain(each) for each in failures)
        raise BadInput(plan.remains(self._fleet(), self._hosts(), "; ".join(reasons), self._arguments["perhaps"]))

    def _explain(self) -> dict[str, Any]:
        raise BadInput(explain(self._arguments["failure"]))

    def _not_ended(self) -> dict[str, Any]:
        reason = explain(self._arguments["failure"])
        raise BadInput(plan.not_ended(self._hosts(), reason, self._arguments["left"]))

    def _remove_keys(self) -> dict[str, Any]:
        return {"changed": keys.remove(self._fleet())}

    def _fleet(self) -> CloudVariables:
        return read_fleet(self._variables("cloud_"))

    def _sources(self) -> list[str]:
        return [str(source) for source in self._task_vars.get("ansible_inventory_sources") or ()]

    def _hosts(self) -> list[hosts.CloudHost]:
        return [hosts.from_mapping(host) for host in self._arguments["hosts"]]

    def _run_seconds(self) -> tuple[float, str]:
        """How long the run of these settings keeps the hosts, 0 when it has no set end; and why that is not known."""
        try:
            variables = self._variables("stampede_")
            variables["stampede_run_id"] = variables.get("stampede_run_id") or run_id_by_time()
            return kept_seconds(Settings.from_variables(variables)), ""
        except BadInput as error:
            return 0.0, f"It is not known whether cloud_ttl is enough for a run, whose settings are wrong: {error}"

    def _variables(self, prefix: str) -> dict[str, Any]:
        """The values of the variables that begin with a prefix. Raises BadInput."""
        found: dict[str, Any] = {}
        for name, value in self._task_vars.items():
            if name.startswith(prefix) and name in VARIABLES:
                try:
                    found[name] = json.loads(json.dumps(self._templar.template(value), default=str))
                except (AnsibleError, RecursionError) as error:
                    reason = " ".join(str(error).split())
                    raise BadInput(
                        f"{name} cannot be evaluated: {reason}; it must be a template that renders"
                    ) from None
        return found
