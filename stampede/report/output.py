"""The report of a run: figures, page, rows and test cases, computed from the journals of its hosts alone."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from stampede.analysis.collected_run import read_run
from stampede.machine.files import write_atomically
from stampede.report import junit, page, steps_csv
from stampede.report.charts.timeline import build_charts
from stampede.results.errors import ReportError
from stampede.schema.summary import Summary

__all__ = ["ReportError", "report", "write"]


def report(results_dir: Path) -> Summary:
    """Write summary.json, report.html, steps.csv.gz and junit.xml into a run's results folder; return the summary.

    Reads `results_dir`/HOST/journal.lp (or .lp.gz) of every host and, where present, state.json, run.json and
    controller_script.py. Each file appears complete or not at all.

    Raises ReportError, with a sentence for the user, when the folder does not exist, holds no journal, or
    cannot be read or written.
    """
    run = read_run(results_dir)
    charts = build_charts(run.journal, run.window, run.summary.thresholds, run.summary.measured)
    scripts = {host.name: host.script for host in run.results.hosts if host.script}
    write(results_dir / "summary.json", run.summary.to_json())
    write(results_dir / "report.html", page.render(run.summary, charts, scripts))
    write(results_dir / "junit.xml", junit.build_document(run.summary))
    rows = results_dir / "steps.csv.gz"
    with _named(rows):
        steps_csv.write(run.journal, rows)
    return run.summary


def write(path: Path, text: str) -> None:
    """Write a file, which appears complete or not at all; raises ReportError, which names it."""
    with _named(path):
        write_atomically(path, text.encode(errors="replace").decode(), mode=0o644)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn an error of writing a file into a sentence that names it."""
    try:
        yield
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}.") from error
