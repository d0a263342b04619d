"""What became of each load host: its phase, its share of the load, its agents."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.report import wording
from controller.report.journal import FAILED, INTERRUPTED, OK, Journal
from controller.report.results_folder import HostFolder, ResultsFolder
from controller.report.window import SECOND, Window

ENDED = ("done", "stopped", "failed")  # phases after which nothing comes
LONGEST_FLEET = 200_000  # seconds for which active holders are summed second by second


def describe(results: ResultsFolder, journal: Journal, window: Window | None) -> dict[str, Any]:
    """The `hosts` part of summary.json; hosts that run.json names but that left nothing are included."""
    described = {host.name: _host(host, journal, window) for host in results.hosts}
    for name in results.run.get("hosts") or ():
        if str(name) not in described:
            described[str(name)] = _nothing()
    return described


def _nothing() -> dict[str, Any]:
    steps = {"ok": 0, "failed": 0, "interrupted": 0}
    return {
        "phase": "missing",
        "message": "nothing was collected from this host",
        "finished": False,
        "started": None,
        "last_record": None,
        "holders": None,
        "steps": steps,
        "agents": {"count": 0, "restarts": 0},
        "records": 0,
    }


def _host(folder: HostFolder, journal: Journal, window: Window | None) -> dict[str, Any]:
    number = journal.hosts.number(folder.name)
    here = np.asarray(journal.steps.host) == number
    outcome = np.asarray(journal.steps.outcome)[here]
    end = np.asarray(journal.steps.end)[here]
    phase = _phase(folder, journal)
    reading = journal.readings.get(folder.name)
    start_at = folder.state.get("start_at")
    if isinstance(start_at, int | float) and start_at > 0:
        started = wording.moment(start_at)
    else:
        started = wording.moment(window.start / SECOND) if window and end.size else None
    return {
        "phase": phase,
        "message": wording.without_passwords(str(folder.state.get("message") or "")),
        "finished": phase == "done",
        "started": started,
        "last_record": wording.moment(_last_record(journal, number)),
        "holders": _holders(folder, journal, number),
        "steps": {
            "ok": int((outcome == OK).sum()),
            "failed": int((outcome == FAILED).sum()),
            "interrupted": int((outcome == INTERRUPTED).sum()),
        },
        "agents": _agents(folder, journal, number),
        "records": reading.records if reading else 0,
    }


def _phase(folder: HostFolder, journal: Journal) -> str:
    """The last phase: the state's, unless the journal knows of an end that the state does not."""
    events = [event for event in journal.events if event.kind == "phase" and event.host == folder.name]
    noted = max(events, key=lambda event: event.time).text if events else ""
    stated = str(folder.state.get("phase") or "")
    if stated in ENDED or (stated and noted not in ENDED):
        return stated
    return noted or "unknown"


def _last_record(journal: Journal, number: int) -> float | None:
    columns = (
        (journal.steps.end, journal.steps.host),
        (journal.load.time, journal.load.host),
        (journal.agent.time, journal.agent.host),
    )
    here = [np.asarray(time)[np.asarray(host) == number] for time, host in columns]
    times = [int(time.max()) for time in here if time.size]
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
    return int(total.max())


def held(time: NDArray[np.int64], values: NDArray[np.float64], at: NDArray[np.int64]) -> NDArray[np.float64]:
    """The value last reported at each moment; 0 before the first report and from 5 s after the last."""
    if not time.size:
        return np.zeros(at.shape)
    order = np.argsort(time, kind="stable")
    time, values = time[order], values[order]
    which = np.searchsorted(time, at, side="right") - 1
    known = (which >= 0) & (at - time[np.maximum(which, 0)] <= 5 * SECOND)
    return np.where(known, values[np.maximum(which, 0)], 0.0)
