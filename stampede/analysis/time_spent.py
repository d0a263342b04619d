"""Where the holders' time went: into which steps, into waiting, into starting late."""

import numpy as np

from stampede.analysis.active_holders import active_by_second
from stampede.analysis.load_window import Window
from stampede.results.journal_columns import JournalColumns
from stampede.schema.summary import TimeInStep, TimeSpent


def build_time_spent(journal: JournalColumns, window: Window | None) -> TimeSpent:
    """The `time_spent` part of summary.json."""
    records = journal.steps
    service_time = np.asarray(records.service_time)
    step = np.asarray(records.step)
    seconds_by_step = np.bincount(step, weights=service_time, minlength=len(journal.step_names.list))
    found = [(float(seconds_by_step[number]), journal.step_names.list[number]) for number in np.unique(step)]
    in_steps = float(service_time.sum())
    late = float(np.asarray(records.response_time).sum()) - in_steps
    holders = active_by_second(journal, window)
    active = float(holders.sum()) if holders is not None else None
    return TimeSpent(
        steps={
            name: TimeInStep(seconds, seconds / in_steps if in_steps else 0.0)
            for seconds, name in sorted(found, reverse=True)
        },
        in_steps=in_steps,
        late=max(late, 0.0),
        active=active,
        waiting=max(active - in_steps - late, 0.0) if active is not None else None,
    )
