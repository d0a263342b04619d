"""The report of a run: figures, page, rows and test cases, computed from the journals of its hosts alone."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stampede.analysis import collected
from stampede.machine.files import write_atomically
from stampede.report import html, junit, steps_csv, timeline
from stampede.results.errors import ReportError

__all__ = ["ReportError", "report", "write"]


def report(results_dir: Path) -> dict[str, Any]:
    """Writes summary.json, report.html, steps.csv.gz and junit.xml into a run's results folder; returns the summary.

    Reads `results_dir`/HOST/journal.lp (or .lp.gz) of every host and, where there are any, state.json,
    run.json and controller_script.py. Each file appears whole or not at all.

    Raises ReportError, with a sentence for the user, when the folder does not exist, holds no journal, or
    cannot be read or written.
    """
    run = collected.read(results_dir)
    charts = timeline.chart(run.journal, run.window, run.summary.get("thresholds", []))
    scripts = {host.name: host.script for host in run.results.hosts if host.script}
    write(results_dir / "summary.json", json.dumps(run.summary, indent=2, allow_nan=False) + "\n")
    write(results_dir / "report.html", html.render(run.summary, charts, scripts))
    write(results_dir / "junit.xml", junit.document(run.summary))
    rows = results_dir / "steps.csv.gz"
    with _named(rows):
        steps_csv.write(run.journal, rows)
    return run.summary


def write(path: Path, text: str) -> None:
    """Writes a file that appears whole or not at all; raises ReportError, which names it."""
    with _named(path):
        write_atomically(path, text.encode(errors="replace").decode(), mode=0o644)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turns what goes wrong with writing a file into a sentence that names it."""
    try:
        yield
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}.") from error
