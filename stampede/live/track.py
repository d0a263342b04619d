"""What a load host has counted up to any moment of the last seconds, from the states it has written.

A host writes a state about once a second and is asked for it about as often, so some are seen twice and some never.
Between two of them its counts are taken to have grown evenly.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from stampede.schema import step_times
from stampede.schema.state import HostState

MOST_STEPS = 50
"""Steps, and error classes, of which a page has figures: those that come first."""
LONGEST_NAME = 64
STATES = 16
"""That are kept of each host."""


class Key(NamedTuple):
    """What is counted: ``kind`` is ok, failed or error; ``bucket`` that of a response time, of those that were ok."""

    kind: str
    name: str
    bucket: int = 0


type Counts = dict[Key, float]


@dataclass(frozen=True, slots=True)
class _Growth:
    """What came together from one state to the next; times are seconds from the start, by the host's clock."""

    begin: float
    end: float
    counts: Counts
    state: HostState
    """The one at the end."""


class Track:
    """The newest states of one host."""

    def __init__(self) -> None:
        self.counts: Counts = {}
        """Since the start of the load, by the newest state."""
        self._grown: deque[_Growth] = deque(maxlen=STATES)

    def take(self, state: HostState) -> None:
        """Note a state; one that was seen already changes nothing."""
        if state.time is None or state.start_at is None:
            return
        at, before = state.time - state.start_at, self.last
        if self._grown and at <= before:
            return
        counts = counts_of(state)
        grown = {key: count - had for key, count in counts.items() if count > (had := self.counts.get(key, 0.0))}
        self._grown.append(_Growth(min(before, at), at, grown, state))
        self.counts = counts

    @property
    def last(self) -> float:
        """When the newest state was written, in seconds from the start."""
        return self._grown[-1].end if self._grown else 0.0

    def between(self, begin: float, end: float) -> Counts | None:
        """What was counted between two moments, in seconds from the start; None when that is not known."""
        if not self._grown or not self._grown[0].begin <= begin < end <= self.last:
            return None
        found: Counts = {}
        for growth in self._grown:
            common = min(end, growth.end) - max(begin, growth.begin)
            if common > 0:
                share = common / (growth.end - growth.begin)
                for key, count in growth.counts.items():
                    found[key] = found.get(key, 0.0) + share * count
        return found

    def state_at(self, moment: float) -> HostState | None:
        """The newest state that was written by then; None when none of the newest was."""
        return next((growth.state for growth in reversed(self._grown) if growth.end <= moment), None)


def counts_of(state: HostState) -> Counts:
    """The counts of a state. Response times that cannot be read are left out."""
    found: Counts = {}
    for name, step in list(state.by_step.items())[:MOST_STEPS]:
        name = name[:LONGEST_NAME]
        found[Key("failed", name)] = step.failed
        try:
            times = step_times.from_text(step.times)
        except ValueError:
            continue  # written by another version
        found |= {Key("ok", name, bucket): count for bucket, count in times.items()}
    for name, count in list(state.errors.items())[:MOST_STEPS]:
        found[Key("error", name[:LONGEST_NAME])] = count
    return found
