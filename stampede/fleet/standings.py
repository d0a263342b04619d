"""How the thresholds of a run in progress stand over all hosts, and whether crossed ones can still recover."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stampede.fleet.enough import too_little
from stampede.fleet.host_view import HostView, clock
from stampede.schema.settings import thresholds
from stampede.schema.settings.thresholds import Threshold
from stampede.schema.tally import Tally

MOST_THRESHOLDS = 100
"""Thresholds that are judged of what a host reports."""
SPEED_UP = 2.0
"""At best, this many times the steps per second may still be done in the remaining time."""


@dataclass(frozen=True)
class Standing:
    """The state of one threshold."""

    threshold: Threshold
    value: float | None
    """None as long as there is too little to judge."""
    unrecoverable: bool
    """Whether it is crossed, and would be at the end even if all went well from now on."""

    @property
    def crossed(self) -> bool:
        return self.value is not None and not self.threshold.is_kept_by(self.value)

    @property
    def sentence(self) -> str:
        """Its state in words."""
        if self.value is None:
            return f"{self.threshold.what}: too little to judge yet, the threshold is {self.threshold.asked}"
        verb = {thresholds.ERRORS: "are", thresholds.PASSED: "in"}.get(self.threshold.metric, "is")
        shown = self.threshold.shown(self.value)
        return f"{self.threshold.what} {verb} {shown}, the threshold is {self.threshold.asked}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "text": self.threshold.text,
            "value": self.value,
            "unit": self.threshold.unit,
            "crossed": self.crossed,
        }


def standings(hosts: Iterable[HostView]) -> list[Standing]:
    """Each threshold of the run, merged from the hosts' states."""
    return [_standing(entry.tally, entry.progress) for entry in _merged(hosts).values()]


def tallies(hosts: Iterable[HostView]) -> dict[str, Tally]:
    """What all hosts together have counted for each threshold, by its text."""
    return {text: entry.tally for text, entry in _merged(hosts).items()}


def _merged(hosts: Iterable[HostView]) -> dict[str, _Merged]:
    merged: dict[str, _Merged] = {}
    for host in hosts:
        for entry in host.state.thresholds[:MOST_THRESHOLDS] if host.state else ():
            try:
                tally = Tally.from_state(entry)
            except ValueError:
                continue  # written by another version
            progress = _Progress(entry.elapsed, entry.left, entry.ramped_up)
            known = merged.setdefault(tally.threshold.text, _Merged(Tally(tally.threshold), _Progress()))
            known.tally.add(tally)
            known.progress = known.progress.furthest(progress)
    return merged


def standing_of(tally: Tally, seconds: float) -> Standing:
    """How a threshold stands by what was counted in so many seconds under a steady load."""
    return _standing(tally, _Progress(elapsed=seconds, ramped_up=True))


@dataclass(frozen=True)
class _Progress:
    """Progress of a threshold's phase: elapsed seconds, and the remaining ones if known."""

    elapsed: float = 0.0
    left: float | None = None
    ramped_up: bool = False

    def furthest(self, other: _Progress) -> _Progress:
        return max(self, other, key=lambda progress: progress.elapsed)


@dataclass
class _Merged:
    tally: Tally
    progress: _Progress


def _standing(tally: Tally, progress: _Progress) -> Standing:
    threshold = tally.threshold
    value = _value(tally, progress)
    crossed = value is not None and not threshold.is_kept_by(value)
    return Standing(threshold, value, crossed and not _can_recover(tally, progress))


def _value(tally: Tally, progress: _Progress) -> float | None:
    """The value so far; None as long as there is too little to judge."""
    threshold, done = tally.threshold, tally.ok + tally.failed
    counts_failures = threshold.metric in (thresholds.ERRORS, thresholds.PASSED)
    if too_little(threshold, done if counts_failures else tally.ok, progress.elapsed):
        return None
    if threshold.metric == thresholds.THROUGHPUT:
        return tally.ok / progress.elapsed if progress.ramped_up else None
    if threshold.metric == thresholds.ERRORS:
        return 100 * tally.failed / done if threshold.unit else float(tally.failed)
    if threshold.metric == thresholds.PASSED:
        return 100 * tally.ok / done
    if threshold.metric == thresholds.MAX:
        return tally.most
    if threshold.metric == thresholds.MIN:
        return tally.least
    return tally.total / tally.ok if threshold.quantile is None else tally.at_quantile(threshold.quantile)


def _can_recover(tally: Tally, progress: _Progress) -> bool:
    """Whether a crossed threshold may still be kept at the end, if from now on no step fails or takes any time.

    Assumes SPEED_UP times as many steps per second as so far, or for a throughput SPEED_UP times the limit.
    """
    threshold, left = tally.threshold, progress.left
    if threshold.measure and threshold.quantile is None:  # whatever comes may be as it should, however far from it
        is_bound = threshold.metric == (thresholds.MAX if threshold.operator.startswith("<") else thresholds.MIN)
        return not is_bound and left != 0
    if threshold.metric == thresholds.MAX or (threshold.metric == thresholds.ERRORS and not threshold.unit):
        return False
    if left is None or not progress.ramped_up or not progress.elapsed:
        return True
    if threshold.metric == thresholds.THROUGHPUT:
        best = (tally.ok + SPEED_UP * threshold.limit * left) / (progress.elapsed + left)
        return bool(threshold.is_kept_by(best))
    more = 1 + SPEED_UP * left / progress.elapsed
    if threshold.metric == thresholds.ERRORS:
        return bool(threshold.is_kept_by(100 * tally.failed / ((tally.ok + tally.failed) * more)))
    if threshold.metric == thresholds.PASSED:
        return bool(threshold.is_kept_by(100 - 100 * tally.failed / ((tally.ok + tally.failed) * more)))
    if threshold.quantile is None:
        return bool(threshold.is_kept_by(tally.total / (tally.ok * more)))
    may_be_beyond = 1 - threshold.quantile if threshold.operator.startswith("<") else threshold.quantile
    return tally.beyond() <= may_be_beyond * tally.ok * more


class Crossings:
    """Reports each threshold once when it is crossed, with the time."""

    def __init__(self) -> None:
        self._reported: set[str] = set()

    def new(self, found: Iterable[Standing], now: float) -> list[str]:
        """A sentence for each threshold that is crossed for the first time; ``now`` in epoch seconds."""
        sentences = []
        for standing in found:
            if standing.crossed and standing.threshold.text not in self._reported:
                self._reported.add(standing.threshold.text)
                sentences.append(f"{standing.sentence}; crossed since {clock(now)}.")
        return sentences
