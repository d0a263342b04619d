"""Push the collected journals of a run to InfluxDB; see ``stampede.results.replay``.

``results`` is the run's folder. Server and secrets are those of the ``stampede_influxdb_*`` variables and
``stampede_secrets``; without ``stampede_influxdb_url`` the server is the one that the run itself had. In check mode
it says what would be pushed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from stampede.results.replay import OPTIONS, NotPushed, Replay
from stampede.schema.errors import BadInput

REPOSITORY = Path(__file__).resolve().parents[2]


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"results"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}

        def value(name: str) -> Any:
            return self._templar.template(variables[name])

        given = {f"stampede_influxdb_{option}": str(value(f"stampede_influxdb_{option}")) for option in OPTIONS}
        if ca_file := given["stampede_influxdb_ca_file"] or str(value("stampede_ca_file")):
            given["stampede_influxdb_ca_file"] = str(REPOSITORY / Path(ca_file).expanduser())
        try:
            results = REPOSITORY / Path(self._task.args["results"]).expanduser()
            replay = Replay(results, given if given["stampede_influxdb_url"] else {})
            if self._task.check_mode:
                said = replay.forecast()
            else:
                secrets = value("stampede_secrets") | value("run_made_secrets")
                said = replay.push(self._secret(replay.target.secret, secrets), Display().display)
        except BadInput as error:
            return result | {"failed": True, "msg": str(error)}
        except NotPushed as error:
            return result | {"failed": True, "msg": error.sentence}
        Display().display(said)
        return result | {"changed": not self._task.check_mode, "stdout": said}

    def _secret(self, name: str, secrets: dict[str, Any]) -> str:
        if name and not secrets.get(name):
            raise BadInput(f"stampede_secrets has no {name}, which the InfluxDB asks for; put it there")
        return str(secrets[name]).strip() if name else ""
