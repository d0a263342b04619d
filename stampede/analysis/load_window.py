"""When the load began and ended: the span that throughput is counted over and that the charts show."""

from dataclasses import dataclass

import numpy as np

from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import Journal
from stampede.schema.phases import Phase

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Window:
    """The span of the load in nanoseconds since 1970: from the hosts' common go to the last step's end."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return (self.end - self.start) / SECOND

    def after(self, time: int) -> float:
        """Seconds from the start to a time in nanoseconds; negative before."""
        return (time - self.start) / SECOND


def find(results: ResultsFolder, journal: Journal) -> Window | None:
    """The window of a run; None when no load was begun.

    It begins with the start time that all hosts were given (else with the phase `running`, else with the
    first step that was due) and ends with the last step's end, that is after the drain; without steps, with
    the last sample.
    """
    steps = journal.steps
    starts = [int(results.start_at * SECOND)] if results.start_at else []
    starts = starts or [event.time for event in journal.events if event.phase == Phase.RUNNING]
    if len(steps):
        due = np.asarray(steps.end) - (np.asarray(steps.response_time) * SECOND).astype(np.int64)
        start = min([*starts, int(due.min())])
        return Window(start, max(steps.end))
    if not starts:
        return None
    return Window(min(starts), max([min(starts), *journal.load.time]))
