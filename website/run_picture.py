"""Pictures of a run: its terminal, recorded and then drawn as a moving SVG, and the top of its report.

    .venv/bin/python -m website.run_picture record docs/images/run.cast make run
    .venv/bin/python -m website.run_picture draw docs/images/run.cast docs/images/run.svg
    .venv/bin/python -m website.run_picture shoot results/RUN/report.html docs/images/report.png

A recording is an asciicast (version 2, https://docs.asciinema.org/manual/asciicast/v2/), so other players have it
too. The SVG has a background of its own, so that it can be read on light and dark pages, and stands still where the
reader has asked for less motion: it then shows the end.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import shutil
import struct
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby, pairwise
from pathlib import Path

import pyte
from playwright.sync_api import sync_playwright

COLUMNS, ROWS = 118, 32
HOME = "~/stampede"
"""What the folder of the checkout is called: where it is on this machine is nobody's business."""
LONGEST_GAP, SPEED = 3.0, 5.0
"""Seconds without output are cut to the first, and all time is divided by the second."""
SHORTEST, END = 0.12, 6.0
"""Seconds that a screen is shown at least, and the last one."""
CELL, LINE, SIZE, MARGIN = 7.8, 18, 13, 16
COLOURS = {
    "default": "#d5dbe1",
    "black": "#8b949e",
    "red": "#ff8b81",
    "green": "#7ee08f",
    "brown": "#f0c674",
    "blue": "#8ab8ff",
    "magenta": "#d6a8ff",
    "cyan": "#7fdbe6",
    "white": "#ffffff",
}
"""What a terminal calls them; bright ones are shown as these."""

type Screen = tuple[str, ...]
"""The rows of a terminal, as SVG: what stands in a ``text``."""


def record(file: Path, command: list[str]) -> int:
    """Run a command in a terminal of its own and write what it shows, with ``HOME`` for the working directory.

    Returns its exit code.
    """
    size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
    process, terminal = pty.fork()
    if process == 0:
        try:
            fcntl.ioctl(pty.STDOUT_FILENO, termios.TIOCSWINSZ, size)
            os.environ["TERM"] = "xterm-256color"
            os.execvp(command[0], command)  # noqa: S606  the user's own command
        finally:
            os._exit(127)  # there is no such command
    started = time.monotonic()
    with file.open("w", encoding="utf-8") as cast:
        cast.write(json.dumps({"version": 2, "width": COLUMNS, "height": ROWS, "title": " ".join(command)}) + "\n")
        while output := _read(terminal):
            seconds = round(time.monotonic() - started, 2)
            shown = output.decode(errors="replace").replace(str(Path.cwd()), HOME)
            cast.write(json.dumps([seconds, "o", shown]) + "\n")
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the command has ended
        return b""


def screens(file: Path) -> Iterator[tuple[float, Screen]]:
    """What the terminal shows, and for how many seconds."""
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    about, events = json.loads(head), [json.loads(line) for line in lines]
    terminal = pyte.Screen(about["width"], about["height"])
    stream = pyte.Stream(terminal)
    stream.feed(f"\x1b[1m$ {about['title']}\x1b[0m\r\n")
    times = [0.0, *(event[0] for event in events)]
    waits = [max(min(later - former, LONGEST_GAP) / SPEED, SHORTEST) for former, later in pairwise(times)] + [END]
    for wait, event in zip(waits, [None, *events], strict=True):
        if event:
            stream.feed(event[2])
        yield wait, tuple(_row(terminal, number) for number in range(about["height"]))


def _row(terminal: pyte.Screen, number: int) -> str:
    """One row: its characters, in spans where they are coloured or bold."""
    cells = [terminal.buffer[number][column] for column in range(terminal.columns)]
    while cells and cells[-1].data == " ":
        cells.pop()
    spans = []
    for (colour, is_bold), group in groupby(cells, key=lambda cell: (cell.fg.removeprefix("bright"), cell.bold)):
        text = escape("".join(cell.data for cell in group), quote=False)
        looks = (f' fill="{COLOURS.get(colour, "#" + colour)}"' if colour != "default" else "") + (
            ' class="b"' if is_bold else ""
        )
        spans.append(f"<tspan{looks}>{text}</tspan>" if looks else text)
    return "".join(spans)


def draw(shown: Sequence[tuple[float, Screen]]) -> str:
    """The SVG: all screens one below the other, of which a window shows one at a time."""
    height = ROWS * LINE + 2 * MARGIN
    width = round(COLUMNS * CELL) + 2 * MARGIN
    total = sum(wait for wait, _ in shown)
    names: dict[str, str] = {}
    frames, steps, passed = [], [], 0.0
    for number, (wait, screen) in enumerate(shown):
        rows = [(row, names.setdefault(text, f"l{len(names)}")) for row, text in enumerate(screen) if text]
        uses = "".join(f'<use href="#{name}" y="{row * LINE}"/>' for row, name in rows)
        frames.append(f'<g transform="translate(0 {number * height})">{uses}</g>')
        steps.append(f"{passed / total:.3%}{{transform:translateY({-number * height}px)}}")
        passed += wait
    last = f"translateY({-(len(shown) - 1) * height}px)"
    lines = "\n".join(f'<text id="{name}">{text}</text>' for text, name in names.items())
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" role="img" aria-label="A terminal in which make run load-tests the reference services">
<style>
text {{ font: {SIZE}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: {COLOURS["default"]}; \
white-space: pre }}
.b {{ font-weight: bold }}
.film {{ animation: film {total:.2f}s step-end infinite; transform: {last} }}
@media (prefers-reduced-motion: reduce) {{ .film {{ animation: none }} }}
@keyframes film {{ {" ".join(steps)} 100%{{transform:{last}}} }}
</style>
<defs>
{lines}
</defs>
<rect width="100%" height="100%" rx="8" fill="#1c2128"/>
<svg x="{MARGIN}" y="{MARGIN + SIZE}" width="{width - 2 * MARGIN}" height="{height}" style="overflow: visible">
<g class="film">
{"\n".join(frames)}
</g>
</svg>
</svg>
"""


def shoot(report: Path, picture: Path) -> None:
    """Write a picture of the top of a report, as Chromium shows it."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1500})
        page.goto(report.resolve().as_uri())
        page.screenshot(path=picture)
        browser.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record", help="run a command and record its terminal")
    recording.add_argument("cast", type=Path)
    recording.add_argument("command", nargs=argparse.REMAINDER)
    drawing = verbs.add_parser("draw", help="draw a recording")
    drawing.add_argument("cast", type=Path)
    drawing.add_argument("svg", type=Path)
    shooting = verbs.add_parser("shoot", help="take a picture of the top of a report")
    shooting.add_argument("report", type=Path)
    shooting.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "shoot":
        shoot(arguments.report, arguments.picture)
        return 0
    if arguments.verb == "record":
        return record(arguments.cast, arguments.command)
    arguments.svg.write_text(draw([*screens(arguments.cast)]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
