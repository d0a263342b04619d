"""What became of each load host: how it began and ended, its share of the load, its figures, its agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stampede import wording
from stampede.analysis import start_skew as start
from stampede.analysis.load_window import SECOND, Window
from stampede.results.folder import HostFolder, ResultsFolder, epoch
from stampede.results.journal_columns import FAILED, INTERRUPTED, OK, Journal
from stampede.schema.phases import ENDED, Phase
from stampede.schema.records import Outcome

if TYPE_CHECKING:
    from stampede.analysis.faults import Fault

NOTHING = ("left_out", "lost", "died", "not_collected", "missing")  # phases of hosts without a journal
LONGEST_FLEET = 200_000  # seconds for which active holders are summed second by second


def describe(
    results: ResultsFolder, journal: Journal, window: Window | None, faults: list[Fault]
) -> dict[str, dict[str, Any]]:
    """The `hosts` part of summary.json; hosts that run.json names but that left nothing are included."""
    described = {host.name: _host(host, journal, window) for host in results.hosts}
    named = [*(results.run.get("hosts") or ()), *(fault.host for fault in faults)]
    for name in map(str, named):
        if name not in described:
            described[name] = _nothing()
    delays, clocks = start.delays(results, journal), start.clocks(results)
    for name, host in described.items():
        its = [fault for fault in faults if fault.host == name]
        kinds = {fault.kind for fault in its}
        if "left_out" in kinds and not sum(host["steps"].values()):
            host |= {"phase": "left_out", "took_part": False, "finished": False, "started": None, "holders": None}
        elif host["phase"] == "missing":
            host["phase"] = next((kind for kind in NOTHING if kind in kinds), "missing")
        host["start_delay"] = delays.get(name) if host["took_part"] else None
        host["clock"] = clocks.get(name)
        host["faults"] = [_fault(fault, window) for fault in its]
    return dict(sorted(described.items(), key=lambda entry: wording.in_order(entry[0])))


def _nothing() -> dict[str, Any]:
    steps = {"ok": 0, "failed": 0, "interrupted": 0}
    return {
        "phase": "missing",
        "message": "",
        "took_part": True,
        "finished": False,
        "started": None,
        "last_record": None,
        "holders": None,
        "steps": steps,
        "steps_counted": None,
        "steps_per_second": None,
        "agents": {"count": 0, "restarts": 0},
        "records": 0,
    }


def _host(folder: HostFolder, journal: Journal, window: Window | None) -> dict[str, Any]:
    number = journal.hosts.number(folder.name)
    here = np.asarray(journal.steps.host) == number
    counts = np.bincount(np.asarray(journal.steps.outcome)[here], minlength=3)
    ended_as = phase(folder, journal)
    reading = journal.readings.get(folder.name)
    start_at = epoch(folder.state.get("start_at"))
    if start_at:
        started = wording.moment(start_at)
    else:
        started = wording.moment(window.start / SECOND) if window and counts.any() else None
    seconds = window.seconds if window else 0.0
    return {
        "phase": ended_as,
        "message": wording.without_passwords(str(folder.state.get("message") or "")),
        "took_part": True,
        "finished": ended_as == Phase.DONE,
        "started": started,
        "last_record": wording.moment(last_record(journal, folder.name)),
        "holders": _holders(folder, journal, number),
        "steps": {"ok": int(counts[OK]), "failed": int(counts[FAILED]), "interrupted": int(counts[INTERRUPTED])},
        "steps_counted": _counted(folder),
        "steps_per_second": int(counts[OK]) / seconds if seconds > 0 else None,
        "agents": _agents(folder, journal, number),
        "records": reading.records if reading else 0,
    }


def _fault(fault: Fault, window: Window | None) -> dict[str, Any]:
    return {
        "kind": fault.kind,
        "since": wording.moment(fault.since),
        "until": wording.moment(fault.until),
        "after": window.after(int(fault.since * SECOND)) if window and fault.since else None,
        "text": fault.text,
    }


def _counted(folder: HostFolder) -> int | None:
    """How many steps the host itself had counted when it last wrote its state."""
    counts = folder.state.get("steps")
    if not isinstance(counts, dict):
        return None
    return sum(its for its in map(counts.get, Outcome) if isinstance(its, int))


def phase(folder: HostFolder, journal: Journal) -> str:
    """The last phase: the state's, unless the journal knows of an end that the state does not."""
    events = [event for event in journal.events if event.phase and event.host == folder.name]
    noted = max(events, key=lambda event: event.time).text if events else ""
    stated = str(folder.state.get("phase") or "")
    if stated in ENDED or (stated and noted not in ENDED):
        return stated
    if noted:
        return noted
    return "unknown" if folder.journal else "missing"


def last_record(journal: Journal, host: str) -> float | None:
    """When the host's last record was made, in seconds since 1970; None when it has none."""
    number = journal.hosts.number(host)
    columns = (
        (journal.steps.end, journal.steps.host),
        (journal.load.time, journal.load.host),
        (journal.agent.time, journal.agent.host),
    )
    here = [np.asarray(time)[np.asarray(owner) == number] for time, owner in columns]
    times = [int(time.max()) for time in here if time.size]
    times += [event.time for event in journal.events if event.host == host]
    return max(times) / SECOND if times else None


def _holders(folder: HostFolder, journal: Journal, number: int) -> int | None:
    """The host's holders: what its state says, else the most that were ready or active."""
    stated = folder.state.get("holders")
    if isinstance(stated, dict) and isinstance(stated.get("total"), int):
        return int(stated["total"])
    here = np.asarray(journal.load.host) == number
    counts = np.concatenate([journal.load.column("ready")[here], journal.load.column("active")[here]])
    counts = counts[np.isfinite(counts)]
    return int(counts.max()) if counts.size else None


def _agents(folder: HostFolder, journal: Journal, number: int) -> dict[str, int]:
    """How many agents the host had and how often they were restarted; of the journal, else of the state."""
    here = np.asarray(journal.agent.host) == number
    source, restarts = np.asarray(journal.agent.source)[here], journal.agent.column("restarts")[here]
    if source.size:
        most = [np.nan_to_num(restarts[source == which]).max() for which in np.unique(source)]
        return {"count": len(most), "restarts": int(sum(most))}
    stated = [agent for agent in folder.state.get("agents") or () if isinstance(agent, dict)]
    return {"count": len(stated), "restarts": sum(int(agent.get("restarts") or 0) for agent in stated)}


def peak_active(journal: Journal, window: Window | None) -> int | None:
    """The most holders that were active at once, summed over the hosts second by second."""
    active = active_by_second(journal, window)
    return None if active is None else int(active.max())


def active_by_second(journal: Journal, window: Window | None) -> NDArray[np.float64] | None:
    """How many holders were active in each second of the load, on all hosts; None when that was not sampled."""
    if window is None or not len(journal.load.time):
        return None
    seconds = min(int(window.seconds) + 1, LONGEST_FLEET)
    edges = window.start + np.arange(seconds + 1, dtype=np.int64) * SECOND
    total = np.zeros(seconds)
    time, host, active = (
        np.asarray(journal.load.time),
        np.asarray(journal.load.host),
        journal.load.column("active"),
    )
    for number in np.unique(host):
        here = (host == number) & np.isfinite(active)
        total += held(time[here], active[here], edges[1:])
    return total


def held(time: NDArray[np.int64], values: NDArray[np.float64], at: NDArray[np.int64]) -> NDArray[np.float64]:
    """The value last reported at each moment; 0 before the first report and from 5 s after the last."""
    if not time.size:
        return np.zeros(at.shape)
    order = np.argsort(time, kind="stable")
    time, values = time[order], values[order]
    which = np.searchsorted(time, at, side="right") - 1
    known = (which >= 0) & (at - time[np.maximum(which, 0)] <= 5 * SECOND)
    return np.where(known, values[np.maximum(which, 0)], 0.0)
