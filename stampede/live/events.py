"""What happened since a page began: phases, faults, crossed thresholds, and what the page asked of the run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from stampede.fleet.host_view import HostView
from stampede.report.charts.chart_data import Mark
from stampede.report.charts.marks import kind_in_words
from stampede.schema.faults import Fault
from stampede.schema.phases import Phase

MOST_EVENTS = 200
"""That are kept: the newest."""


@dataclass(frozen=True)
class Event:
    """One event. ``kind`` is that of a mark: phase, fault, note or threshold."""

    time: float
    """Seconds since 1970."""
    kind: str
    title: str
    host: str
    text: str


class Events:
    """The newest events, in the order in which they were seen."""

    def __init__(self) -> None:
        self._all: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._phases: set[Phase] = set()

    def newest_first(self) -> list[Event]:
        """All that are kept."""
        return sorted(self._all, key=lambda event: -event.time)

    def note(self, time: float, text: str, title: str = "run control") -> None:
        """Add one that is about the whole run."""
        self._all.append(Event(time, "note", title, "", text))

    def crossed(self, time: float, sentences: Iterable[str]) -> None:
        """Add thresholds that are crossed since this time."""
        for sentence in sentences:
            self._all.append(Event(time, "threshold", "threshold crossed", "", sentence))

    def faults(self, time: float, faults: Iterable[Fault]) -> None:
        """Add faults that began or ended."""
        for fault in faults:
            kind = "fault" if fault.until is None else "note"
            since = time if fault.until or fault.since is None else fault.since
            self._all.append(Event(since, kind, kind_in_words(fault.kind), fault.host, fault.text))

    def phases(self, time: float, hosts: Iterable[HostView]) -> None:
        """Add the phases to which a host has come before any other."""
        for host in hosts:
            if host.state and host.phase not in self._phases:
                self._phases.add(host.phase)
                self._all.append(Event(host.phase_since or time, "phase", "phase", host.name, host.phase))

    def marks(self, start: float | None) -> list[Mark]:
        """The lines across the charts."""
        return [
            Mark(event.time - start, event.kind, _mark_text(event))
            for event in sorted(self._all, key=lambda event: event.time)
            if start is not None and event.time >= start and event.text != Phase.RUNNING
        ]


def _mark_text(event: Event) -> str:
    if event.kind == "threshold":
        return "crossed: " + event.text.partition(", the threshold")[0]
    if event.kind == "phase":
        return event.text
    return f"{event.title}, {event.host}" if event.host else event.text
