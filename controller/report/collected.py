"""The results of a run, read: what its hosts journaled, over which span, and what that comes to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.report import faults, journal_reader, results_folder, summary, window
from controller.report.journal import Journal
from controller.report.results_folder import ResultsFolder
from controller.report.window import Window


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
