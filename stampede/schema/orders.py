"""What the control node tells a load host during a run, each in a file of the run's folder: to go on to the next
stage of the load before its time, or to come to another level of a search. All hosts of a run get the same."""

from __future__ import annotations

import json
from dataclasses import dataclass

from stampede.schema.json_form import from_json, parse, to_json
from stampede.schema.state import LATEST

NEXT_STAGE = "next_stage.json"
LEVEL = "order.json"
LONGEST = 1000
"""Bytes that are read of either file."""


@dataclass(frozen=True, slots=True)
class NextStage:
    """Go on to the next stage; what ``next_stage.json`` holds."""

    stage: int
    """The number, from 1, of the one that begins."""
    at: float
    """When it begins, in seconds since 1970: a little later than it is written."""


@dataclass(frozen=True, slots=True)
class LevelOrder:
    """Come to another level; what ``order.json`` holds."""

    number: int
    """Orders of a run are counted from 1."""
    holders: int
    """How many there are to be, on all hosts together; 0 ends the run."""
    at: float
    """When, in seconds since 1970: a little later than it is written."""


def as_text(order: NextStage | LevelOrder) -> str:
    """What stands in the file."""
    return json.dumps(to_json(order))


def read_next_stage(text: str | bytes) -> NextStage:
    """Raises ValueError for anything else."""
    found = _read(NextStage, text)
    if not (0 < found.at < LATEST and found.stage > 1):
        raise ValueError(f"there is no stage {found.stage} to begin at {found.at}")
    return found


def read_level_order(text: str | bytes) -> LevelOrder:
    """Raises ValueError for anything else."""
    found = _read(LevelOrder, text)
    if not (0 < found.at < LATEST and found.number > 0 and found.holders >= 0):
        raise ValueError(f"there is no order {found.number} for {found.holders} holders at {found.at}")
    return found


def _read[Kind](kind: type[Kind], text: str | bytes) -> Kind:
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} bytes")
    return from_json(kind, parse(text))
