"""What Grafana draws of dashboards, by its own components in a real browser: what somebody has before their eyes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chromium import COLOURED
from grafana_figures import SOURCES, grafana
from installs import command
from playwright import sync_api as playwright

MAJOR = 13
"""The one whose components are drawn; grafana_figures is about all."""
DRAWN = ("timeseries", "stat", "table")
"""Kinds of panels that are drawn. The components of the others, bar charts and timelines of states, are in Grafana's
core, not on npm."""
ORIGIN = "http://grafana.test/"
"""Nothing is asked of the network: what the page asks for is answered here."""
SCREEN = {"width": 1280, "height": 1000}
PAGE = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="panels.css"><div id="root"></div>
<script>window.grafanaBootData = { settings: { featureToggles: {} }, user: {} }; window.DRAW = %s</script>
<script src="panels.js"></script>"""
LIMIT = 30_000
"""Milliseconds until all is drawn."""
POLLING = 500
READY = """
() => {
    const coloured = %s;
    const sections = [...document.querySelectorAll("section")];
    const drawn = {
        stat: section => section.innerText.includes("\\n"),
        table: section => section.querySelector("[role=gridcell]"),
        timeseries: section => [...section.querySelectorAll("canvas")].some(coloured),
    };
    return sections.length && sections.every(section => drawn[section.dataset.type](section));
}"""
LOOK = """
section => {
    const coloured = %s;
    const all = (selector, within = section) => [...within.querySelectorAll(selector)];
    const texts = (selector, within) => all(selector, within).map(each => each.textContent.trim());
    const { right } = section.getBoundingClientRect();
    const unseen = cell => cell.scrollWidth > cell.clientWidth + 1 || cell.getBoundingClientRect().right > right + 1;
    return {
        title: section.dataset.title,
        type: section.dataset.type,
        text: section.innerText,
        headings: texts("[role=columnheader]"),
        rows: all("[role=row]").map(row => texts("[role=gridcell]", row)).filter(row => row.length),
        legend: all("tbody tr").map(row => texts("td", row).slice(1)),
        coloured: Math.max(0, ...all("canvas").map(coloured)),
        unseen: all("[role=columnheader], [role=gridcell]").filter(unseen).map(cell => cell.textContent),
    };
}"""


@dataclass(frozen=True)
class Drawn:
    """What is to be seen of a panel: all of its ``text``; a table's ``headings`` and ``rows``, and ``unseen`` cells,
    which are cut or off the screen; a chart's ``legend``, a row for each series, and its ``coloured`` pixels."""

    title: str
    type: str
    text: str
    headings: list[str]
    rows: list[list[str]]
    legend: list[list[str]]
    coloured: int
    unseen: list[str]


def drawn(browser: playwright.Browser, files: Mapping[str, Path], panels: Sequence[Mapping[str, Any]]) -> list[Drawn]:
    """``panels``: as for figures(), with the time that each shows, ``from`` and ``to`` in ms since 1970; those that
    are not DRAWN are left out. ``files`` are those of bundled(). Raises AssertionError when the page complains.
    """
    chosen = [each for each in panels if each["panel"]["type"] in DRAWN]
    shown = json.dumps({"major": MAJOR, "panels": chosen}).replace("</", "<\\/")
    complaints: list[str] = []

    def answer(route: playwright.Route) -> None:
        name = route.request.url.removeprefix(ORIGIN)
        if not name:
            route.fulfill(body=PAGE % shown, content_type="text/html")
        elif name in files:
            route.fulfill(path=files[name])
        elif name.endswith(".svg"):  # an icon
            route.fulfill(body='<svg xmlns="http://www.w3.org/2000/svg"/>', content_type="image/svg+xml")
        else:  # a font
            route.abort()

    page = browser.new_page(viewport=SCREEN)
    try:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.route("**", answer)
        page.goto(ORIGIN)
        with suppress(playwright.TimeoutError):  # whoever looks sees what is missing
            page.wait_for_function(READY % COLOURED, timeout=LIMIT, polling=POLLING)
        found = [Drawn(**section.evaluate(LOOK % COLOURED)) for section in page.locator("section").element_handles()]
    finally:
        page.close()
    assert complaints == []
    return found


def bundled(folder: Path) -> dict[str, Path]:
    """The page's script and style, by name, in ``folder``. Raises Missing."""
    modules = grafana(MAJOR) / "node_modules"
    as_data = [f"--loader:.{ending}=dataurl" for ending in ("svg", "woff2", "png", "ttf")]
    command(
        modules / ".bin/esbuild",
        SOURCES / "panels.jsx",
        *("--bundle", "--format=iife", "--jsx=transform", "--log-level=error", f"--outdir={folder}", *as_data),
        '--define:process.env.NODE_ENV="production"',
        NODE_PATH=str(modules),
    )
    return {file.name: file for file in folder.glob("panels.*")}
