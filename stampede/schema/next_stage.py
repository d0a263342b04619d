"""``next_stage.json``: the control node tells a host to go on to the next stage of the load before its time."""

from __future__ import annotations

from dataclasses import dataclass

from stampede.schema.json_form import from_json, parse
from stampede.schema.state import LATEST

FILE = "next_stage.json"
LONGEST = 1000
"""Bytes that are read of it."""


@dataclass(frozen=True, slots=True)
class NextStage:
    """All hosts of a run get the same."""

    stage: int
    """The number, from 1, of the one that begins."""
    at: float
    """When it begins, in seconds since 1970: a little later than it is written."""


def read_next_stage(text: str | bytes) -> NextStage:
    """Raises ValueError for anything else."""
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} bytes")
    found = from_json(NextStage, parse(text))
    if not (0 < found.at < LATEST and found.stage > 1):
        raise ValueError(f"there is no stage {found.stage} to begin at {found.at}")
    return found
