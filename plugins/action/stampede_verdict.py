"""Whether a run was a good one, from its summary.json: a sentence for each reason why it was not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _requires_connection = False
    _VALID_ARGS = frozenset({"results", "died", "fail_on_errors"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        folder = Path(self._task.args["results"])
        summary = json.loads((folder / "summary.json").read_text())
        sentences = [str(sentence) for sentence in self._task.args["died"]]
        sentences += shortcomings(
            summary["steps"], folder / "report.html", boolean(self._task.args["fail_on_errors"])
        )
        if sentences:
            result.update(failed=True, msg="\n".join(sentences))
        return result


def shortcomings(steps: Mapping[str, Mapping[str, Any]], report: Path, fail_on_errors: bool) -> list[str]:
    ok, failed = (sum(step[key] for step in steps.values()) for key in ("ok", "failed"))
    if not ok + failed:
        return [f"The run made no steps at all; see the logs in {report.parent}"]
    if not failed or not fail_on_errors:
        return []
    reasons: Counter[str] = Counter()
    for name, step in steps.items():
        for error, count in step["errors"].items():
            reasons[f"{name}: {error}"] += count
    most = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    return [
        f"{failed} of {ok + failed} steps failed ({most}); see {report}, "
        "or let such runs pass with stampede_fail_on_errors=false"
    ]
