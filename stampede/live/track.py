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
STATES = 8
"""That are kept of each host."""


class Key(NamedTuple):
    """What is counted: ``kind`` is ok, failed or error; ``bucket`` that of a response time, of those that were ok."""

    kind: str
    name: str
    bucket: int = 0


type Counts = dict[Key, float]


@dataclass(frozen=True, slots=True)
class _Seen:
    at: float
    """Seconds from the start of the load, by the host's clock."""
    counts: Counts
    state: HostState


class Track:
    """The newest states of one host."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque(maxlen=STATES)

    def take(self, state: HostState) -> None:
        """Note a state; one that was seen already changes nothing."""
        if state.time is None or state.start_at is None:
            return
        at = state.time - state.start_at
        if not self._seen or at > self._seen[-1].at:
            self._seen.append(_Seen(at, counts_of(state), state))

    @property
    def last(self) -> float:
        """When the newest state was written, in seconds from the start."""
        return self._seen[-1].at if self._seen else 0.0

    def between(self, begin: float, end: float) -> Counts | None:
        """What was counted between two moments, in seconds from the start; None when that is not known."""
        before, after = self._until(begin), self._until(end)
        if before is None or after is None:
            return None
        grown = ((key, count - before.get(key, 0.0)) for key, count in after.items())
        return {key: count for key, count in grown if count > 0}

    def state_at(self, moment: float) -> HostState | None:
        """The newest state that was written by then, if it was written within the last seconds."""
        written = [seen for seen in self._seen if seen.at <= moment]
        return written[-1].state if written else None

    def _until(self, moment: float) -> Counts | None:
        if not self._seen or self._seen[-1].at < moment:
            return None
        if moment <= 0:
            return {}
        for before, after in zip(self._seen, list(self._seen)[1:], strict=False):
            if before.at <= moment <= after.at:
                share = (moment - before.at) / (after.at - before.at)
                return {
                    key: (had := before.counts.get(key, 0.0)) + share * (count - had)
                    for key, count in after.counts.items()
                }
        return None


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
