"""Where the holders' time went: into which steps, into waiting, into starting late."""

import numpy as np
from numpy.typing import NDArray

from stampede.analysis.active_holders import active_by_second
from stampede.analysis.load_window import SECOND, Window
from stampede.results.journal_columns import JournalColumns, Steps
from stampede.schema.summary import TimeInStep, TimeSpent


def build_time_spent(journal: JournalColumns, window: Window | None) -> TimeSpent:
    """The `time_spent` part of summary.json."""
    records = journal.steps
    own_time = _own_time(records)
    step = np.asarray(records.step)
    seconds_by_step = np.bincount(step, weights=own_time, minlength=len(journal.step_names.list))
    found = [(float(seconds_by_step[number]), journal.step_names.list[number]) for number in np.unique(step)]
    in_steps = float(own_time.sum())
    late = float((np.asarray(records.response_time) - np.asarray(records.service_time)).sum())
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


def _own_time(records: Steps) -> NDArray[np.float64]:
    """Seconds of each step in which its holder had no other step that ended later: a step within another has none, so
    that together they are the time in which the holders had a step.
    """
    took, end = np.asarray(records.service_time), np.asarray(records.end)
    if not took.size:
        return took
    host, holder = np.asarray(records.host), np.asarray(records.holder)
    begin = (end - end.min()) / SECOND - took
    last_first = np.lexsort((end, holder, host))[::-1]  # of two that ended at once, the outer one was recorded last
    is_new = (np.diff(host[last_first], prepend=-1) != 0) | (np.diff(holder[last_first], prepend=-1) != 0)
    by_begin = np.argsort(begin)
    rank = np.empty_like(by_begin)
    rank[by_begin] = np.arange(took.size)
    # The earliest beginning so far, of each holder: a rank that is lower for the next holder whatever its steps are.
    offset = np.cumsum(is_new) * took.size
    earliest = np.minimum.accumulate(rank[last_first] - offset) + offset
    until = np.full(took.shape, np.inf)
    until[1:] = np.where(is_new[1:], np.inf, begin[by_begin[earliest[:-1]]])
    own = np.empty(took.shape)
    own[last_first] = np.clip(until - begin[last_first], 0.0, took[last_first])
    return own
