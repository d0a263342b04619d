"""``summary.json``: the figures of a run, as the report writes them and as programs read them.

Times and durations are seconds, rates are per second, shares lie between 0 and 1. Moments are ISO 8601 in UTC, with
whole seconds; ``after`` is in seconds from the start of the load, negative before it. None stands where nothing was
measured. The parts about load hosts are in ``host_summary``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from stampede.schema.host_summary import GeneratorSummary, HostComparison, HostSummary, StepCounts
from stampede.schema.json_form import from_json, to_json


class RunOutcome(StrEnum):
    """How a run ended, in a word."""

    PASSED = "passed"
    """Steps were executed, none failed (or no more than the thresholds allow), and every host finished."""
    FAILED = "failed"
    """Steps failed that no threshold on errors covers."""
    THRESHOLDS = "thresholds"
    """A threshold was crossed, or there was nothing to judge it by."""
    TEARDOWN = "teardown"
    """All went well, but for the scenario's teardown."""
    STOPPED = "stopped"
    """Ended early on request."""
    BROKEN_OFF = "broken_off"
    """A host that took part did not finish."""
    INCOMPLETE = "incomplete"
    """Every host finished, but something is missing from the records."""
    NO_LOAD = "no_load"
    """No step was executed."""


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict; ``about`` is its subject: thresholds, load, measured, hosts, missing, start, time,
    slowest, failures, checks, teardown, phones, comparison or generator."""

    about: str
    text: str
    warning: bool


@dataclass(frozen=True)
class RunSummary:
    """Which run it was, and its verdict. ``duration`` is that of the load, drain included.

    ``start_skew`` is the time between the first host's start and the last one's.
    """

    id: str
    scenario: str
    started: str | None
    ended: str | None
    duration: float | None
    seed: Any
    settings: dict[str, Any]
    versions: dict[str, str]
    start_skew: float | None
    outcome: RunOutcome
    passed: bool
    headline: str
    findings: list[Finding]


@dataclass(frozen=True)
class LoadSummary:
    """All steps of all hosts together, those of warm-up and cool-down too; rates are those of the measured part.
    ``interrupted`` steps were still in flight when the run ended.

    ``presentations`` are those that ended ok: ``presentations_verified`` are those of which the verifier, when asked,
    said that they are valid; ``presentations_sent`` those of which nobody was to say whether they arrived; of the
    others, ``presentations_acknowledged``, is known that they did.
    """

    ok: int
    failed: int
    interrupted: int
    steps_per_second: float | None
    presentations: int
    presentations_per_second: float | None
    peak_active_holders: int | None
    presentations_verified: int = 0
    presentations_acknowledged: int = 0
    presentations_sent: int = 0

    @property
    def presentations_are(self) -> str:
        """What is known of the presentations: verified, acknowledged, sent, or some the one and some the other."""
        if self.presentations_verified >= self.presentations:
            return "verified"
        if self.presentations_verified:
            return "partly verified"
        if self.presentations_sent >= self.presentations:
            return "sent"
        return "partly acknowledged" if self.presentations_sent else "acknowledged"

    @property
    def ended(self) -> int:
        """The steps that ended by themselves: ok or failed."""
        return self.ok + self.failed


@dataclass(frozen=True)
class MeasuredPart:
    """The part of the run that figures are about, in seconds from the start, where it has a warm-up or a cool-down.

    ``left_out`` counts the steps that ended before or after it, by name.
    """

    since: float
    until: float
    left_out: dict[str, StepCounts]


@dataclass(frozen=True)
class Times:
    """Mean, exact percentiles and maximum of the times of steps that ended ok; None each when there were none."""

    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    max: float | None

    def figure(self, name: str) -> float | None:
        """One of them by its name, such as ``p95``."""
        value: float | None = getattr(self, name)
        return value


@dataclass(frozen=True)
class StepSummary:
    """The figures of one step; ``errors`` counts the failed ones by error class, the most frequent first."""

    ok: int
    failed: int
    interrupted: int
    per_second: float | None
    errors: dict[str, int]
    service_time: Times
    response_time: Times

    @property
    def ended(self) -> int:
        """How often it ended by itself: ok or failed."""
        return self.ok + self.failed


@dataclass(frozen=True)
class ThresholdVerdict:
    """A threshold of the run (see ``thresholds``) and how it was judged, over the records of all hosts.

    ``passed`` and ``value`` are None when there was nothing to judge it by; ``crossed_at`` and ``crossed_after`` say
    since when it was crossed without interruption.
    """

    text: str
    step: str | None
    metric: str
    time: str | None
    operator: str
    limit: float
    unit: str
    phase: str
    value: float | None
    passed: bool | None
    crossed_at: str | None
    crossed_after: float | None
    sentence: str
    check: str = ""
    measure: str = ""
    """The check or the measure that it is about; ``step`` is None then."""
    script: str = ""
    group: str = ""
    """The script or the group that it is about; empty: all."""


@dataclass(frozen=True)
class CheckSummary:
    """How often a check of the script passed, and how often it failed."""

    passed: int
    failed: int

    @property
    def passed_share(self) -> float:
        """Between 0 and 1."""
        return self.passed / (self.passed + self.failed)


@dataclass(frozen=True)
class MeasureSummary:
    """The values of a measure of the script, in its own unit: how many, their sum, mean and exact percentiles."""

    count: int
    sum: float
    mean: float
    min: float
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class ScriptSummary:
    """One of several scripts: how many holders took it, and the figures of its steps by name."""

    holders: int
    steps: dict[str, StepSummary]


@dataclass(frozen=True)
class FailedPart:
    """How many of a step failed in a script (empty: the only one) and a group (empty: in none), in the whole run."""

    step: str
    script: str
    group: str
    failed: int


@dataclass(frozen=True)
class TimeInStep:
    """The service time of all records of a step, however they ended, and its share of that of all steps. What lies
    within another step of the same holder, one that ended later, is the other's."""

    seconds: float
    share: float


@dataclass(frozen=True)
class TimeSpent:
    """Where the holders' time went, summed over all holders; ``steps`` in descending order.

    ``late`` lies between a step's due time and its start; ``active`` is how long holders were active, and ``waiting``
    what is left of that, which is mostly think time. The last two are None when active holders were not sampled.
    """

    steps: dict[str, TimeInStep]
    in_steps: float
    late: float
    active: float | None
    waiting: float | None


@dataclass(frozen=True)
class FirstError:
    """The first failure of an error class."""

    time: str | None
    after: float | None
    host: str
    step: str
    holder: int
    service: str
    detail: str


@dataclass(frozen=True)
class ErrorExample:
    """A detail that the controller noted with failures of a class, and how often."""

    detail: str
    count: int


@dataclass(frozen=True)
class ErrorSummary:
    """The failures of one error class; ``steps`` counts them by step."""

    count: int
    steps: dict[str, int]
    first: FirstError
    examples: list[ErrorExample]


@dataclass(frozen=True)
class EventSummary:
    """A phase of a host, or something that happened to it."""

    time: str | None
    after: float | None
    host: str
    kind: str
    text: str


class LossKind(StrEnum):
    """What is missing from the records of a run."""

    HOST = "host"
    """All that a host recorded."""
    RECORDS = "records"
    """Records that a host could not write, because its disk was full."""
    LINES = "lines"
    """Lines of a journal that could not be parsed."""
    CUT_SHORT = "cut_short"
    """The end of a journal."""
    STEPS = "steps"
    """Steps that a host counted, but did not record."""
    HOLDERS = "holders"
    """Holders that never started."""
    ARRIVALS = "arrivals"
    """Arrivals that were dropped, because there were as many holders as there may be."""
    ROUNDS = "rounds"
    """Rounds that were dropped, because no holder was free."""
    STAGE = "stage"
    """A stage that began before its time on other hosts, and on this one did not."""
    MESSAGES = "messages"
    """Messages to holders that were dropped before a step awaited them."""


NOT_MADE = frozenset({LossKind.HOLDERS, LossKind.ARRIVALS, LossKind.ROUNDS, LossKind.STAGE})
"""What is missing is load that was asked for, and not records of it."""


@dataclass(frozen=True)
class Loss:
    """What is missing from the records of a host, how much of it (None when that is not known), and a sentence."""

    host: str
    kind: LossKind
    number: int | None
    text: str


@dataclass(frozen=True)
class Completeness:
    """How complete the journals were; ``notes`` are sentences about what could not be read."""

    records: int
    torn_lines: int
    lines_not_understood: int
    notes: list[str]


@dataclass(frozen=True)
class PhonesSummary:
    """The links of holders that are phones to their mediators; for the counts see ``records.PhonesRecord``.

    ``lost`` links were down when the run ended; ``reconnect_mean`` and ``reconnect_longest`` are in seconds.
    """

    most_open: int
    lost: int
    opened: int
    dropped: int
    reconnected: int
    reconnect_mean: float | None
    reconnect_longest: float | None
    unanswered: int
    waited: int
    poked: int
    held_back: int
    refused: int


@dataclass(frozen=True)
class Limit:
    """Something that gave way under the load: its ``kind`` (host, agent, controller, network or service) and name,
    since when (seconds after the start, and ``at`` which moment), what it was, and what to change."""

    kind: str
    name: str
    since: float
    text: str
    advice: str
    at: str | None = None


@dataclass(frozen=True)
class Interval:
    """Where 95 % of the draws of a bootstrap lie; None for an end that is beyond all bounds."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class ScalabilityFit:
    """The Universal Scalability Law over the levels of a search (`analysis/scalability.py`), with 95 % intervals.

    ``alone`` is the throughput of one holder, in steps per second; ``contention`` and ``coherency`` have no unit.
    ``peak_holders``: at how many throughput is highest, and ``peak_per_second`` how high. ``knee``: how many would
    make that much if none was in the way of another. None where throughput has no end. ``no_intervals`` says why the
    intervals are None, where they are.
    """

    alone: float
    contention: float
    coherency: float
    peak_holders: float | None
    peak_per_second: float | None
    knee: float | None
    alone_between: Interval | None = None
    contention_between: Interval | None = None
    coherency_between: Interval | None = None
    peak_holders_between: Interval | None = None
    peak_per_second_between: Interval | None = None
    knee_between: Interval | None = None
    no_intervals: str = ""


@dataclass(frozen=True)
class LevelFigure:
    """A threshold at one level of a search: its text, its figure, and whether that is kept."""

    text: str
    value: float | None
    kept: bool | None


@dataclass(frozen=True)
class LevelSummary:
    """A level of a search: so many holders, judged from ``since`` to ``until`` seconds after the start.

    ``confirms``: whether it was tried once more. ``held`` is None where that is not known; ``why`` says why it did
    not hold, or is not known.
    """

    holders: int
    confirms: bool
    since: float
    until: float
    ok: int
    failed: int
    per_second: float | None
    figures: list[LevelFigure]
    held: bool | None
    why: str


@dataclass(frozen=True)
class SearchSummary:
    """What a search found: the highest level of which it is confirmed that it holds, and the lowest that does not."""

    levels: list[LevelSummary]
    highest: int | None
    lowest_broken: int | None
    headline: str
    fit: ScalabilityFit | None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The whole of ``summary.json``; hosts, steps and errors by their names.

    ``version`` is that of the format; files of Stampede 0.1, which have none, are of version 1.
    """

    version: int = 1
    run: RunSummary
    hosts: dict[str, HostSummary]
    load: LoadSummary
    generator: GeneratorSummary
    comparison: HostComparison | None
    steps: dict[str, StepSummary]
    thresholds: list[ThresholdVerdict]
    time_spent: TimeSpent
    errors: dict[str, ErrorSummary]
    events: list[EventSummary]
    journal: Completeness
    losses: list[Loss] = field(default_factory=list)
    """What is missing; empty in files of Stampede 0.1."""
    phones: PhonesSummary | None = None
    """None where holders were no phones, and in files of Stampede 0.1."""
    limits: list[Limit] | None = None
    """What gave way, the first first; empty when nothing was seen to, None where that is not known."""
    limits_unknown: list[str] = field(default_factory=list)
    """Services of which too little is known to say whether they gave way."""
    scripts: dict[str, ScriptSummary] = field(default_factory=dict)
    """By name, where the run had several."""
    groups: dict[str, dict[str, StepSummary]] = field(default_factory=dict)
    """The figures of the steps in each ``holder.group``, by its name."""
    failed_parts: list[FailedPart] = field(default_factory=list)
    """Failures by script and group, where there are any of these."""
    measured: MeasuredPart | None = None
    """None where figures are about the whole run."""
    checks: dict[str, CheckSummary] = field(default_factory=dict)
    measures: dict[str, MeasureSummary] = field(default_factory=dict)
    """What scripts have checked and measured, by name."""
    teardown: str = ""
    """Why the scenario's teardown failed, in a sentence; empty when it did not, and where there was none."""
    search: SearchSummary | None = None
    """None for a run that was no search, and in files of Stampede 0.1."""

    @property
    def counts(self) -> dict[str, StepCounts]:
        """How often each step ended how in the whole run, its warm-up and cool-down too."""
        left_out = self.measured.left_out if self.measured else {}
        nothing = StepCounts(0, 0, 0)
        counts = {}
        for name in dict.fromkeys([*self.steps, *left_out]):
            step, other = self.steps.get(name, nothing), left_out.get(name, nothing)
            counts[name] = StepCounts(
                step.ok + other.ok, step.failed + other.failed, step.interrupted + other.interrupted
            )
        return counts

    def to_json(self) -> str:
        """The text of summary.json: strict JSON, without NaN."""
        return json.dumps(to_json(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """A summary from the text of summary.json.

        Raises ValueError, which names the place, when the text is not JSON or lacks what a summary has.
        """
        return from_json(cls, json.loads(text))
