"""The report of a run: summary.json and report.html, computed from the journals of its hosts alone."""

import json
from pathlib import Path
from typing import Any

from controller.files import write_atomically
from controller.report import faults, html, journal_reader, results_folder, summary, timeline, window
from controller.report.errors import ReportError
from controller.report.journal import Journal

__all__ = ["ReportError", "report"]


def report(results_dir: Path) -> dict[str, Any]:
    """Writes summary.json and report.html into the results folder of a run; returns the summary.

    Reads `results_dir`/HOST/journal.lp (or .lp.gz) of every host and, where there are any, state.json,
    run.json and controller_script.py. Both files appear whole or not at all.

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
    charts = timeline.chart(journal, span)
    scripts = {host.name: host.script for host in results.hosts if host.script}
    _write(results_dir / "summary.json", json.dumps(summarized, indent=2, allow_nan=False) + "\n")
    _write(results_dir / "report.html", html.render(summarized, charts, scripts))
    return summarized


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode(errors="replace").decode(), mode=0o644)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}.") from error
