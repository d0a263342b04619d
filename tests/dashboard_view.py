"""Stampede's dashboards, with their queries as Grafana would ask them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from points import Server

DASHBOARDS = {file.stem: file for file in sorted((Path(__file__).parents[1] / "dashboards").glob("*.json"))}
INTERVAL = 5
"""Seconds between the points of a chart."""
TAGS = {"time", "host", "step", "agent", "run", "outcome", "kind", "key"}


@dataclass
class View:
    """A dashboard as somebody looks at it: its variables' values, by name, and the time range, in ms since 1970."""

    dashboard: dict[str, Any]
    values: dict[str, list[str]]
    begin: int = 0
    end: int = 0

    @classmethod
    def of(cls, name: str, server: Server, run: str, baseline: str, **chosen: list[str]) -> View:
        """The dashboard of that name over the run's time; ``chosen`` are its variables' values, ``.*`` is All."""
        dashboard = json.loads(DASHBOARDS[name].read_text())
        view = cls(dashboard, {"run": [run], "baseline": [baseline], "host": [".*"], "step": [".*"], **chosen})
        moments = [row["time"] // 1_000_000 for row in server.query(f"SELECT * FROM load WHERE run = '{run}'")]
        view.begin, view.end = min(moments) - 5000, max(moments) + 5000
        for variable in dashboard["templating"]["list"]:
            if variable["name"] == "offset":
                rows = server.query(view.interpolated(variable["query"]))
                view.values["offset"] = [str(row["elapsed"]) for row in rows]
        return view

    def interpolated(self, text: str, shift: int = 0) -> str:
        """The text as Grafana asks it, ``shift`` ms earlier."""
        time = f"time >= {self.begin - shift}ms and time <= {self.end - shift}ms"
        text = text.replace("$timeFilter", time).replace("$__interval_ms", str(INTERVAL * 1000))
        text = text.replace("$__interval", f"{INTERVAL}s")
        text = text.replace("${__to}", str(self.end - shift))
        text = re.sub(r"\$\{(\w+):regex\}", lambda found: as_regex(self.values[found[1]]), text)
        return re.sub(r"\$\{(\w+)\}", lambda found: self.values[found[1]][0], text)

    def queries(self) -> Iterator[tuple[str, str]]:
        """Every query, after what it is for."""
        for variable in self.dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"variable {variable['name']}", self.interpolated(variable["query"])
        for annotation in self.dashboard["annotations"]["list"]:
            yield f"annotation {annotation['name']}", self.interpolated(annotation["target"]["query"])
        for panel, targets in self.panels():
            for target in targets:
                yield f"panel {panel['title']}, {target['refId']} {target['alias']}".strip(), target["query"]

    def panels(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Every panel with its queries, which are as Grafana asks them."""
        for panel in self.dashboard["panels"]:
            shift = self.shift(panel)
            targets = panel.get("targets", ())
            yield panel, [target | {"query": self.interpolated(target["query"], shift)} for target in targets]

    def shift(self, panel: dict[str, Any]) -> int:
        """How much earlier than the others a panel looks, in ms."""
        return int(self.interpolated(panel.get("timeShift", "0s")).removesuffix("s")) * 1000

    def unanswered(self, server: Server) -> list[str]:
        """What the server has no data for. Fails when it does not understand a query."""
        left = []
        for name, text in self.queries():
            assert "${" not in text and "$_" not in text, f"{name}: {text}"
            rows = server.query(text)
            if not any(value is not None for row in rows for column, value in row.items() if column not in TAGS):
                left.append(name)
        return left


def as_regex(chosen: list[str]) -> str:
    """Values as Grafana's format ``regex`` writes them."""
    if chosen == [".*"]:
        return ".*"
    escaped = [re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", value) for value in chosen]
    return f"({'|'.join(escaped)})" if len(escaped) > 1 else escaped[0]
