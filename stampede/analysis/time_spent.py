"""Where the holders' time went: into which steps, into waiting, into beginning late."""

from typing import Any

import numpy as np

from stampede import wording
from stampede.analysis import host_outcomes as hosts
from stampede.analysis.load_window import Window
from stampede.results.journal_columns import Journal

MOST_STEPS = 3


def of(journal: Journal, window: Window | None) -> dict[str, Any]:
    """The `time_spent` part of summary.json, in seconds summed over all holders.

    `steps`: of each step the service time of all its records, however they ended, with its share of the sum
    `in_steps`; `late`: between due and begun; `active`: of the holders, while they were active; `waiting`: what is
    left of it, think times above all. The last two are None when no samples of active holders are known.
    """
    records = journal.steps
    service_time = np.asarray(records.service_time)
    seconds = np.bincount(
        np.asarray(records.step), weights=service_time, minlength=len(journal.step_names.list)
    ).tolist()
    in_steps = float(service_time.sum())
    late = float(np.asarray(records.response_time).sum()) - in_steps
    holders = hosts.active_by_second(journal, window)
    active = float(holders.sum()) if holders is not None else None
    return {
        "steps": {
            name: {"seconds": its, "share": its / in_steps if in_steps else 0.0}
            for its, name in sorted(zip(seconds, journal.step_names.list, strict=True), reverse=True)
        },
        "in_steps": in_steps,
        "late": max(late, 0.0),
        "active": active,
        "waiting": max(active - in_steps - late, 0.0) if active is not None else None,
    }


def sentence(spent: dict[str, Any]) -> str:
    """The same in words; nothing when there were no steps."""
    if not spent["in_steps"]:
        return ""
    shares = [(name, wording.percent(its["share"])) for name, its in spent["steps"].items() if its["seconds"]]
    most = [f"{name} {'took ' if not rank else ''}{share}" for rank, (name, share) in enumerate(shares[:MOST_STEPS])]
    text = f"Of the time in steps, {wording.listed(most)}"
    if not spent["active"]:
        return f"{text}."
    waited = min(spent["waiting"] / spent["active"], 1.0)
    return f"{text}. The holders were in steps for {wording.percent(1 - waited)} of their time and waited the rest."
