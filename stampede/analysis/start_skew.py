"""How closely together the load hosts started, and how far their clocks can be trusted about that."""

from stampede.analysis.load_window import SECOND
from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import JournalColumns
from stampede.schema.host_summary import Clock
from stampede.schema.phases import Phase

MOST = 1e9  # seconds; anything more is not a clock's offset


def start_delays(results: ResultsFolder, journal: JournalColumns) -> dict[str, float]:
    """How long after the common start time each host started, in seconds by its own clock.

    A host starts with its event "running"; hosts without one are not among them, and none is when no start time is
    known.
    """
    start_at = results.start_at
    if start_at is None:
        return {}
    started: dict[str, int] = {}
    for event in journal.events:
        if event.phase == Phase.RUNNING:
            started[event.host] = min(event.time, started.get(event.host, event.time))
    return {host: (time - int(start_at * SECOND)) / SECOND for host, time in started.items()}


def start_skew(delays: list[float]) -> float | None:
    """Seconds between the first host's start and the last one's; None with fewer than two hosts."""
    return max(delays) - min(delays) if len(delays) > 1 else None


def measured_clocks(results: ResultsFolder) -> dict[str, Clock]:
    """The clock of each host for which it was measured before the start."""
    return {
        host: Clock(clock.offset, abs(clock.uncertainty))
        for host, clock in results.run.clocks.items()
        if max(abs(clock.offset), abs(clock.uncertainty)) < MOST
    }
