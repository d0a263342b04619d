"""Watch the controllers of all load hosts; documented in plugins/modules/stampede_watch.py."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from stampede import wording
from stampede.fleet.inventory import LoadHost, connection_variables
from stampede.fleet.remote_shell import shell_of
from stampede.fleet.run_watch import Controller, PlaybookGone, watch_run
from stampede.fleet.ssh_connection import ControlMasters
from stampede.machine.processes import cleaning_up_when_interrupted
from stampede.prepare.hooks import tell_stopped
from stampede.schema.errors import BadInput
from stampede.schema.json_form import to_json
from stampede.schema.settings.durations import seconds


class ActionModule(ActionBase):
    _requires_connection = False
    _VALID_ARGS = frozenset(
        {"hosts", "until", "interval", "timeout", "abort_on_thresholds", "variables", "hooks_pid"}
    )

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        hostvars = (task_vars or {})["hostvars"]
        try:
            with cleaning_up_when_interrupted(), ControlMasters() as masters:
                outcome = watch_run(
                    [self._controller(str(name), entry, hostvars, masters) for name, entry in args["hosts"].items()],
                    str(args["until"]),
                    tell,
                    interval=seconds(args.get("interval", 5)),
                    timeout=seconds(args.get("timeout", 0)),
                    abort_on_thresholds=boolean(args.get("abort_on_thresholds", False)),
                    variables=args.get("variables"),
                    when_stopped=partial(tell_stopped, int(args.get("hooks_pid", 0))),
                )
        except (BadInput, PlaybookGone) as error:
            raise AnsibleActionFail(str(error)) from None
        result["states"] = {name: to_json(view.state) or {} for name, view in outcome.views.items()}
        result["died"] = outcome.failures
        result["faults"] = [to_json(fault) for fault in outcome.faults]
        return result

    def _controller(
        self, name: str, entry: Mapping[str, Any], hostvars: Mapping[str, Any], masters: ControlMasters
    ) -> Controller:
        folder, unit = Path(entry["dir"]), entry.get("unit")
        if not unit:
            return Controller(name, folder, pid=int(entry["pid"]))
        variables = hostvars[name]
        known = {variable: variables[variable] for variable in connection_variables(variables)}
        # What ansible-playbook asked for, with --ask-pass and --ask-become-pass.
        if self._play_context.password:
            known.setdefault("ansible_password", self._play_context.password)
        if self._play_context.become_pass:
            known.setdefault("ansible_become_password", self._play_context.become_pass)
        return Controller(
            name, folder, unit=str(unit), shell=shell_of(LoadHost(name, False, folder.parent, known), masters)
        )


def tell(text: str, colour: str) -> None:
    Display().display(wording.printable_lines(text), color=colour or None)
