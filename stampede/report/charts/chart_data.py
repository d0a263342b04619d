"""What the charts of a page draw: the data that assets/report.js and assets/compare.js read.

A series has a value for each interval of the run, rounded to four significant digits; null where nothing was
recorded. Times are seconds, rates per second, CPU in cores for processes and a share of all cores for hosts.
"""

from dataclasses import dataclass, field

type Series = list[float | None]


@dataclass(frozen=True)
class Distribution:
    """How many times fall into each bin, from bin number `first` on; and exact percentiles of all of them."""

    first: int
    counts: list[int]
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Distributions:
    """Those of both times of a step; None when it never ended ok."""

    service: Distribution | None
    response: Distribution | None


@dataclass(frozen=True)
class StepChart:
    """A step over time: its rates (`failed` is None when it never did), and percentiles by name (p50 to max)."""

    name: str
    ok: Series
    failed: Series | None
    service: dict[str, Series]
    response: dict[str, Series]
    distribution: Distributions


@dataclass(frozen=True)
class LoadCharts:
    """The load of one host: its steps in the order of those of all hosts, None for one that it did not run."""

    steps: list[StepChart | None]
    failures: dict[str, dict[str, Series]]
    holders: dict[str, Series]


@dataclass(frozen=True)
class GeneratorChart:
    """CPU and memory of one host (means over an interval) and its lag (maxima); CPU of its agents by name.

    The others are the maxima of an interval: the share of the host's cores that its hypervisor gave to others
    (`stolen`), the longest that an agent took to answer an empty request (`agents_late`), the tasks that had a core
    or waited for one (`running`), the threads of an agent that waited for one (`starved`), the requests that an agent
    had not answered (`waiting`), and the `sockets` of TCP.
    They are empty in a run in progress, and where they were not recorded, as in version 0.1.
    """

    host: Series
    controller: Series
    memory: Series
    lag: Series
    loop: Series
    agents: dict[str, Series]
    stolen: Series = field(default_factory=list)
    agents_late: Series = field(default_factory=list)
    running: Series = field(default_factory=list)
    starved: Series = field(default_factory=list)
    waiting: Series = field(default_factory=list)
    sockets: Series = field(default_factory=list)


@dataclass(frozen=True)
class Mark:
    """A line across the charts, `at` seconds from the start; `kind` is phase, fault, note or threshold."""

    at: float
    kind: str
    text: str


@dataclass(frozen=True)
class Charts:
    """All charts of a run.

    `start` is in seconds since 1970, `width` that of an interval, `seconds` the length of the load, and `x` are the
    middles of the intervals. `failures` are rates by error class and step, `holders` those that were active and
    `in_flight`. `by_host` are the same for single hosts, empty where there is only one or they would make the page
    too large; `hosts` are the charts of the load generator. `left_out` are the parts, in seconds from the start, that
    figures leave out.
    """

    start: float
    width: float
    seconds: float
    x: list[float]
    steps: list[StepChart]
    failures: dict[str, dict[str, Series]]
    holders: dict[str, Series]
    by_host: dict[str, LoadCharts]
    hosts: dict[str, GeneratorChart]
    marks: list[Mark]
    left_out: list[tuple[float, float]] = field(default_factory=list)
