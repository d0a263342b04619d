"""What a page remembers of a run: intervals of equal width since the page began, of which there are never many.

When there are too many, each two become one of twice the width. A long run so has wide ones, as in its report.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stampede.fleet.host_poller import HOSTS_PER_SECOND
from stampede.fleet.host_view import HostView
from stampede.live.track import LONGEST_NAME, MOST_STEPS, Counts, Key, Track
from stampede.schema.state import HostState

MOST_INTERVALS = 300
SECOND = 1.0
"""What is recorded at a time."""
LEAST_DELAY = 3.0
"""Seconds after which the states of a moment have been heard, where hosts are asked each second."""
WORST = "all hosts"
MOST_AGENTS = 64


@dataclass(slots=True)
class Usage:
    """What making the load took on a host in an interval; CPU in cores, lag in seconds. Means, but maxima of lag."""

    host: float
    """Share of all its cores."""
    controller: float
    memory: float
    lag: float
    loop: float
    agents: dict[str, float]

    @classmethod
    def of(cls, state: HostState) -> Usage:
        return cls(
            host=state.host_cpu / (state.host_cores or 1),
            controller=state.cpu,
            memory=state.host_memory_used,
            lag=state.lag_p99,
            loop=state.loop_lag_max,
            agents={agent.name[:40]: agent.cpu for agent in state.agents[:MOST_AGENTS]},
        )

    def add(self, other: Usage, share: float) -> None:
        """Take in another time, which is ``share`` of both."""
        for name in ("host", "controller", "memory"):
            setattr(self, name, getattr(self, name) * (1 - share) + getattr(other, name) * share)
        self.lag, self.loop = max(self.lag, other.lag), max(self.loop, other.loop)
        for name, cpu in other.agents.items():
            self.agents[name] = self.agents.get(name, cpu) * (1 - share) + cpu * share


@dataclass(slots=True)
class Interval:
    """What was counted in an interval over all hosts that were heard of, and what there was at its end."""

    seconds: float = 0.0
    """Of which something is known."""
    counts: Counts = field(default_factory=dict)
    active: int | None = None
    in_flight: int | None = None
    usage: dict[str, Usage] = field(default_factory=dict)
    """By host."""

    def add(self, later: Interval) -> None:
        """Append the one after it."""
        for key, count in later.counts.items():
            self.counts[key] = self.counts.get(key, 0.0) + count
        if later.active is not None:
            self.active, self.in_flight = later.active, later.in_flight
        both = self.seconds + later.seconds
        for name, usage in later.usage.items():
            if name in self.usage:
                self.usage[name].add(usage, later.seconds / both if both else 0.5)
            else:
                self.usage[name] = usage
        self.seconds = both


class History:
    """The intervals of a run. Moments are seconds from the start of the load."""

    def __init__(self, hosts: int) -> None:
        self.start: float | None = None
        """The start of the load, in seconds since 1970; None before it is known."""
        self.begin: float | None = None
        """When the first interval begins."""
        self.width = SECOND
        self.intervals: list[Interval] = []
        self.steps: list[str] = []
        """In the order in which they were first seen."""
        self.errors: list[str] = []
        self._recorded = 0.0
        self._noted: float | None = None
        """When the hosts were noted for the first time, in seconds since 1970."""
        self._tracks: dict[str, Track] = {}
        self._delay = max(LEAST_DELAY, 2 + 2 * hosts / HOSTS_PER_SECOND)

    def note(self, hosts: Sequence[HostView], now: float) -> None:
        """Take in what the hosts say; ``now`` is in seconds since 1970. To be called about once a second."""
        for host in hosts:
            if host.state:
                self._tracks.setdefault(host.name, Track()).take(host.state)
                for kind, names in (("ok", host.state.by_step), ("error", host.state.errors)):
                    for name in list(names)[:MOST_STEPS]:
                        self._is_known(Key(kind, name[:LONGEST_NAME]))
        self._noted = now if self._noted is None else self._noted
        self.start = self.start or _agreed_start(hosts)
        if self.start is None:
            return
        if self.begin is None:
            self.begin = self._recorded = math.ceil(max(0.0, self._noted - self.start))
        is_over = all(host.over for host in hosts)
        heard = max((track.last for track in self._tracks.values()), default=0.0)
        until = now - self.start - self._delay
        if is_over:  # a host may say anything of its time
            until = min(heard, now - self.start)
        while self._recorded + SECOND <= until:
            self._record(self._recorded, self._recorded + SECOND)
            self._recorded += SECOND

    def totals(self) -> Counts:
        """What all hosts have counted since the start of the load, as last heard."""
        found: Counts = {}
        for track in self._tracks.values():
            for key, count in track.counts.items():
                found[key] = found.get(key, 0.0) + count
        return found

    def _record(self, begin: float, end: float) -> None:
        found = self._second(begin, end)
        if self._begins_an_interval():
            if len(self.intervals) == MOST_INTERVALS:
                self._halve()
            self.intervals.append(Interval())
        self.intervals[-1].add(found)

    def _begins_an_interval(self) -> bool:
        """Whether what is recorded next belongs to a new interval."""
        assert self.begin is not None
        return self._recorded >= self.begin + len(self.intervals) * self.width

    def _halve(self) -> None:
        for earlier, later in zip(self.intervals[::2], self.intervals[1::2], strict=True):
            earlier.add(later)
        self.intervals, self.width = self.intervals[::2], 2 * self.width

    def _second(self, begin: float, end: float) -> Interval:
        """What is known of the time between two moments."""
        found = Interval()
        for name, track in self._tracks.items():
            counts, state = track.between(begin, end), track.state_at(end)
            if counts is None or state is None:
                continue
            found.seconds = end - begin
            for key, count in counts.items():
                if self._is_known(key):
                    found.counts[key] = found.counts.get(key, 0.0) + count
            found.active = (found.active or 0) + (state.holders.active if state.holders else 0)
            found.in_flight = (found.in_flight or 0) + (state.steps.in_flight if state.steps else 0)
            found.usage[name] = Usage.of(state)
        return found

    def _is_known(self, key: Key) -> bool:
        """Whether there is, or still is, a place for a step or an error class."""
        names = self.errors if key.kind == "error" else self.steps
        if key.name not in names and len(names) < MOST_STEPS:
            names.append(key.name)
        return key.name in names


def _agreed_start(hosts: Sequence[HostView]) -> float | None:
    """The start that at least half of the hosts tell which tell anything: what one says is not that of the run."""
    told = Counter(host.state.start_at for host in hosts if host.state)
    start, count = told.most_common(1)[0] if told else (None, 0)
    return start if start and 2 * count >= told.total() else None


def worst(usages: Mapping[str, Usage]) -> Usage | None:
    """For each figure the highest of all hosts'."""
    if not usages:
        return None
    of_all = list(usages.values())
    busiest = max((cpu for usage in of_all for cpu in usage.agents.values()), default=None)
    names = ("host", "controller", "memory", "lag", "loop")
    return Usage(
        **{name: max(getattr(usage, name) for usage in of_all) for name in names},
        agents={} if busiest is None else {"busiest agent": busiest},
    )
