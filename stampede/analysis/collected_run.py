"""The collected results of a run, read: what its hosts recorded, over which span, and its summary."""

from dataclasses import dataclass
from pathlib import Path

from stampede.analysis.faults import fault_events, find_faults
from stampede.analysis.load_window import SECOND, Window, find_window
from stampede.analysis.measured import Measured, find_measured
from stampede.analysis.summary import build_summary
from stampede.load_models import catalog
from stampede.results import folder as results_folder
from stampede.results import journal_reader
from stampede.results.errors import ReportError
from stampede.results.folder import ResultsFolder, epoch
from stampede.results.journal_columns import JournalColumns
from stampede.results.journal_reader import ALWAYS, Span
from stampede.schema.records import EventKind
from stampede.schema.settings.durations import seconds
from stampede.schema.summary import Summary

MARGIN = 3600.0  # seconds before and after a run; clocks may be off, and agents take their time to start and to end


@dataclass(frozen=True)
class CollectedRun:
    """A run's results; `summary` is that of summary.json, and `measured` what its figures are about."""

    results: ResultsFolder
    journal: JournalColumns
    window: Window | None
    measured: Measured
    summary: Summary


def read_run(results_dir: Path) -> CollectedRun:
    """Read a results folder: journal.lp (or .lp.gz) of every host and, if present, state.json and run.json.

    A journal that cannot be read costs its own host.

    Raises ReportError, with a sentence for the user, when the folder does not exist, holds no journal, or
    none of them can be read.
    """
    results = results_folder.find(results_dir)
    journal = JournalColumns()
    span = possible_span(results)
    failures = []
    journals = {host.name: host.journal for host in results.hosts if host.journal}
    for name, path in journals.items():
        try:
            journal_reader.read(journal, path, name, span)
        except ReportError as error:
            failures.append(error)
            journal.readings[name].given_up = "it cannot be read"
            results.notes.append(str(error))
    if failures and len(failures) == len(journals):
        raise failures[0]
    window = find_window(results, journal)
    faults = find_faults(results, journal)
    journal.events += fault_events(faults)
    measured = find_measured(results, journal, window)
    return CollectedRun(results, journal, window, measured, build_summary(results, journal, window, measured, faults))


def possible_span(results: ResultsFolder) -> Span:
    """Between which moments the hosts can have made their records, by what the control node itself knows of the run.

    A host that it lost sight of may have gone on for long, unless the run had a duration.
    """
    started, ended = epoch(results.run.started), epoch(results.run.ended)
    if started is None:
        return ALWAYS
    try:
        duration = catalog.recorded_plan(results.settings).duration
        drain = seconds(results.settings.get("stampede_drain") or 0)
    except ValueError:
        duration = drain = 0.0
    lost = any(fault.kind in (EventKind.LOST, EventKind.NOT_COLLECTED) for fault in results.run.faults)
    until = started + duration + drain if duration else None if lost else ended
    return Span(int((started - MARGIN) * SECOND), ALWAYS.until if until is None else int((until + MARGIN) * SECOND))
