"""How nearly together the load hosts began, and how far their clocks can be trusted in saying so."""

from typing import Any, TypeGuard

from stampede.analysis.load_window import SECOND
from stampede.results.folder import ResultsFolder
from stampede.results.journal_columns import Journal
from stampede.schema.phases import Phase


def delays(results: ResultsFolder, journal: Journal) -> dict[str, float]:
    """How late each host began, in seconds after the common start time, by the host's own clock.

    It is the time of the host's event "running"; hosts that never came to it, and all of them where no start
    time is known, are not among them.
    """
    start_at = results.start_at
    if start_at is None:
        return {}
    began: dict[str, int] = {}
    for event in journal.events:
        if event.phase == Phase.RUNNING:
            began[event.host] = min(event.time, began.get(event.host, event.time))
    return {host: (time - int(start_at * SECOND)) / SECOND for host, time in began.items()}


def skew(delays: dict[str, float]) -> float | None:
    """Seconds between the first host's beginning and the last one's; None with fewer than two hosts."""
    return max(delays.values()) - min(delays.values()) if len(delays) > 1 else None


def clocks(results: ResultsFolder) -> dict[str, dict[str, float]]:
    """Of each host whose clock was measured before the start: `offset` (its clock less the control node's) and
    `uncertainty` (the offset is right to plus or minus this), in seconds."""
    measured = results.run.get("clocks")
    found = {}
    for host, its in measured.items() if isinstance(measured, dict) else ():
        offset, uncertainty = map(its.get, ("offset", "uncertainty")) if isinstance(its, dict) else (None, None)
        if _is_number(offset) and _is_number(uncertainty):
            found[str(host)] = {"offset": float(offset), "uncertainty": abs(float(uncertainty))}
    return found


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
