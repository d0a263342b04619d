"""The moving picture of a run: drawn from its recording, small, and safe to show."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from lxml import etree

from website.pages import REPOSITORY
from website.run_picture import END, LONGEST_GAP, SHORTEST, SPEED, draw, record, screens

IMAGES = REPOSITORY / "docs/images"
SVG = "{http://www.w3.org/2000/svg}"


def cast(folder: Path, *events: tuple[float, str]) -> Path:
    head = {"version": 2, "width": 20, "height": 4, "title": "make run"}
    lines = [json.dumps(head), *(json.dumps([at, "o", text]) for at, text in events)]
    (folder / "run.cast").write_text("\n".join(lines) + "\n")
    return folder / "run.cast"


def test_the_picture_of_the_readme_is_that_of_its_recording_and_small() -> None:
    picture = IMAGES / "run.svg"
    assert picture.read_text() == draw([*screens(IMAGES / "run.cast")])
    assert picture.stat().st_size < 300_000


def test_the_recording_is_of_a_run_that_passed_and_names_no_place_of_the_machine() -> None:
    text = (IMAGES / "run.cast").read_text()
    assert "Passed: no step failed" in text
    assert "Report: ~/stampede/results/" in text
    assert "into /" not in text


def test_each_output_is_a_screen_and_waits_are_cut(tmp_path: Path) -> None:
    shown = [*screens(cast(tmp_path, (0.01, "one\r\n"), (100.0, "two\r\n"), (101.0, "\x1b[1;31mthree\x1b[0m <&>")))]
    assert [wait for wait, _ in shown] == [SHORTEST, LONGEST_GAP / SPEED, 1 / SPEED, END]
    assert shown[0][1] == ('<tspan class="b">$ make run</tspan>', "", "", "")
    assert shown[-1][1][1:] == ("one", "two", '<tspan fill="#ff8b81" class="b">three</tspan> &lt;&amp;&gt;')


def test_a_line_that_is_drawn_anew_in_place_is_there_once(tmp_path: Path) -> None:
    shown = [*screens(cast(tmp_path, (1.0, "one"), (2.0, "\r\x1b[Ktwo")))]
    assert [screen[1] for _, screen in shown] == ["", "one", "two"]


def test_it_is_svg_without_scripts_that_loads_nothing(tmp_path: Path) -> None:
    tree = etree.fromstring(draw([*screens(cast(tmp_path, (1.0, "<script>")))]).encode())
    assert {element.tag.removeprefix(SVG) for element in tree.iter()} == {
        *("svg", "style", "defs", "text", "tspan", "rect", "g", "use")
    }
    ids = {text.get("id") for text in tree.iter(f"{SVG}text")}
    assert {use.get("href") for use in tree.iter(f"{SVG}use")} == {f"#{name}" for name in ids}


def test_a_command_that_is_not_there_is_told_by_the_exit_code(tmp_path: Path) -> None:
    assert record(tmp_path / "run.cast", ["no-such-command"]) == 127


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_is_recorded_in_a_terminal_with_its_exit_code(tmp_path: Path, code: int) -> None:
    file = tmp_path / "command.py"
    file.write_text(f"import os, sys; print(os.isatty(1), os.get_terminal_size()[0], os.getcwd()); sys.exit({code})")
    assert record(tmp_path / "run.cast", [sys.executable, str(file)]) == code
    assert "True 118 ~/stampede" in [*screens(tmp_path / "run.cast")][-1][1]
