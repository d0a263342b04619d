"""The summary in a terminal, 80 columns wide: the verdict, a table of the steps, what failed."""

import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from stampede import wording
from stampede.schema.summary import (
    CheckSummary,
    ErrorSummary,
    Finding,
    MeasureSummary,
    RunOutcome,
    SearchSummary,
    StepSummary,
    Summary,
    ThresholdVerdict,
)

WIDTH = 80
SHORTEST_NAME = 12
MAX_ERRORS = 10

BOLD, RED, GREEN, YELLOW, FAINT = "1", "31", "32", "33", "2"
OUTCOME_COLOURS = {
    RunOutcome.PASSED: GREEN,
    RunOutcome.FAILED: RED,
    RunOutcome.THRESHOLDS: RED,
    RunOutcome.BROKEN_OFF: RED,
    RunOutcome.INCOMPLETE: RED,
    RunOutcome.NO_LOAD: RED,
    RunOutcome.TEARDOWN: RED,
    RunOutcome.STOPPED: YELLOW,
}


def table(summary: Summary, stream: TextIO | None = None) -> str:
    """The summary as text, without a newline at its end.

    It is coloured when `stream`, where it will be written, is a terminal and NO_COLOR is unset or empty.
    """
    paint = _Paint(coloured=stream is not None and stream.isatty() and not os.environ.get("NO_COLOR"))
    run = summary.run
    # What happened to hosts, and what is missing, explains what follows; thresholds have a place of their own.
    about_hosts = [finding for finding in run.findings if finding.about in ("hosts", "missing")]
    others = [finding for finding in run.findings if finding.about not in ("hosts", "missing", "thresholds")]
    parts = [
        [paint(line, BOLD, OUTCOME_COLOURS[run.outcome]) for line in wrapped(run.headline)],
        *(_finding(finding, paint) for finding in about_hosts),
        _levels(summary.search, paint),
        _thresholds(summary.thresholds, paint),
        _steps(summary.steps, paint),
        *(
            [paint(f"Script {name}, {wording.number(script.holders, 'holder')}:", BOLD), *_steps(script.steps, paint)]
            for name, script in summary.scripts.items()
        ),
        *(
            [paint(f"Group {wording.printable(name)}:", BOLD), *_steps(steps, paint)]
            for name, steps in summary.groups.items()
        ),
        checks(summary.checks, paint),
        measures(summary.measures, paint),
        _errors(summary.errors, paint),
        *(_finding(finding, paint) for finding in others),
        *([paint(line, FAINT) for line in wrapped(note)] for note in summary.journal.notes),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


class _Paint:
    def __init__(self, *, coloured: bool) -> None:
        self._coloured = coloured

    def __call__(self, text: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self._coloured else text


def _finding(finding: Finding, paint: _Paint) -> list[str]:
    lines = wrapped(finding.text)
    return [paint(line, YELLOW) for line in lines] if finding.warning else lines


def wrapped(text: str, indent: str = "") -> list[str]:
    """The text in lines of 80 columns."""
    return textwrap.wrap(wording.printable(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _thresholds(verdicts: list[ThresholdVerdict], paint: _Paint) -> list[str]:
    lines = []
    for verdict in verdicts:
        mark, colour = ("✓", GREEN) if verdict.passed else ("✗", RED)
        lines += [paint(line, colour) for line in wrapped(f"{mark} {verdict.sentence}", indent="  ")]
    return lines


def _levels(search: SearchSummary | None, paint: _Paint) -> list[str]:
    """The levels of a search, in the order in which they were tried."""
    if search is None:
        return []
    lines = [paint(f"{'holders':>9} {'steps/s':>9}  held", FAINT)]
    for level in search.levels:
        rate = wording.rate(level.per_second).removesuffix("/s") if level.per_second is not None else wording.NONE
        word, colour = {True: ("yes", GREEN), False: ("no", RED), None: ("not known", YELLOW)}[level.held]
        held = f"{word}, once more" if level.confirms else word
        text = f"{held}: {level.why}" if level.why else held
        first, *rest = wrapped(text, indent=" " * 21) or [""]
        lines.append(f"{level.holders:>9,} {rate:>9}  {paint(first, colour)}")
        lines += [paint(line, colour) for line in rest]
    return lines


def _steps(steps: dict[str, StepSummary], paint: _Paint) -> list[str]:
    if not steps:
        return []
    rows = []
    for name, step in steps.items():
        service, response = step.service_time, step.response_time
        times = [service.p50, service.p95, service.p99, service.max, response.p95]
        cells = [wording.count(step.ok), wording.count(step.failed), *map(wording.seconds, times)]
        rows.append((wording.printable(name), cells, step.failed > 0))
    header = ["ok", "failed", "p50", "p95", "p99", "max", "p95"]
    widths = [max(len(title), 5, *(len(cells[i]) for _, cells, _ in rows)) for i, title in enumerate(header)]
    room = max(SHORTEST_NAME, WIDTH - sum(width + 1 for width in widths))
    first = min(room, max(len("step"), *(len(name) for name, _, _ in rows)))

    def line(name: str, cells: list[str]) -> list[str]:
        shown = name if len(name) <= first else name[: first - 1] + "…"
        return [shown.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))]

    service_width = sum(widths[2:6]) + 3
    over = " " * (first + widths[0] + widths[1] + 3) + _ruled("service time", service_width)
    lines = [paint(over + " " + "resp.".rjust(widths[6]), FAINT)]
    lines.append(paint(" ".join(line("step", header)), FAINT))
    for name, cells, failed in rows:
        row = line(name, cells)
        if failed:
            row[2] = paint(row[2], RED)
        lines.append(" ".join(row))
    return lines


def checks(checks: Mapping[str, CheckSummary], paint: Callable[..., str]) -> list[str]:
    """A table of checks in lines, by whatever names; `paint` gives a text its colours."""
    rows = {
        name: [wording.count(check.passed), wording.count(check.failed), wording.percent(check.passed_share)]
        for name, check in checks.items()
    }
    return _table("check", ["passed", "failed", "share"], rows, {n for n in checks if checks[n].failed}, paint)


def measures(measures: Mapping[str, MeasureSummary], paint: Callable[..., str]) -> list[str]:
    """The same of measures."""
    figures = ("mean", "min", "p50", "p95", "p99", "max")
    rows = {
        name: [wording.count(measure.count), *(wording.figure(getattr(measure, figure)) for figure in figures)]
        for name, measure in measures.items()
    }
    return _table("measure", ["values", *figures], rows, set(), paint)


def _table(
    what: str, header: Sequence[str], rows: Mapping[str, Sequence[str]], bad: set[str], paint: Callable[..., str]
) -> list[str]:
    """Rows of figures by name; those that are `bad` in red."""
    if not rows:
        return []
    widths = [max(len(title), 6, *(len(cells[i]) for cells in rows.values())) for i, title in enumerate(header)]
    room = max(SHORTEST_NAME, WIDTH - sum(width + 1 for width in widths))
    names = {name: wording.printable(name) for name in rows}
    first = min(room, max(len(what), *map(len, names.values())))

    def line(name: str, cells: Sequence[str]) -> str:
        shown = name if len(name) <= first else name[: first - 1] + "…"
        return " ".join([shown.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))])

    lines = [paint(line(what, header), FAINT)]
    return lines + [
        paint(line(names[name], cells), RED) if name in bad else line(names[name], cells)
        for name, cells in rows.items()
    ]


def _ruled(text: str, width: int) -> str:
    """A heading over several columns."""
    return f" {text} ".center(width, "-") if len(text) + 2 < width else text.rjust(width)


def _errors(errors: dict[str, ErrorSummary], paint: _Paint) -> list[str]:
    lines = []
    for name, error in list(errors.items())[:MAX_ERRORS]:
        steps = wording.listed(list(error.steps))
        first = f"first at {wording.clock(error.first.after)} on {error.first.host}"
        detail = f": {error.first.detail}" if error.first.detail else ""
        text = f"{wording.count(error.count)} x {name} in {steps}, {first}{detail}"
        lines += [paint(line, RED) for line in wrapped(text, indent="    ")]
    if len(errors) > MAX_ERRORS:
        lines.append(f"and {wording.number(len(errors) - MAX_ERRORS, 'more error class', 'more error classes')}")
    return lines
