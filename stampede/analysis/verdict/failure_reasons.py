"""Why a playbook that ran a load test should fail: a sentence for each reason, from the summary of the run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stampede.analysis.threshold_verdicts import uncovered_failures
from stampede.schema.summary import LossKind, Summary

MAX_ERRORS = 3  # that the sentence about failed steps names


def failure_reasons(summary: Summary, report: Path, fail_on_errors: bool, told: Sequence[str] = ()) -> list[str]:
    """A sentence for each threshold that was not met, one for failed steps that no threshold covers, and one for each
    part of the records that is missing.

    ``report`` is the report to refer to; without ``fail_on_errors`` failed steps are no reason to fail. ``told`` are
    sentences about hosts that are known already: that such a host left nothing need not be said again.
    """
    ended = sum(counts.ended for counts in summary.counts.values())
    if not ended:
        return [f"The run executed no steps at all; see the logs in {report.parent}"]
    if not any(step.ended for step in summary.steps.values()):
        return [f"{summary.run.headline}; see {report}"]
    reasons = [verdict.sentence for verdict in summary.thresholds if not verdict.passed]
    if summary.search and summary.search.highest is None:
        reasons.append(f"{summary.search.headline}; see {report}")
    reasons += [
        loss.text
        for loss in summary.losses
        if loss.kind != LossKind.HOST or not any(_is_about(loss.host, sentence) for sentence in told)
    ]
    reasons += [summary.teardown] if summary.teardown else []
    uncovered = uncovered_failures(summary)
    if uncovered and fail_on_errors:
        errors = Counter(
            {
                f"{step}: {name}": count
                for name, error in summary.errors.items()
                for step, count in error.steps.items()
                if step in uncovered
            }
        )
        most_frequent = ", ".join(f"{count} x {error}" for error, count in errors.most_common(MAX_ERRORS))
        reasons.append(
            f"{sum(uncovered.values())} of {ended} steps failed ({most_frequent}); see {report}, "
            "or accept such runs with stampede_fail_on_errors=false"
        )
    return reasons


def _is_about(host: str, sentence: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", sentence) is not None
