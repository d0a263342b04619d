"""Finds what a run left in its results folder: run.json and, per host, journal, state, record and script.

Only the journals are needed. A controller that was killed leaves no final state, a host that was never armed
leaves no record. Files are read as far as they can be understood; what cannot is noted in sentences.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stampede import wording
from stampede.results.errors import ReportError
from stampede.schema import state
from stampede.schema.json_form import from_json, parse
from stampede.schema.run_record import HOST_FILE, RUN_FILE, HostRecord, RunRecord
from stampede.schema.state import LATEST, HostState, read_state
from stampede.schema.teardown_file import TEARDOWN_FILE, TeardownRecord

JOURNALS = ("journal.lp", "journal.lp.gz")  # the plain one is the original
LONGEST_SCRIPT = 400_000  # characters
LONGEST_RECORD = 20_000_000  # bytes of run.json, host.json or a state
LONGEST_NOTE = 300  # characters of what is wrong with one of them
MOST_NOTES = 5  # about one of them


@dataclass
class HostFolder:
    """What one host left."""

    name: str
    journal: Path | None
    state: HostState | None
    """None when there is none, or it cannot be read."""
    record: HostRecord
    script: str


@dataclass
class ResultsFolder:
    """What a run left; `notes` are sentences about what could not be read."""

    path: Path
    run: RunRecord
    hosts: list[HostFolder] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    teardown: str = ""
    """Why the scenario's teardown failed, in a sentence."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run as run.json has them, or else a host's own record."""
        return self.run.settings or next((host.record.settings for host in self.hosts if host.record.settings), {})

    @property
    def start_at(self) -> float | None:
        """The start time that all hosts were given, in seconds since 1970; None when none is known.

        The control node's run.json holds it; without one, the hosts' states do, of which most are taken to be right.
        """
        if started := epoch(self.run.started):
            return started
        stated = sorted(start for host in self.hosts if host.state and (start := epoch(host.state.start_at)))
        return statistics.median_low(stated) if stated else None


def find(path: Path) -> ResultsFolder:
    """Looks through a results folder, or through a single host's run folder that holds a journal itself.

    Raises ReportError when the folder does not exist or holds neither a journal nor a host's state.
    """
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise ReportError(f"The results folder {path} {what}; give the folder of one run, such as results/RUN_ID.")
    notes: list[str] = []
    results = ResultsFolder(path, RunRecord(), notes=notes)
    try:
        if _journal(path):
            host = _host(path, path.resolve().name, notes)
            host.name = host.record.host or host.name
            results.run, results.hosts = _run_of_host(host.record), [host]
        else:
            results.run = _read(_as(RunRecord), path / RUN_FILE, notes) or RunRecord()
            results.teardown = _teardown(path / TEARDOWN_FILE, notes)
            folders = sorted(
                (entry for entry in path.iterdir() if entry.is_dir()), key=lambda entry: wording.in_order(entry.name)
            )
            results.hosts = [_host(folder, folder.name, notes) for folder in folders if _is_host(folder)]
    except OSError as error:
        raise ReportError(f"The results folder {path} cannot be read: {error.strerror or error}.") from error
    if not results.hosts:
        raise ReportError(
            f"The results folder {path} holds no journal: "
            f"expected {path}/HOST/journal.lp or journal.lp.gz for at least one host."
        )
    return results


def _teardown(file: Path, notes: list[str]) -> str:
    if not file.exists():
        return ""
    record = _read(_as(TeardownRecord), file, notes)
    return record.failure if record else f"how the script's teardown ended is not known: {file} cannot be read"


def _is_host(folder: Path) -> bool:
    return _journal(folder) is not None or (folder / state.FILE).exists()


def _journal(folder: Path) -> Path | None:
    return next((folder / name for name in JOURNALS if (folder / name).is_file()), None)


def _host(folder: Path, name: str, notes: list[str]) -> HostFolder:
    script = ""
    try:
        script = _beginning(folder / "controller_script.py", 4 * LONGEST_SCRIPT).decode(errors="replace")
    except FileNotFoundError:
        pass
    except OSError as error:
        notes.append(f"{folder / 'controller_script.py'} cannot be read: {error.strerror or error}.")
    if len(script) > LONGEST_SCRIPT:
        script = script[:LONGEST_SCRIPT] + "\n# ... cut here by the report"
    record_file = folder / HOST_FILE
    if not record_file.exists():
        record_file = folder / RUN_FILE  # its name up to version 0.1
    return HostFolder(
        name=name,
        journal=_journal(folder),
        state=_read(read_state, folder / state.FILE, notes),
        record=_read(_as(HostRecord), record_file, notes) or HostRecord(),
        script=script,
    )


def _run_of_host(record: HostRecord) -> RunRecord:
    """What a host's record says of the run."""
    return RunRecord(
        run_id=record.run_id, scenario=record.scenario, settings=record.settings, versions=record.versions
    )


def epoch(seconds: float | None) -> float | None:
    """Seconds since 1970; None when there are none, or they cannot be a time."""
    return seconds if seconds is not None and 0 < seconds < LATEST else None


def _as[T](kind: type[T]) -> Callable[[bytes], tuple[T, list[str]]]:
    """What reads a JSON document as a dataclass, and says what of it was ignored. It raises ValueError."""

    def read(text: bytes) -> tuple[T, list[str]]:
        problems: list[str] = []
        return from_json(kind, parse(text), problems=problems), problems

    return read


def _read[T](read: Callable[[bytes], tuple[T, list[str]]], path: Path, notes: list[str]) -> T | None:
    """What a JSON file says; None when it does not exist. What cannot be understood is noted."""
    try:
        text = _beginning(path, LONGEST_RECORD + 1)
        if len(text) > LONGEST_RECORD:
            raise ValueError(f"it is longer than {LONGEST_RECORD:,} bytes")
        found, problems = read(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        notes.append(f"{path} was ignored: {str(error)[:LONGEST_NOTE]}.")
        return None
    notes += [f"A part of {path} was ignored: {problem[:LONGEST_NOTE]}." for problem in problems[:MOST_NOTES]]
    return found


def _beginning(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)
