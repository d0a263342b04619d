"""Whether a run was a good one, from its summary.json: a sentence for each reason why it was not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from stampede.analysis.threshold_verdicts import unjudged_failures


class ActionModule(ActionBase):
    _requires_connection = False
    _VALID_ARGS = frozenset({"results", "died", "fail_on_errors"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        folder = Path(self._task.args["results"])
        summary = json.loads((folder / "summary.json").read_text())
        sentences = [str(sentence) for sentence in self._task.args["died"]]
        sentences += shortcomings(summary, folder / "report.html", boolean(self._task.args["fail_on_errors"]))
        if sentences:
            result.update(failed=True, msg="\n".join(sentences))
        return result


def shortcomings(summary: Mapping[str, Any], report: Path, fail_on_errors: bool) -> list[str]:
    """A sentence for each threshold that was not kept, and one for failures that none of them is about."""
    steps = summary["steps"]
    done = sum(step["ok"] + step["failed"] for step in steps.values())
    if not done:
        return [f"The run made no steps at all; see the logs in {report.parent}"]
    sentences = [str(threshold["sentence"]) for threshold in summary["thresholds"] if not threshold["passed"]]
    failed = unjudged_failures(summary)
    if failed and fail_on_errors:
        judged = {threshold["step"] for threshold in summary["thresholds"] if threshold["metric"] == "errors"}
        reasons: Counter[str] = Counter()
        for name, step in steps.items():
            for error, count in step["errors"].items() if name not in judged else ():
                reasons[f"{name}: {error}"] += count
        most = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
        sentences.append(
            f"{failed} of {done} steps failed ({most}); see {report}, "
            "or let such runs pass with stampede_fail_on_errors=false"
        )
    return sentences
