"""What went wrong with which load host, and since when: from the control node's record and from the journals.

The control node notes in run.json what it saw of its hosts. It may have been killed itself, so a journal that
ends in mid-run counts too; and what a journal shows overrules what the control node had to assume.
"""

from dataclasses import replace

from stampede import wording
from stampede.analysis import host_outcomes
from stampede.analysis.load_window import SECOND
from stampede.results.folder import ResultsFolder, epoch
from stampede.results.journal_columns import Event, JournalColumns
from stampede.schema.faults import FINAL, NOTED, Fault
from stampede.schema.phases import ENDED
from stampede.schema.records import EventKind
from stampede.schema.run_record import RUN_FILE


def find_faults(results: ResultsFolder, journal: JournalColumns) -> list[Fault]:
    """The faults of a run in order of time; adds a note to `results` for each that cannot be read.

    `not_collected` is dropped if the journal has been collected since. A host that took part, and whose journal
    has no final phase, `broke_off` at its last record, unless the control node saw it being lost or dying.
    """
    faults = _noted_faults(results)
    collected = {folder.name for folder in results.hosts if folder.journal}
    faults = [fault for fault in faults if not (fault.kind == EventKind.NOT_COLLECTED and fault.host in collected)]
    explained = {fault.host for fault in faults if fault.kind in (*FINAL, EventKind.LEFT_OUT)}
    for folder in results.hosts:
        phase = host_outcomes.last_phase(folder, journal)
        if folder.name in explained or phase in ENDED or not journal.readings.get(folder.name):
            continue
        last = host_outcomes.last_record(journal, folder.name)
        if last is not None:
            text = (
                f"{folder.name} ended abruptly while it was {phase}: its journal ends at "
                f"{wording.time_of_day(last)} UTC."
            )
            faults.append(Fault(folder.name, EventKind.BROKE_OFF, last, None, text))
    return sorted(faults, key=lambda fault: fault.since or 0.0)


def fault_events(faults: list[Fault]) -> list[Event]:
    """The faults as events, to stand beside those of the journals; the end of a fault is an event too."""
    events = []
    for fault in faults:
        if fault.since is not None:
            events.append(Event(int(fault.since * SECOND), fault.host, fault.kind, fault.text))
        if fault.until is not None:
            text = f"{fault.host} could be reached again."
            events.append(Event(int(fault.until * SECOND), fault.host, EventKind.REACHABLE_AGAIN, text))
    return events


def _noted_faults(results: ResultsFolder) -> list[Fault]:
    """The faults in run.json; an entry of any other kind is ignored with a note."""
    faults = []
    for fault in results.run.faults:
        if fault.kind in NOTED and fault.host:
            text = wording.without_passwords(fault.text or f"{fault.host}: {fault.kind.replace('_', ' ')}.")
            faults.append(replace(fault, since=epoch(fault.since), until=epoch(fault.until), text=text))
        else:
            results.notes.append(f"A fault in {results.path / RUN_FILE} was ignored: {str(fault)[:200]}.")
    return faults
