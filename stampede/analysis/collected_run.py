"""The collected results of a run, read: what its hosts recorded, over which span, and its summary."""

from dataclasses import dataclass
from pathlib import Path

from stampede.analysis.faults import fault_events, find_faults
from stampede.analysis.load_window import Window, find_window
from stampede.analysis.summary import build_summary
from stampede.results import folder as results_folder
from stampede.results import journal_reader
from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import JournalColumns
from stampede.schema.summary import Summary


@dataclass(frozen=True)
class CollectedRun:
    """A run's results; `summary` is that of summary.json."""

    results: ResultsFolder
    journal: JournalColumns
    window: Window | None
    summary: Summary


def read_run(results_dir: Path) -> CollectedRun:
    """Read a results folder: journal.lp (or .lp.gz) of every host and, if present, state.json and run.json.

    Raises ReportError, with a sentence for the user, when the folder does not exist, holds no journal, or
    cannot be read.
    """
    results = results_folder.find(results_dir)
    journal = JournalColumns()
    for host in results.hosts:
        if host.journal:
            journal_reader.read(journal, host.journal, host.name)
    window = find_window(results, journal)
    faults = find_faults(results, journal)
    journal.events += fault_events(faults)
    return CollectedRun(results, journal, window, build_summary(results, journal, window, faults))
