"""What gave way first under the load: load host, agent, network or service; since when, and what to change.

The run is looked at in intervals. Something gave way when it was beyond its limit in most intervals from then on:
what is busy, late or full is measured where it is. A service is seen from outside only, and has given way when those
who ask it wait for each other: more than one step about it is in flight, and even the fastest of them take several
times as long as the fastest of the run did. In a queue everybody waits; where times merely vary, the fastest do not
(Little 1961; Jain, "The Art of Computer Systems Performance Analysis", 1991, on bottlenecks by utilization and queue
length). While the load generator is beyond its limit nothing is said of services, for their times are not theirs
then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stampede import wording
from stampede.analysis.generator import AGENT_LATE, BUSY, FULL, LATE, STOLEN, is_starved
from stampede.analysis.load_window import SECOND, Window
from stampede.results.journal_columns import FAILED, INTERRUPTED, OK, JournalColumns, Samples
from stampede.schema.errors import StepTimeout
from stampede.schema.summary import Limit

INTERVAL = 5.0
"""Seconds, at most; agents are sampled each five."""
LEAST_INTERVALS = 3
MOST = 2 / 3
"""Share of the intervals from then on in which something has to be beyond its limit, the first included."""
RESENT = 0.02
"""Share of TCP segments; losses of some percent slow TCP down markedly (Mathis et al. 1997)."""
TIMED_OUT = 0.1
"""Share of a service's steps."""
SLOWER = 3.0
"""Times as long as the fastest steps of the run."""
FASTEST = 2
"""Percentile of a step's times that is taken for what it takes without waiting."""
FASTER = 10
"""Percentile of an interval's times, in which those who wait are seen, and times that merely vary are not."""
LEAST_WAIT = 0.1
"""Seconds; a queue that costs less is none."""
LEAST_STEPS = 30
"""Of a kind, below which nothing is said about it."""
LEAST_PER_INTERVAL = 3
IN_FLIGHT = 1.5
"""Steps of a kind at a time, on average."""

type Floats = NDArray[np.float64]
type Truths = NDArray[np.bool_]


def find_limits(journal: JournalColumns, window: Window | None) -> list[Limit] | None:
    """What gave way, the first first; None where too little is known to say."""
    if window is None or window.seconds < LEAST_INTERVALS * INTERVAL or not journal.load.time:
        return None
    grid = _Grid(window)
    own = list(_found(grid, _generator(journal, grid)))
    overloaded = np.zeros(grid.intervals, dtype=bool)
    for found in own:
        overloaded[found.first :] = True
    services = _found(grid, _services(journal, grid, overloaded))
    found_all = sorted([*own, *services], key=lambda found: (found.first, -found.candidate.weight))
    return [_limit(found, window) for found in found_all]


def unknown_services(journal: JournalColumns, limits: list[Limit] | None) -> list[str]:
    """Services of which too little is known to say whether they gave way: there were too few steps of each kind about
    them, or the load generator gave way, after which their times are not theirs."""
    if limits is None:
        return []
    named = {limit.name for limit in limits if limit.kind == "service"}
    overloaded = any(limit.kind != "service" for limit in limits)
    steps = journal.steps
    kind, service = np.asarray(steps.step), np.asarray(steps.service)
    ended = np.isin(np.asarray(steps.outcome), (OK, FAILED))
    unknown = []
    for number, name in enumerate(journal.services.list):
        here = (service == number) & ended
        if name and not name.startswith("did:") and name not in named and (service == number).any():
            most = np.bincount(kind[here]).max() if here.any() else 0
            if overloaded or most < LEAST_STEPS:
                unknown.append(name)
    return sorted(unknown)


@dataclass(frozen=True)
class _Candidate:
    """Something that may have given way; ``beyond``: in which intervals it was beyond its limit."""

    kind: str
    name: str
    beyond: Truths
    text: str
    advice: str
    weight: float = 0.0
    """Which of several that gave way in the same interval is told first."""
    until: int | None = None
    """The interval after the last one in which something is known of it."""


@dataclass(frozen=True)
class _Found:
    candidate: _Candidate
    first: int
    """Its first interval."""


def _found(grid: _Grid, candidates: Iterable[_Candidate]) -> Iterator[_Found]:
    for candidate in candidates:
        first = grid.first_beyond(candidate.beyond[: candidate.until])
        if first is not None:
            yield _Found(candidate, first)


def _limit(found: _Found, window: Window) -> Limit:
    gave_way, since = found.candidate, found.first * INTERVAL
    at = wording.moment(window.start / SECOND + since)
    return Limit(gave_way.kind, gave_way.name, since, gave_way.text, gave_way.advice, at)


def _typical(column: Floats, beyond: Truths) -> float:
    """The mean of a column's figures that are beyond their limit; 0 where none is."""
    return float(column[beyond].mean()) if beyond.any() else 0.0


class _Grid:
    """The intervals of a run's load."""

    def __init__(self, window: Window) -> None:
        self._start, self.seconds = window.start, window.seconds
        self.intervals = int(window.seconds / INTERVAL)

    def place(self, time: NDArray[np.int64]) -> NDArray[np.int64]:
        """The interval of each moment; outside of the load it is -1 or `intervals`."""
        place = np.floor((time - self._start) / SECOND / INTERVAL).astype(np.int64)
        return np.clip(place, -1, self.intervals)

    def mean(self, samples: Samples, column: Floats, of: Truths) -> Floats:
        """A column's mean in each interval, of the chosen samples; NaN where there is none."""
        chosen = of & np.isfinite(column)
        place = self.place(np.asarray(samples.time))[chosen]
        inside = (place >= 0) & (place < self.intervals)
        counts = np.bincount(place[inside], minlength=self.intervals)
        sums = np.bincount(place[inside], weights=column[chosen][inside], minlength=self.intervals)
        with np.errstate(invalid="ignore", divide="ignore"):
            means: Floats = sums / counts
        return means

    def first_beyond(self, beyond: Truths) -> int | None:
        """The first interval from which on most are beyond a limit."""
        for place in np.flatnonzero(beyond):
            rest = beyond[place:]
            if rest.size >= LEAST_INTERVALS and rest.mean() >= MOST:
                return int(place)
        return None


def _generator(journal: JournalColumns, grid: _Grid) -> Iterator[_Candidate]:
    """Hosts, their controllers and networks, and agents."""
    load, hosts = journal.load, np.asarray(journal.load.host)
    cores = np.maximum(load.column("host_cores"), 1)
    for number, host in enumerate(journal.hosts.list):
        here = hosts == number
        cpu, steal, memory, controller, lag, resent = (
            grid.mean(load, column, here)
            for column in (
                load.column("host_cpu") / cores,
                load.column("steal") / cores,
                *(load.column(name) for name in ("host_memory_used", "cpu", "lag_p99", "resent")),
            )
        )
        fewer = "use more load hosts, larger ones, or fewer holders"
        busy, stolen, full, lost = cpu > BUSY, steal > STOLEN, memory > FULL, resent > RESENT
        percent = wording.percent
        yield _Candidate(
            "host", host, busy, f"all cores of host {host} were busy ({percent(_typical(cpu, busy))})", fewer
        )
        yield _Candidate(
            "host",
            host,
            stolen,
            f"the hypervisor of host {host} gave {percent(_typical(steal, stolen))} of its cores to others",
            "use hosts with cores of their own, or more of them",
        )
        yield _Candidate(
            "host", host, full, f"the memory of host {host} was full ({percent(_typical(memory, full))})", fewer
        )
        late = (controller > BUSY) | (lag > LATE)
        figures = (
            f"it used {percent(_typical(controller, late))} of a core, "
            f"and 1 % of the waits ended {wording.seconds(_typical(lag, late))} late"
        )
        yield _Candidate("controller", host, late, f"the controller of host {host} was late: {figures}", fewer)
        yield _Candidate(
            "network",
            host,
            lost,
            f"the network of host {host} lost segments ({percent(_typical(resent, lost))} were sent again)",
            "look for a link that drops packets, or that is full",
        )
        yield from _agents(journal, grid, number)


def _agents(journal: JournalColumns, grid: _Grid, number: int) -> Iterator[_Candidate]:
    """The agents of one host."""
    agent = journal.agent
    here, sources = np.asarray(agent.host) == number, np.asarray(agent.source)
    for which in np.unique(sources[here]):
        its, name = here & (sources == which), journal.agents.list[which]
        cpu, lag, wait = (grid.mean(agent, agent.column(column), its) for column in ("cpu", "loop_lag", "cpu_wait"))
        starved = is_starved(cpu, wait)
        beyond = (cpu > BUSY) | (lag > AGENT_LATE) | starved
        figures = [f"used {wording.percent(_typical(cpu, beyond))} of a core"]
        if starved.any():
            figures.append(f"had {_typical(wait, starved):.1f} threads waiting for one")
        if np.isfinite(lag[beyond]).all():
            figures.append(f"took {wording.seconds(_typical(lag, beyond))} to answer an empty request")
        yield _Candidate(
            "agent",
            name,
            beyond,
            f"{name} of host {journal.hosts.list[number]} could not keep up: it {wording.listed(figures)}",
            "look for a quota of CPU time and for what else uses the cores, or use more load hosts or fewer holders"
            if (starved & (cpu <= BUSY)).sum() > beyond.sum() / 2
            else "raise stampede_agents where cores are idle, else use more load hosts or fewer holders",
        )


def _services(journal: JournalColumns, grid: _Grid, overloaded: Truths) -> Iterator[_Candidate]:
    """The services, by their configured names."""
    steps = journal.steps
    end, took = np.asarray(steps.end), np.asarray(steps.service_time)
    outcome, service, kind = (np.asarray(column) for column in (steps.outcome, steps.service, steps.step))
    errors = journal.errors.list
    timeout = errors.index(StepTimeout.error_class) if StepTimeout.error_class in errors else len(errors)
    timed_out = (outcome == FAILED) & (np.asarray(steps.error) == timeout)
    for number, name in enumerate(journal.services.list):
        here = service == number
        if not name or not here.any():
            continue
        beyond, waits = np.zeros(grid.intervals, dtype=bool), []
        place = grid.place(end[here])
        for step in np.unique(kind[here]):
            ok = (kind[here] == step) & (outcome[here] == OK)
            wait = _wait(journal.step_names.list[step], took[here][ok], place[ok], ~overloaded)
            if wait:
                beyond |= wait.beyond
                waits.append(wait)
        counts, late = (
            np.bincount(place[chosen & (place >= 0)], minlength=grid.intervals + 1)[: grid.intervals]
            for chosen in (np.ones(place.shape, dtype=bool), timed_out[here])
        )
        times_out = (counts >= LEAST_PER_INTERVAL) & (late > TIMED_OUT * counts) & ~overloaded
        beyond |= times_out
        figures = max(waits, key=lambda wait: wait.seconds).text if waits else ""
        if times_out.any():
            share = wording.percent(late[times_out].sum() / counts[times_out].sum())
            figures = wording.listed([*filter(None, [figures]), f"{share} of the steps about it timed out"])
        yield _Candidate(
            "service",
            name,
            beyond,
            f"{name} could not keep up: {figures}",
            f"give {name} more cores or instances, or look at what it waits for itself",
            sum(wait.seconds for wait in waits),
            int(place[outcome[here] != INTERRUPTED].max(initial=-1)) + 1,
        )


@dataclass(frozen=True)
class _Wait:
    """In which intervals even the fastest steps of a kind had to wait, for how many seconds all steps did, and so in
    words."""

    beyond: Truths
    seconds: float
    text: str


def _wait(step: str, took: Floats, place: NDArray[np.int64], judged: Truths) -> _Wait | None:
    """Whether and when steps of one kind waited, in the intervals to be judged."""
    if took.size < LEAST_STEPS:
        return None
    alone = float(np.percentile(took, FASTEST))
    beyond, waited, fast, in_flight = np.zeros(judged.shape, dtype=bool), 0.0, [], []
    for interval in np.flatnonzero(judged):
        now = took[place == interval]
        at_a_time = now.sum() / INTERVAL  # Little's law
        if now.size < LEAST_PER_INTERVAL or at_a_time < IN_FLIGHT:
            continue
        faster = float(np.percentile(now, FASTER))
        if faster > SLOWER * alone and faster - alone > LEAST_WAIT:
            beyond[interval] = True
            waited += float(now.sum() - now.size * alone)
            fast.append(faster)
            in_flight.append(at_a_time)
    if not fast:
        return None
    many, long = f"{np.mean(in_flight):.0f}", wording.seconds(float(np.mean(fast)))
    text = f"with {many} in flight even the fastest {step} took {long}, otherwise {wording.seconds(alone)}"
    return _Wait(beyond, waited, text)
