"""Fail with the reasons why a run failed; ``plugins/modules/stampede_verdict.py`` documents it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from stampede.analysis.verdict.failure_reasons import failure_reasons
from stampede.schema.summary import Summary


class ActionModule(ActionBase):
    _requires_connection = False
    _VALID_ARGS = frozenset({"results", "died", "fail_on_errors"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        folder = Path(args["results"])
        summary = Summary.from_json((folder / "summary.json").read_text(encoding="utf-8"))
        reasons = [str(sentence) for sentence in args["died"]]
        reasons += failure_reasons(summary, folder / "report.html", boolean(args["fail_on_errors"]), reasons)
        if reasons:
            result.update(failed=True, msg="\n".join(reasons))
        return result
