"""The figures that thresholds judge, counted on each host during the run, in a form that can be summed over hosts.

Times are counted in buckets whose bounds grow by 2 % (as in DDSketch, Masson et al. 2019), so a percentile is known
to within 1 %. The limit itself is such a bound: on which side of it a percentile lies is known exactly.

What a script measures may be negative, so there it is the distance to the limit that is counted in such buckets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Self

from stampede.load_models.interface import Plan
from stampede.schema import margins
from stampede.schema.margins import Margins
from stampede.schema.records import MeasureRecord, Observation, Outcome, StepRecord
from stampede.schema.settings import thresholds
from stampede.schema.settings.thresholds import Said, Threshold
from stampede.schema.state import MeasuredState, TallyState

GROWTH = 1.02
_SCALE = 1 / math.log(GROWTH)
_SHORTEST = 1e-6
"""Seconds; shorter steps count as this long."""
_NEAREST = 1e-9
"""What is measured and nearer to the limit than this, but not the limit itself, counts as this far from it."""


class Tally:
    """What has been counted for one threshold; times in seconds. Of a check that passed or a value that was measured
    stands here what is said of steps that were ok."""

    __slots__ = ("_at_limit", "buckets", "failed", "least", "most", "ok", "threshold", "total")

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold
        self.ok = self.failed = 0
        self.total = self.most = 0.0
        """Sum and maximum of the times of steps that were ok."""
        self.least = math.inf
        """The least that was measured."""
        self.buckets: dict[int, int] = {}
        """Steps that were ok, by bucket; those above 0 lie beyond the limit. Kept for percentiles alone."""
        is_of_times = threshold.quantile is not None and not threshold.measure
        self._at_limit = math.log(threshold.limit) * _SCALE if is_of_times else None

    def count(self, seconds: float) -> None:
        """Count a step that was ok."""
        self.ok += 1
        self.total += seconds
        if seconds > self.most:
            self.most = seconds
        if self._at_limit is not None:
            bucket = math.ceil(math.log(seconds if seconds > _SHORTEST else _SHORTEST) * _SCALE - self._at_limit)
            self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def measured(self, value: float) -> None:
        """Count a value of a measure."""
        self.most = max(self.most, value) if self.ok else value
        self.least = min(self.least, value)
        self.ok += 1
        self.total += value
        if self.threshold.quantile is not None:
            bucket = _bucket_of_distance(value - self.threshold.limit)
            self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def beyond(self) -> int:
        """How many of the steps that were ok took longer than the limit, or of the values are not as they should."""
        threshold = self.threshold
        if threshold.measure:  # the sign of a bucket says on which side of the limit it lies
            return sum(n for bucket, n in self.buckets.items() if not threshold.is_kept_by(threshold.limit + bucket))
        return sum(count for bucket, count in self.buckets.items() if bucket > 0)

    def at_quantile(self, share: float) -> float:
        """The time below which ``share`` of the steps that were ok lie (nearest rank, downwards)."""
        rank = int(share * (self.ok - 1))
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank < 0 and self.threshold.measure:
                return min(max(self.least, self.threshold.limit + _distance_in(bucket)), self.most)
            if rank < 0:
                middle = 2 / (1 + GROWTH) * GROWTH**bucket
                return min(self.most, self.threshold.limit * middle)
        return 0.0

    def add(self, other: Self) -> None:
        """Add what another host has counted for the same threshold."""
        if other.ok:
            self.most = max(self.most, other.most) if self.ok else other.most
        self.least = min(self.least, other.least)
        self.ok += other.ok
        self.failed += other.failed
        self.total += other.total
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def since(self, before: Self) -> Self:
        """What has been counted since ``before``, an earlier state of this tally; but for maximum and minimum, of
        which that is not known."""
        grown = type(self)(self.threshold)
        grown.ok, grown.failed = self.ok - before.ok, self.failed - before.failed
        grown.total, grown.most, grown.least = self.total - before.total, self.most, self.least
        grown.buckets = {
            bucket: count - before.buckets.get(bucket, 0)
            for bucket, count in self.buckets.items()
            if count > before.buckets.get(bucket, 0)
        }
        return grown

    def state(self, elapsed: float = 0.0, left: float | None = None, *, ramped_up: bool = False) -> TallyState:
        """As the host's state has it; the arguments say how far the threshold's phase has come."""
        is_measured = bool(self.threshold.measure)
        return TallyState(
            text=self.threshold.text,
            ok=self.ok,
            failed=self.failed,
            total=0.0 if is_measured else self.total,
            most=0.0 if is_measured else self.most,
            buckets=tuple(sorted(self.buckets.items())),
            measured=MeasuredState(self.total, self.least, self.most) if is_measured and self.ok else None,
            elapsed=elapsed,
            left=left,
            ramped_up=ramped_up,
        )

    @classmethod
    def from_state(cls, state: TallyState) -> Self:
        """The reverse of ``state``. Raises ValueError when the threshold's text cannot be understood, or the figures
        are not such as it has."""
        tally = cls(thresholds.parse(state.text))
        tally.ok, tally.failed, tally.total, tally.most = state.ok, state.failed, state.total, state.most
        if (state.measured is not None) != bool(tally.threshold.measure and state.ok):
            raise ValueError(f"the values of {state.text!r} do not fit it")
        if state.measured:
            tally.total, tally.least, tally.most = (
                state.measured.sum_of,
                state.measured.lowest,
                state.measured.highest,
            )
        tally.buckets = dict(state.buckets)
        return tally


class Tallies:
    """The tallies of a run's thresholds on this host. Moments are seconds on the run's clock."""

    def __init__(self, texts: Iterable[str], plan: Plan, margins: Margins = margins.NONE) -> None:
        self._all = [Tally(thresholds.parse(text)) for text in texts]
        self._plan = plan
        self._margins = margins
        self._cool_down_begins = margins.cool_down_begins(plan.duration)
        self._start = math.inf
        self._last = 0.0
        self._draining: float | None = None
        self._ended = False
        self._by_step: dict[Said, list[Tally]] = {}

    def begin(self, start: float) -> None:
        """The holders start at this moment."""
        self._start = start

    def replan(self, plan: Plan, since: float) -> None:
        """The load develops otherwise, so many seconds from the start on."""
        self._plan = plan
        self._cool_down_begins = self._margins.cool_down_begins(
            plan.duration, since=since, before=self._cool_down_begins
        )

    def restart(self, moment: float) -> None:
        """Count anew from this moment on: the load has come to a level that is judged by itself."""
        self._start = moment
        self._all = [Tally(tally.threshold) for tally in self._all]
        self._by_step.clear()

    def drain(self, moment: float) -> None:
        """Steps ending from this moment on belong to the phase ``drain``."""
        self._draining = moment - self._start

    def end(self) -> None:
        """No more steps follow; the run ended with the last one."""
        self._ended = True

    def step_ended(self, record: StepRecord, now: float) -> None:
        """Count a step that ended ``now``; a listener of the run's ``Recorder``."""
        self._last = now
        said = Said(thresholds.STEP, record.step, record.script, record.group)
        tallies = self._by_step.get(said)
        if tallies is None:
            tallies = self._by_step[said] = [tally for tally in self._all if tally.threshold.is_about(said)]
        phase, is_measured = self._phase(now), self._is_measured(now)
        for tally in tallies:
            threshold = tally.threshold
            if not is_measured if threshold.phase == thresholds.RUN else threshold.phase != phase:
                continue
            if record.outcome == Outcome.OK:
                service_time = threshold.time == thresholds.SERVICE_TIME
                tally.count(record.service_time if service_time else record.response_time)
            elif record.outcome == Outcome.FAILED:
                tally.failed += 1

    def observed(self, record: Observation, now: float) -> None:
        """Count what a script said ``now``; the other listener of the run's ``Recorder``."""
        said = Said(*thresholds.observed(record), record.script, record.group)
        for tally in self._all:
            if not tally.threshold.is_about(said) or not self._is_within(tally.threshold.phase, now):
                continue
            if isinstance(record, MeasureRecord):
                tally.measured(record.value)
            elif record.outcome == Outcome.OK:
                tally.ok += 1
            else:
                tally.failed += 1

    def _is_within(self, phase: str, now: float) -> bool:
        return self._is_measured(now) if phase == thresholds.RUN else phase == self._phase(now)

    def _phase(self, now: float) -> str:
        if self._draining is not None:
            return thresholds.DRAIN
        return thresholds.RAMP_UP if now - self._start < self._plan.steady_after else thresholds.STEADY

    def _is_measured(self, now: float) -> bool:
        """Whether a moment is neither in the warm-up nor in the cool-down."""
        after = now - self._start
        if math.isinf(self._cool_down_begins):
            return after >= self._margins.warm_up
        return self._margins.warm_up <= after < self._cool_down_begins and self._draining is None

    def states(self, now: float) -> tuple[TallyState, ...]:
        """Each tally, with how far its phase has come. Empty until the start is known."""
        if math.isinf(self._start):
            return ()
        at = max(0.0, (self._last if self._ended else now) - self._start)
        spans = thresholds.spans(
            self._plan.steady_after,
            self._draining,
            at,
            warm_up=self._margins.warm_up,
            cool_down_begins=self._cool_down_begins,
        )
        ends = {
            thresholds.RUN: min(self._plan.duration, self._cool_down_begins),
            thresholds.RAMP_UP: self._plan.steady_after,
            thresholds.STEADY: self._plan.duration,
        }
        found = []
        for tally in self._all:
            phase = tally.threshold.phase
            since, until = spans[phase]
            end = ends.get(phase)
            left = max(0.0, end - max(at, since)) if end else None
            found.append(tally.state(until - since, left, ramped_up=at >= self._plan.steady_after))
        return tuple(found)


def _bucket_of_distance(distance: float) -> int:
    """The bucket of what lies so far from the limit, above it or below; 0 for the limit itself."""
    if not distance:
        return 0
    bucket = max(1, math.ceil(math.log(abs(distance) / _NEAREST) * _SCALE))
    return bucket if distance > 0 else -bucket


def _distance_in(bucket: int) -> float:
    """The middle of a bucket of distances."""
    if not bucket:
        return 0.0
    return math.copysign(_NEAREST * GROWTH ** abs(bucket) * 2 / (1 + GROWTH), bucket)
