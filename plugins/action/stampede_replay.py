"""Push the journals of a collected run to InfluxDB; ``plugins/modules/stampede_replay.py`` documents it."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from stampede import wording
from stampede.machine.files import user_path
from stampede.machine.home import project
from stampede.results.replay import OPTIONS, NotPushed, Replay, given_server, secret_of
from stampede.schema.errors import BadInput

VARIABLES = ("stampede_ca_file", *(f"stampede_influxdb_{option}" for option in OPTIONS))


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"results"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}

        def value(name: str) -> Any:
            return self._templar.template(variables[name])

        try:
            given = given_server({name: value(name) for name in VARIABLES}, project())
            results = user_path("stampede_run_dir", self._task.args["results"], project())
            replay = Replay(results, given)
            if self._task.check_mode:
                text = replay.forecast()
            else:
                secret = secret_of(replay.target, value("stampede_secrets") | value("run_generated_secrets"))
                text = replay.push(secret, tell)
        except BadInput as error:
            return result | {"failed": True, "msg": str(error)}
        except NotPushed as error:
            return result | {"failed": True, "msg": error.sentence}
        tell(text)
        return result | {"changed": not self._task.check_mode, "stdout": text}


def tell(text: str) -> None:
    """Show what servers and journals say."""
    Display().display(wording.printable_lines(text))
