"""The report of a run: figures, page, rows and test cases, computed from the journals of its hosts alone."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controller.files import write_atomically
from controller.report import (
    faults,
    html,
    journal_reader,
    junit,
    results_folder,
    steps_csv,
    summary,
    timeline,
    window,
)
from controller.report.errors import ReportError
from controller.report.journal import Journal

__all__ = ["ReportError", "report"]


def report(results_dir: Path) -> dict[str, Any]:
    """Writes summary.json, report.html, steps.csv.gz and junit.xml into a run's results folder; returns the summary.

    Reads `results_dir`/HOST/journal.lp (or .lp.gz) of every host and, where there are any, state.json,
    run.json and controller_script.py. Each file appears whole or not at all.

    Raises ReportError, with a sentence for the user, when the folder does not exist, holds no journal, or
    cannot be read or written.
    """
    results = results_folder.find(results_dir)
    journal = Journal()
    for host in results.hosts:
        if host.journal:
            journal_reader.read(journal, host.journal, host.name)
    span = window.find(results, journal)
    found = faults.find(results, journal)
    journal.events += faults.events(found)
    summarized = summary.summarize(results, journal, span, found)
    charts = timeline.chart(journal, span, summarized.get("thresholds", []))
    scripts = {host.name: host.script for host in results.hosts if host.script}
    _write(results_dir / "summary.json", json.dumps(summarized, indent=2, allow_nan=False) + "\n")
    _write(results_dir / "report.html", html.render(summarized, charts, scripts))
    _write(results_dir / "junit.xml", junit.document(summarized))
    rows = results_dir / "steps.csv.gz"
    with _named(rows):
        steps_csv.write(journal, rows)
    return summarized


def _write(path: Path, text: str) -> None:
    with _named(path):
        write_atomically(path, text.encode(errors="replace").decode(), mode=0o644)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turns what goes wrong with writing a file into a sentence that names it."""
    try:
        yield
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}.") from error
