"""What became of each load host: how it started and ended, its share of the load, its agents, its faults."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stampede import wording
from stampede.analysis.load_window import SECOND, Window
from stampede.analysis.start_skew import measured_clocks, start_delays
from stampede.results.folder import HostFolder, ResultsFolder, epoch
from stampede.results.journal_columns import FAILED, INTERRUPTED, OK, JournalColumns
from stampede.schema.faults import Fault
from stampede.schema.host_summary import Agents, HostFault, HostSummary, StepCounts
from stampede.schema.phases import ENDED, Phase
from stampede.schema.records import EventKind

LONGEST_MESSAGE = 2000  # characters
# In place of the phase of hosts without a journal.
WITHOUT_JOURNAL = (EventKind.LEFT_OUT, EventKind.LOST, EventKind.DIED, EventKind.NOT_COLLECTED, "missing")


def build_hosts(
    results: ResultsFolder, journal: JournalColumns, window: Window | None, faults: list[Fault]
) -> dict[str, HostSummary]:
    """The `hosts` part of summary.json, without the figures that hosts are compared by.

    Hosts that run.json names but that left nothing are included.
    """
    hosts = {folder.name: _host(folder, journal, window) for folder in results.hosts}
    for name in (*results.run.hosts, *(fault.host for fault in faults)):
        hosts.setdefault(name, _missing_host())
    delays, clocks = start_delays(results, journal), measured_clocks(results)
    for name, host in hosts.items():
        host = _with_faults(host, [fault for fault in faults if fault.host == name], window)
        hosts[name] = replace(host, start_delay=delays.get(name) if host.took_part else None, clock=clocks.get(name))
    return dict(sorted(hosts.items(), key=lambda entry: wording.in_order(entry[0])))


def _missing_host() -> HostSummary:
    return HostSummary(
        phase="missing",
        message="",
        took_part=True,
        finished=False,
        started=None,
        last_record=None,
        holders=None,
        steps=StepCounts(0, 0, 0),
        steps_counted=None,
        steps_per_second=None,
        agents=Agents(0, 0),
        records=0,
    )


def _host(folder: HostFolder, journal: JournalColumns, window: Window | None) -> HostSummary:
    number = journal.hosts.number(folder.name)
    here = np.asarray(journal.steps.host) == number
    counts = np.bincount(np.asarray(journal.steps.outcome)[here], minlength=3)
    phase = last_phase(folder, journal)
    reading = journal.readings.get(folder.name)
    start_at = epoch(folder.state.start_at) if folder.state else None
    if start_at:
        started = wording.moment(start_at)
    else:
        started = wording.moment(window.start / SECOND) if window and counts.any() else None
    return HostSummary(
        phase=phase,
        message=wording.without_passwords(folder.state.message[:LONGEST_MESSAGE]) if folder.state else "",
        took_part=True,
        finished=phase == Phase.DONE,
        started=started,
        last_record=wording.moment(last_record(journal, folder.name)),
        holders=_holders(folder, journal, number),
        steps=StepCounts(int(counts[OK]), int(counts[FAILED]), int(counts[INTERRUPTED])),
        steps_counted=_steps_counted(folder),
        steps_per_second=None,
        agents=_agents(folder, journal, number),
        records=reading.records if reading else 0,
    )


def _with_faults(host: HostSummary, faults: list[Fault], window: Window | None) -> HostSummary:
    """The host with its faults, which decide on its phase when it took no part or left nothing."""
    kinds = {fault.kind for fault in faults}
    if EventKind.LEFT_OUT in kinds and not host.steps.total:
        host = replace(host, phase=EventKind.LEFT_OUT, took_part=False, finished=False, started=None, holders=None)
    elif host.phase == "missing":
        host = replace(host, phase=next((kind for kind in WITHOUT_JOURNAL if kind in kinds), "missing"))
    return replace(host, faults=[_fault(fault, window) for fault in faults])


def _fault(fault: Fault, window: Window | None) -> HostFault:
    return HostFault(
        kind=fault.kind,
        since=wording.moment(fault.since),
        until=wording.moment(fault.until),
        after=window.after(int(fault.since * SECOND)) if window and fault.since else None,
        text=fault.text,
    )


def _steps_counted(folder: HostFolder) -> int | None:
    """How many steps the host itself had counted when it last wrote its state."""
    counts = folder.state.steps if folder.state else None
    return counts.ok + counts.failed + counts.interrupted if counts else None


def last_phase(folder: HostFolder, journal: JournalColumns) -> str:
    """The last phase: the state's, unless the journal knows of an end that the state does not."""
    events = [event for event in journal.events if event.phase and event.host == folder.name]
    recorded = max(events, key=lambda event: event.time).text if events else ""
    stated = folder.state.phase if folder.state else None
    if stated == Phase.STARTING and recorded:
        stated = None  # a state whose phase could not be understood, too
    if stated in ENDED or (stated and recorded not in ENDED):
        return stated
    if recorded:
        return recorded
    return "unknown" if folder.journal else "missing"


def last_record(journal: JournalColumns, host: str) -> float | None:
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


def _holders(folder: HostFolder, journal: JournalColumns, number: int) -> int | None:
    """The host's holders: what its state says, else the largest number that was ready or active."""
    if folder.state and folder.state.holders:
        return folder.state.holders.total
    here = np.asarray(journal.load.host) == number
    counts = np.concatenate([journal.load.column("ready")[here], journal.load.column("active")[here]])
    counts = counts[np.isfinite(counts)]
    return int(counts.max()) if counts.size else None


def _agents(folder: HostFolder, journal: JournalColumns, number: int) -> Agents:
    """How many agents the host had and how often they were restarted: of the journal, else of the state."""
    here = np.asarray(journal.agent.host) == number
    source, restarts = np.asarray(journal.agent.source)[here], journal.agent.column("restarts")[here]
    if source.size:
        by_agent = [np.nan_to_num(restarts[source == which]).max() for which in np.unique(source)]
        return Agents(count=len(by_agent), restarts=int(sum(by_agent)))
    stated = folder.state.agents if folder.state else ()
    return Agents(count=len(stated), restarts=sum(agent.restarts for agent in stated))
