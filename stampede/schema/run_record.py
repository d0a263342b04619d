"""``run.json``, the control node's record of a run, and ``host.json``, a load host's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stampede.schema.faults import Fault

VERSION = 1
RUN_FILE = "run.json"
HOST_FILE = "host.json"
"""Up to version 0.1 this file was called ``run.json`` too."""


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """A host's clock less the control node's, in seconds; right to plus or minus ``uncertainty``."""

    offset: float
    uncertainty: float


@dataclass(frozen=True, slots=True)
class RunRecord:
    """``results/RUN/run.json``. Times in seconds since 1970."""

    run_id: str = ""
    scenario: str = ""
    started: float | None = None
    """The start time that all hosts were given; None when none was."""
    ended: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """The ``stampede_*`` variables; they hold no secret."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of the control node's programs."""
    hosts: tuple[str, ...] = ()
    """All hosts of the play, those that were left out included."""
    clocks: dict[str, ClockOffset] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class HostRecord:
    """``host.json``, written once the host is armed. Memory and disk in bytes."""

    run_id: str = ""
    host: str = ""
    scenario: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    """The host's part of the settings; they hold no secret."""
    versions: dict[str, str] = field(default_factory=dict)
    cores: int = 0
    memory: int = 0
    disk_free: int = 0
    version: int = VERSION
