"""What Grafana makes of dashboards, by its own library in Node.js: the text in each cell, legend and number."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installs import installed, npm_install, program

MAJORS = (11, 12, 13)
SOURCES = Path(__file__).parent / "grafana"
LIMIT = 120


@dataclass(frozen=True)
class Figures:
    """What a panel shows: a table's ``columns`` by heading, a chart's ``legend`` by series and reducer, a number's
    ``stats``. ``faults`` names units, colours, properties and the like that this Grafana does not know, ``unmatched``
    the overrides that are about no field."""

    title: str
    type: str
    faults: list[str]
    unmatched: list[str]
    columns: dict[str, list[str]]
    legend: dict[str, dict[str, str]]
    stats: list[str]


def grafana(major: int) -> Path:
    """The folder where Grafana's library is installed. Raises Missing."""
    package = SOURCES / f"grafana-{major}.json"

    def install(folder: Path) -> None:
        shutil.copy(package, folder / "package.json")
        npm_install(folder)

    return installed(f"grafana-{major}", [package], install)


def figures(major: int, panels: Sequence[Mapping[str, Any]]) -> list[Figures]:
    """``panels``: each a ``panel`` of a dashboard, and the ``answers`` of InfluxDB to its queries, with ``refId``,
    ``alias``, ``resultFormat`` and ``series``. Raises Missing, and AssertionError when Grafana's library fails."""
    done = subprocess.run(
        [program("node", "nodejs"), str(SOURCES / "figures.cjs"), str(major)],
        input=json.dumps(panels),
        env={"PATH": "/usr/bin:/bin", "NODE_PATH": str(grafana(major) / "node_modules")},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [
        Figures(
            panel["title"],
            panel["type"],
            panel["faults"],
            panel["unmatched"],
            {column["heading"]: column["values"] for column in panel.get("columns", ())},
            {series["name"]: series["calcs"] for series in panel.get("legend", ())},
            panel.get("stats", []),
        )
        for panel in json.loads(done.stdout)
    ]
