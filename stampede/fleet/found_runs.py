"""The runs that load hosts say they have. A host may say anything: what it says is checked, and concerns it alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from stampede.schema.settings.shapes import PATTERNS

MOST_RUNS = 1000
"""Of a host; the newest count."""
LARGEST_PID = 1 << 22  # Linux, proc(5)
LATEST = 1e12
"""Epoch seconds."""
LONGEST_WORD = 60


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run of which a host has a folder."""

    host: str
    id: str
    modified: float
    """When it was deployed on this host, in epoch seconds; never in the future."""
    alive: bool
    """Whether its controller runs on this host."""
    pid: int
    """Of the controller; 0 when it is not known."""


def is_run_id(name: object) -> bool:
    """Whether a run can have this name, which is also that of its folders."""
    return isinstance(name, str) and bool(re.fullmatch(PATTERNS["name"][0], name))


def found_runs(answers: Mapping[str, Any], now: float) -> list[FoundRun]:
    """What hosts have answered, by host, as far as it can be true; the newest run last.

    A run is as old as most of its hosts say, so that one host cannot make an old run the newest.
    """
    runs = [run for host, answer in answers.items() for run in _of_host(host, answer, now)]
    moments: dict[str, list[float]] = {}
    for run in runs:
        moments.setdefault(run.id, []).append(run.modified)
    return sorted(runs, key=lambda run: (median(moments[run.id]), run.id))


def wrong_answers(answers: Mapping[str, Any]) -> list[str]:
    """A sentence for each host that names something that can be no run."""
    sentences = []
    for host, answer in answers.items():
        wrong = [entry for entry in _entries(answer) if not _is_sound(entry)]
        if wrong:
            name = wrong[0].get("id") if isinstance(wrong[0], Mapping) else wrong[0]
            shown = ascii(name)[:LONGEST_WORD]
            others = f" and {len(wrong) - 1} more like it" if len(wrong) > 1 else ""
            sentences.append(f"{host} names {shown}{others}, which can be no run: it is passed over")
    return sentences


def _of_host(host: str, answer: Any, now: float) -> Iterator[FoundRun]:
    by_id = {
        entry["id"]: entry for entry in _entries(answer) if _is_sound(entry)
    }  # each once, or it would count more
    for entry in sorted(by_id.values(), key=lambda entry: entry["modified"])[-MOST_RUNS:]:
        pid = entry["pid"] if 0 < entry["pid"] <= LARGEST_PID else 0
        yield FoundRun(host, str(entry["id"]), min(float(entry["modified"]), now), bool(entry["alive"]), int(pid))


def _entries(answer: Any) -> Sequence[Any]:
    runs = answer.get("runs") if isinstance(answer, Mapping) else None
    return runs if isinstance(runs, Sequence) and not isinstance(runs, str) else ()


def _is_sound(entry: Any) -> bool:
    return (
        isinstance(entry, Mapping)
        and is_run_id(entry.get("id"))
        and _is_number(entry.get("modified"))
        and isinstance(entry.get("alive"), bool)
        and isinstance(entry.get("pid"), int)
        and not isinstance(entry["pid"], bool)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -LATEST < value < LATEST
