"""Why ``playbooks/run-test.yml`` fails at the end of a run, by the run's summary.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stampede.analysis.threshold_verdicts import unjudged_failures


def failure_reasons(summary: Mapping[str, Any], report: Path, fail_on_errors: bool) -> list[str]:
    """A sentence for each threshold that was not kept, and one for failures that no threshold is about.

    The latter counts only with ``fail_on_errors``. A run without steps has failed in any case.
    """
    steps = summary["steps"]
    done = sum(step["ok"] + step["failed"] for step in steps.values())
    if not done:
        return [f"The run made no steps at all; see the logs in {report.parent}"]
    sentences = [str(threshold["sentence"]) for threshold in summary["thresholds"] if not threshold["passed"]]
    failed = unjudged_failures(dict(summary))
    if failed and fail_on_errors:
        judged = {threshold["step"] for threshold in summary["thresholds"] if threshold["metric"] == "errors"}
        reasons: Counter[str] = Counter()
        for name, step in steps.items():
            for error, count in step["errors"].items() if name not in judged else ():
                reasons[f"{name}: {error}"] += count
        most = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
        sentences.append(
            f"{failed} of {done} steps failed ({most}); see {report}, "
            "or accept such runs with stampede_fail_on_errors=false"
        )
    return sentences
