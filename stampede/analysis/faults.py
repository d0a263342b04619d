"""What happened to which load host, and since when: of the control node's record, and of journals without an end.

The control node notes in run.json what it saw of its hosts. It may have been killed itself, so a journal that
ends in mid-run counts too; and what a journal shows overrules what the control node had to assume.
"""

from dataclasses import dataclass

from stampede import wording
from stampede.analysis import host_outcomes as hosts
from stampede.analysis.load_window import SECOND
from stampede.results.folder import ResultsFolder, epoch
from stampede.results.journal_columns import Event, Journal
from stampede.schema.phases import ENDED
from stampede.schema.records import EventKind

KINDS = (
    EventKind.LEFT_OUT,
    EventKind.UNREACHABLE,
    EventKind.LOST,
    EventKind.DIED,
    EventKind.NOT_COLLECTED,
)
ENDS = (EventKind.LOST, EventKind.DIED)  # after which nothing more is heard of a host


@dataclass(frozen=True)
class Fault:
    """One fault; times in seconds since 1970, None where not known; `until` also for what did not end."""

    host: str
    kind: str
    since: float | None
    until: float | None
    text: str


def find(results: ResultsFolder, journal: Journal) -> list[Fault]:
    """The faults of a run in order of time; adds a note to `results` for each that cannot be read.

    `not_collected` is left away where a journal has come home since. A host that took part, and whose journal
    has no last phase, `broke_off` at its last record, unless the control node saw it being lost or dying.
    """
    faults = _noted(results)
    at_home = {folder.name for folder in results.hosts if folder.journal}
    faults = [fault for fault in faults if not (fault.kind == EventKind.NOT_COLLECTED and fault.host in at_home)]
    explained = {fault.host for fault in faults if fault.kind in (*ENDS, EventKind.LEFT_OUT)}
    for folder in results.hosts:
        phase = hosts.phase(folder, journal)
        if folder.name in explained or phase in ENDED or not journal.readings.get(folder.name):
            continue
        last = hosts.last_record(journal, folder.name)
        if last is not None:
            text = (
                f"{folder.name} broke off while it was {phase}: its journal ends at {wording.time_of_day(last)} UTC."
            )
            faults.append(Fault(folder.name, EventKind.BROKE_OFF, last, None, text))
    return sorted(faults, key=lambda fault: fault.since or 0.0)


def events(faults: list[Fault]) -> list[Event]:
    """The faults as events, to stand beside those of the journals; an end of one is an event too."""
    found = []
    for fault in faults:
        if fault.since is not None:
            found.append(Event(int(fault.since * SECOND), fault.host, fault.kind, fault.text))
        if fault.until is not None:
            text = f"{fault.host} could be reached again."
            found.append(Event(int(fault.until * SECOND), fault.host, EventKind.REACHABLE_AGAIN, text))
    return found


def _noted(results: ResultsFolder) -> list[Fault]:
    """What run.json says; whatever is not of the agreed form is passed over with a note."""
    noted = results.run.get("faults") or []
    faults = []
    for entry in noted if isinstance(noted, list) else [noted]:
        if isinstance(entry, dict) and entry.get("host") and entry.get("kind") in KINDS:
            host, kind = str(entry["host"]), str(entry["kind"])
            text = wording.without_passwords(str(entry.get("text") or f"{host}: {kind.replace('_', ' ')}."))
            faults.append(Fault(host, kind, epoch(entry.get("since")), epoch(entry.get("until")), text))
        else:
            results.notes.append(f"A fault in {results.path / 'run.json'} was passed over: {str(entry)[:200]}.")
    return faults
