"""The results of a run, read: what its hosts journaled, over which span, and what that comes to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stampede.analysis import faults, summary
from stampede.analysis import load_window as window
from stampede.analysis.load_window import Window
from stampede.results import folder as results_folder
from stampede.results import journal_reader
from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import Journal


@dataclass(frozen=True)
class CollectedRun:
    """A run's results; `summary` is that of summary.json."""

    results: ResultsFolder
    journal: Journal
    window: Window | None
    summary: dict[str, Any]


def read(results_dir: Path) -> CollectedRun:
    """Reads a results folder: journal.lp (or .lp.gz) of every host and, where there are any, state.json and run.json.

    Raises ReportError, with a sentence for the user, when the folder does not exist, holds no journal, or
    cannot be read.
    """
    results = results_folder.find(results_dir)
    journal = Journal()
    for host in results.hosts:
        if host.journal:
            journal_reader.read(journal, host.journal, host.name)
    span = window.find(results, journal)
    found = faults.find(results, journal)
    journal.events += faults.events(found)
    return CollectedRun(results, journal, span, summary.summarize(results, journal, span, found))
