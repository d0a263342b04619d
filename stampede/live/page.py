"""The page of a run in progress: its figures as they stand, once a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stampede import wording
from stampede.analysis.generator import BUSY, LATE
from stampede.fleet.host_view import HostView
from stampede.fleet.standings import Crossings, standings
from stampede.live.events import Events
from stampede.live.figures import page_figures
from stampede.live.history import WORST, History
from stampede.live.live_charts import build_live_charts
from stampede.live.stages import next_stage, stage_of
from stampede.report.template import STYLES, json_text, render_page
from stampede.schema.faults import Fault
from stampede.schema.json_form import to_json
from stampede.schema.state import StageState

TEMPLATE = Path(__file__).with_name("page.html.j2")
SCRIPTS = ("uPlot.iife.min.js", "charts.js", "figures.js", "run_charts.js", "live.js")


HEARD = 2.0
"""Seconds after which hosts have said that they are in another stage."""


class LivePage:
    """What the page of one run shows. ``now`` is always in seconds since 1970."""

    def __init__(self, run_id: str, hosts: Sequence[HostView]) -> None:
        self.events = Events()
        self.stop_asked = ""
        """What was said to the asking for the end of the run; empty as long as nobody has."""
        self.next_at = 0.0
        """When the next stage begins that was asked for, in seconds since 1970."""
        self._now = 0.0
        self._run_id = run_id
        self._hosts = hosts
        self._history = History(len(hosts))
        self._crossings = Crossings()
        self._texts: dict[str, Any] = {}
        self._stage: StageState | None = None
        self._shown: dict[str, str] = {}

    @property
    def headline(self) -> str:
        """How the run stands, in a sentence."""
        return f"{self._texts.get('headline', 'Nothing is known yet')}."

    def note(self, faults: Sequence[Fault], now: float) -> list[str]:
        """Take in what the hosts say now, and the faults that began or ended; returns what is worth telling."""
        self._now = now
        found = standings(self._hosts)
        crossed = self._crossings.new(found, now)
        self.events.faults(now, faults)
        self.events.crossed(now, crossed)
        self.events.phases(now, self._hosts)
        self._history.note(self._hosts, now)
        self._texts = to_json(page_figures(self._hosts, found, self._history, self.events, now))
        self._stage = stage_of(self._hosts)
        self._shown.clear()
        return [*(fault.text for fault in faults), *crossed]

    def data(self, host: str) -> str:
        """The page's figures as JSON; ``host`` is the one whose load generator is shown."""
        names = [view.name for view in self._hosts]
        host = host if host in names or len(names) > 1 else names[0]
        host = host if host in names else WORST
        if host not in self._shown:
            charts = build_live_charts(self._history, self.events.marks(self._history.start), host)
            self._shown[host] = json_text(
                self._texts
                | {
                    "charts": to_json(charts) | {"limits": {"cpu": BUSY, "lag": LATE}},
                    "host": host,
                    "host_names": [WORST, *names] if len(names) > 1 else names,
                    "stop_asked": self.stop_asked,
                    "next_stage": self._next_stage(),
                }
            )
        return self._shown[host]

    def _next_stage(self) -> int | None:
        """The number of the stage that may be begun from the page."""
        order = next_stage(self._stage, len(self._hosts), self._now)
        return order.stage if order and self.may_go_on else None

    @property
    def may_go_on(self) -> bool:
        """Whether the stage that was asked for last, if any, has begun on all hosts that are heard of."""
        return self._now > self.next_at + HEARD

    def html(self, key: str) -> str:
        """The page itself. ``key`` allows its script to control the run."""
        return render_page(
            TEMPLATE,
            SCRIPTS,
            {"key": key},
            styles=(*STYLES, "live.css"),
            connects=True,
            run_id=self._run_id,
            hosts=wording.number(len(self._hosts), "load host"),
        )
