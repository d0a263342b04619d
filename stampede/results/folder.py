"""Finds what a run left in its results folder: run.json and, per host, journal, state, settings, script.

Only the journals are needed. A controller that was ended by `kill -9` leaves no final state, a run that
could not be armed leaves no record: both are read as far as they go, and what is missing is noted in words.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stampede import wording
from stampede.results.errors import ReportError
from stampede.schema.run_record import HOST_FILE, RUN_FILE

JOURNALS = ("journal.lp", "journal.lp.gz")  # the plain one is the original
LATEST = 4e9  # seconds since 1970; what is later is no time
LONGEST_SCRIPT = 400_000  # characters


@dataclass
class HostFolder:
    """What one host left."""

    name: str
    journal: Path | None
    state: dict[str, Any]
    run: dict[str, Any]
    script: str


@dataclass
class ResultsFolder:
    """What a run left; `notes` are sentences about what could not be read."""

    path: Path
    run: dict[str, Any]
    hosts: list[HostFolder] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run as run.json has them, or else a host's run.json."""
        settings: dict[str, Any] = self.run.get("settings") or next(
            (host.run["settings"] for host in self.hosts if isinstance(host.run.get("settings"), dict)), {}
        )
        return settings

    @property
    def start_at(self) -> float | None:
        """The start time that all hosts were given, in seconds since 1970; None when none is known.

        Every host's state holds it; where no state came home, run.json does.
        """
        told = [host.state.get("start_at") for host in self.hosts]
        starts = [start for start in map(epoch, told) if start]
        return min(starts) if starts else epoch(self.run.get("started"))


def find(path: Path) -> ResultsFolder:
    """Looks through a results folder, or through a single host's run folder that holds a journal itself.

    Raises ReportError when the folder does not exist or holds neither a journal nor a host's state.
    """
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise ReportError(f"The results folder {path} {what}; give the folder of one run, such as results/RUN_ID.")
    notes: list[str] = []
    results = ResultsFolder(path, _json(path / "run.json", notes), notes=notes)
    try:
        if _journal(path):
            results.hosts = [_host(path, results.run.get("host") or path.resolve().name, notes)]
        else:
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


def _is_host(folder: Path) -> bool:
    return _journal(folder) is not None or (folder / "state.json").exists()


def _journal(folder: Path) -> Path | None:
    return next((folder / name for name in JOURNALS if (folder / name).is_file()), None)


def _host(folder: Path, name: str, notes: list[str]) -> HostFolder:
    script = ""
    try:
        script = (folder / "controller_script.py").read_text(errors="replace")
    except FileNotFoundError:
        pass
    except OSError as error:
        notes.append(f"{folder / 'controller_script.py'} cannot be read: {error.strerror or error}.")
    if len(script) > LONGEST_SCRIPT:
        script = script[:LONGEST_SCRIPT] + "\n# ... cut here by the report"
    return HostFolder(
        name=name,
        journal=_journal(folder),
        state=_json(folder / "state.json", notes),
        run=_json(folder / HOST_FILE if (folder / HOST_FILE).exists() else folder / RUN_FILE, notes),
        script=script,
    )


def epoch(value: Any) -> float | None:
    """A number, or one written as text, as seconds since 1970; None when it is none."""
    try:
        epoch = float(value)
    except (TypeError, ValueError):
        return None
    return epoch if 0 < epoch < LATEST else None


def _json(path: Path, notes: list[str]) -> dict[str, Any]:
    """A JSON file's object; empty when the file does not exist, and with a note when it is not one."""
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        notes.append(f"{path} was passed over: {error}.")
        return {}
    if not isinstance(value, dict):
        notes.append(f"{path} was passed over: it holds no JSON object.")
        return {}
    return value
