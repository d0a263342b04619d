"""When the load began and ended: the span that throughput is counted over and that the charts show."""

from dataclasses import dataclass

import numpy as np

from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import JournalColumns
from stampede.schema.phases import Phase

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Window:
    """The span of the load in nanoseconds since 1970: from the hosts' common start to the end of the last step."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return (self.end - self.start) / SECOND

    def after(self, time: int) -> float:
        """Seconds from the start to a time in nanoseconds; negative before it."""
        return (time - self.start) / SECOND

    def rate(self, number: int) -> float | None:
        """So many in the window, per second; None when the window has no length."""
        return number / self.seconds if self.seconds > 0 else None


def find_window(results: ResultsFolder, journal: JournalColumns) -> Window | None:
    """The window of a run; None when the load never started.

    It begins with the start time that all hosts were given (else with the phase `running`, else with the due time
    of the first step) and ends with the end of the last step, that is after the drain; without steps, with the last
    sample.
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
