"""What is known of one load host: its last state, how long it has been unreachable, and its faults."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from stampede import wording
from stampede.fleet.snapshot import Snapshot
from stampede.schema.faults import Fault
from stampede.schema.phases import ENDED, Phase
from stampede.schema.records import EventKind
from stampede.schema.state import HostState

UNREACHED_AFTER = 10.0
"""Seconds without an answer after which a host is reported as unreachable."""
LOST_AFTER = 60.0
"""Seconds without an answer after which a host is given up."""
LONGEST_MESSAGE = 1000
"""Characters of what a host says is wrong."""
SILENT_AFTER = 15.0
"""Seconds without a new state, which is due every second, after which a host counts as silent."""


class HostView:
    """One load host as seen from the control node. ``now`` is always in epoch seconds of this machine."""

    def __init__(self, name: str, log_hint: str, now: float, *, started: bool = True) -> None:
        """``log_hint`` ends sentences about failures; ``started``: there must be a controller by now."""
        self.name = name
        self.state: HostState | None = None
        self.faults: list[Fault] = []
        self.failure = ""
        """A sentence, once its controller died or failed, or the host was refused or given up."""
        self.refused = False
        self.has_answered = False
        """Whether it has answered at all."""
        self.log_hint = log_hint
        self._began = self._seen = now
        self._started = started
        self._alive = True
        self._offset = 0.0
        self._problem = ""
        self._state_problem = ""
        self._absence: Fault | None = None

    # ------------------------------------------------------------- what happens

    def update(self, snapshot: Snapshot, now: float) -> list[Fault]:
        """Take in a snapshot; returns the faults that it began or ended."""
        told = self._came_back(now)
        if not self._started:
            self.failure = ""
        self._seen, self._problem, self.has_answered = now, "", True
        self._alive, self._offset = snapshot.alive, snapshot.clock - now
        self.state = snapshot.state or self.state
        self._state_problem = snapshot.problem
        self._started |= snapshot.alive or self.state is not None
        failed = self.phase == Phase.FAILED
        if (
            self._started
            and not self.failure
            and (failed or not snapshot.alive)
            and self.phase not in ENDED - {Phase.FAILED}
        ):
            self.failure = self._how_it_ended(snapshot.last_output)
            since = self._ended_at(snapshot.clock) - self._offset
            told.append(Fault(self.name, EventKind.DIED, since, None, self.failure))
            self.faults.append(told[-1])
        return told

    def poll_failed(self, reason: str, *, refused: bool = False) -> None:
        """Note why a poll failed."""
        self._problem = reason
        if refused:
            self.refused, self.failure = True, f"{self.name} is refused: {reason}"

    def check_absence(self, now: float) -> list[Fault]:
        """Note the time since the last answer; returns the faults that it starts or escalates."""
        if self.refused or (self.failure and not self.lost) or self.phase in ENDED:
            return []
        absent = now - self._seen
        if self._absence is None and absent > UNREACHED_AFTER:
            text = f"{self.name} has been unreachable since {clock(self._seen)}{self._why}."
            self._absence = Fault(self.name, EventKind.UNREACHABLE, self._seen, None, text)
            self.faults.append(self._absence)
            return [self._absence]
        if self._absence and not self.lost and absent > LOST_AFTER:
            self.failure = (
                f"{self.name} was lost while {self.phase}: unreachable since {clock(self._seen)}{self._why}."
            )
            self._absence = self._changed(self._absence, kind=EventKind.LOST, text=self.failure)
            return [self._absence]
        if not self._started and now - self._began > LOST_AFTER:
            self.failure = f"No controller has started on {self.name}; {self.log_hint}"
        return []

    def _came_back(self, now: float) -> list[Fault]:
        fault, self._absence = self._absence, None
        if fault is None or fault.since is None:
            return []
        if fault.kind == EventKind.LOST:
            self.failure = ""
        times = f"from {clock(fault.since)} to {clock(now)} ({now - fault.since:.0f} s)"
        text = f"{self.name} could not be reached {times}."
        return [self._changed(fault, kind=EventKind.UNREACHABLE, until=now, text=text)]

    def _changed(self, fault: Fault, **changes: Any) -> Fault:
        """The fault as it is now, in its former place among ``faults``."""
        changed = replace(fault, **changes)
        self.faults[self.faults.index(fault)] = changed
        return changed

    def _how_it_ended(self, last_output: str) -> str:
        state = self.state or HostState()
        if self.phase == Phase.FAILED:
            return f"The controller on {self.name} failed: {self.message or self.log_hint}"
        pid = f" (pid {state.pid})" if state.pid else ""
        last = f", last heard of at {clock(state.time - self._offset)}" if state.time is not None else ""
        said = f": {printable(last_output)}" if last_output else ""
        return f"The controller on {self.name}{pid} died while {self.phase}{last}{said}; {self.log_hint}"

    def _ended_at(self, now: float) -> float:
        """When it failed, or wrote its last state, by its own clock, which shows ``now``."""
        if self.state is None:
            return now
        known = self.state.phase_since if self.phase == Phase.FAILED else self.state.time
        return now if known is None else known

    @property
    def _why(self) -> str:
        return f" ({printable(self._problem)})" if self._problem else ""

    # ------------------------------------------------------------- how it stands

    @property
    def phase(self) -> Phase:
        return self.state.phase if self.state else Phase.STARTING

    @property
    def phase_since(self) -> float | None:
        """Since when it is in its phase, in epoch seconds of this machine."""
        since = self.state.phase_since if self.state else None
        return None if since is None else since - self._offset

    @property
    def message(self) -> str:
        """What its state says is wrong, on one line; empty when all is well."""
        return printable(self.state.message[:LONGEST_MESSAGE]) if self.state else ""

    @property
    def lost(self) -> bool:
        return self._absence is not None and self._absence.kind == EventKind.LOST

    @property
    def over(self) -> bool:
        """Whether nothing more is expected of it."""
        return bool(self.failure) or self.phase in ENDED

    @property
    def answers(self) -> bool:
        """Whether what is known of it is current."""
        return self.has_answered and self._absence is None and not self.over

    @property
    def not_reached_since(self) -> float | None:
        return self._absence.since if self._absence else None

    @property
    def condition(self) -> str:
        """Its phase, or its problem, in a word or two."""
        if self.refused:
            return "refused"
        if self._absence:
            return "lost" if self.lost else "not reached"
        if self.phase in ENDED:
            return self.phase
        if self.failure:
            return "died" if self._started else "not started"
        return self.phase

    def silent(self, now: float) -> bool:
        """Whether the host answers, but its controller has not written a new state for SILENT_AFTER seconds."""
        written = self.state.time if self.state else None
        return self.answers and written is not None and now + self._offset - written > SILENT_AFTER

    def note(self, now: float) -> str:
        """A sentence about what is wrong with it; empty when all is well."""
        if self.failure:
            return self.failure
        if self._absence:
            return self._absence.text
        if self._state_problem:
            return f"{self.name}: {printable(self._state_problem)}"
        if self.state and self.state.time is not None and self.silent(now):
            return f"{self.name} is silent: its last state is from {clock(self.state.time - self._offset)}"
        return f"{self.name}: {self.message}" if self.message else ""

    def ends_in(self, now: float) -> float | None:
        """Seconds until its run's duration is over; None when that does not end it, or not now."""
        ends_at = self.state.ends_at if self.state else None
        if not ends_at or self.phase != Phase.RUNNING or self.over:
            return None
        return max(0.0, ends_at - now - self._offset)


def clock(moment: float) -> str:
    """The time of day, UTC, as in the report."""
    return time.strftime("%H:%M:%S UTC", time.gmtime(moment))


def printable(text: object) -> str:
    """On one line, without control characters: a host's output must not control the terminal."""
    return " ".join(wording.printable(str(text)).split())
