"""The summary in a terminal: the verdict in a line, a table of the steps, what failed; 80 columns."""

import os
import textwrap
from typing import Any, TextIO

from stampede import wording

WIDTH = 80
SHORTEST_NAME = 12
MOST_ERRORS = 10

BOLD, RED, GREEN, YELLOW, FAINT = "1", "31", "32", "33", "2"
OUTCOME_COLOURS = {
    "passed": GREEN,
    "failed": RED,
    "thresholds": RED,
    "broken_off": RED,
    "no_load": RED,
    "stopped": YELLOW,
}


def table(summary: dict[str, Any], stream: TextIO | None = None) -> str:
    """The summary as text, without a newline at its end.

    It is coloured when `stream`, where it will be written, is a terminal and NO_COLOR is unset or empty.
    """
    paint = _Paint(coloured=stream is not None and stream.isatty() and not os.environ.get("NO_COLOR"))
    run = summary["run"]
    colour = OUTCOME_COLOURS[run["outcome"]]
    findings = [
        (finding["about"] == "hosts", _finding(finding, paint))
        for finding in run["findings"]
        if finding["about"] != "thresholds"  # all of them have a place of their own
    ]
    parts = [
        [paint(line, BOLD, colour) for line in wrapped(run["headline"])],
        *(lines for of_hosts, lines in findings if of_hosts),  # what happened to a host explains what follows
        _thresholds(summary["thresholds"], paint),
        _steps(summary["steps"], paint),
        _errors(summary["errors"], paint),
        *(lines for of_hosts, lines in findings if not of_hosts),
    ]
    parts += [[paint(line, FAINT) for line in wrapped(note)] for note in summary["journal"]["notes"]]
    return "\n\n".join("\n".join(part) for part in parts if part)


class _Paint:
    def __init__(self, *, coloured: bool) -> None:
        self._coloured = coloured

    def __call__(self, text: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self._coloured else text


def _finding(finding: dict[str, Any], paint: _Paint) -> list[str]:
    lines = wrapped(finding["text"])
    return [paint(line, YELLOW) for line in lines] if finding["warning"] else lines


def wrapped(text: str, indent: str = "") -> list[str]:
    """The text in lines of 80 columns."""
    return textwrap.wrap(printable(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def printable(text: str) -> str:
    """The text without control characters: what a service answered must not steer the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _thresholds(found: list[dict[str, Any]], paint: _Paint) -> list[str]:
    lines = []
    for its in found:
        mark, colour = ("✓", GREEN) if its["passed"] else ("✗", RED)
        lines += [paint(line, colour) for line in wrapped(f"{mark} {its['sentence']}", indent="  ")]
    return lines


def _steps(steps: dict[str, Any], paint: _Paint) -> list[str]:
    if not steps:
        return []
    rows = []
    for name, its in steps.items():
        service, response = its["service_time"], its["response_time"]
        times = [*(service[figure] for figure in ("p50", "p95", "p99", "max")), response["p95"]]
        cells = [wording.count(its["ok"]), wording.count(its["failed"]), *map(wording.seconds, times)]
        rows.append((printable(name), cells, its["failed"] > 0))
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


def _ruled(text: str, width: int) -> str:
    """A heading over several columns."""
    return f" {text} ".center(width, "-") if len(text) + 2 < width else text.rjust(width)


def _errors(errors: dict[str, Any], paint: _Paint) -> list[str]:
    lines = []
    for name, error in list(errors.items())[:MOST_ERRORS]:
        where = wording.listed(list(error["steps"]))
        first = f"first at {wording.clock(error['first']['after'])} on {error['first']['host']}"
        detail = f": {error['first']['detail']}" if error["first"]["detail"] else ""
        told = wrapped(f"{wording.count(error['count'])} x {name} in {where}, {first}{detail}", indent="    ")
        lines += [paint(line, RED) for line in told]
    if len(errors) > MOST_ERRORS:
        lines.append(f"and {wording.number(len(errors) - MOST_ERRORS, 'more error class', 'more error classes')}")
    return lines
