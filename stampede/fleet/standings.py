"""How the thresholds of a run stand while it goes on, over all hosts together, and whether there is hope for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stampede.fleet.host_view import HostView, clock
from stampede.schema import thresholds
from stampede.schema.tally import Tally
from stampede.schema.thresholds import Threshold

LEAST_STEPS = 20
"""Steps without which nothing is said about a percentile, a mean or a share."""
LEAST_SECONDS = 10.0
"""Seconds of its phase without which nothing is said about a throughput."""
MORE = 2.0
"""With hope, so many times the steps may be done in the time that is left."""


@dataclass(frozen=True)
class Standing:
    """How one threshold stands."""

    threshold: Threshold
    value: float | None
    """None as long as there is too little to judge."""
    hopeless: bool
    """Whether it is crossed, and would be at the end even if all went well from now on."""

    @property
    def crossed(self) -> bool:
        return self.value is not None and not self.threshold.is_kept_by(self.value)

    @property
    def sentence(self) -> str:
        """How it stands, in words."""
        if self.value is None:
            return f"{self.threshold.what}: too little to judge yet, the threshold is {self.threshold.asked}"
        verb = "are" if self.threshold.metric == thresholds.ERRORS else "is"
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
    """Each threshold of the run, as the hosts' states have it."""
    merged: dict[str, _Merged] = {}
    for host in hosts:
        for entry in host.state.thresholds if host.state else ():
            try:
                tally = Tally.from_state(entry)
            except ValueError:
                continue  # of another version: nothing can be said of it
            progress = _Progress(entry.elapsed, entry.left, entry.ramped_up)
            known = merged.setdefault(tally.threshold.text, _Merged(Tally(tally.threshold), _Progress()))
            known.tally.add(tally)
            known.progress = known.progress.furthest(progress)
    return [_stands(its.tally, its.progress) for its in merged.values()]


@dataclass(frozen=True)
class _Progress:
    """How far a threshold's phase has come: seconds that are over, and that are left, if that is known."""

    elapsed: float = 0.0
    left: float | None = None
    ramped_up: bool = False

    def furthest(self, other: _Progress) -> _Progress:
        return max(self, other, key=lambda progress: progress.elapsed)


@dataclass
class _Merged:
    tally: Tally
    progress: _Progress


def _stands(tally: Tally, progress: _Progress) -> Standing:
    threshold = tally.threshold
    value = _value(tally, progress)
    crossed = value is not None and not threshold.is_kept_by(value)
    return Standing(threshold, value, crossed and not _can_mend(tally, progress))


def _value(tally: Tally, progress: _Progress) -> float | None:
    """The figure until now; None as long as there is too little to judge."""
    threshold, done = tally.threshold, tally.ok + tally.failed
    if threshold.metric == thresholds.THROUGHPUT:
        enough = progress.ramped_up and progress.elapsed >= LEAST_SECONDS
        return tally.ok / progress.elapsed if enough else None
    if threshold.metric == thresholds.ERRORS:
        if not threshold.unit:
            return float(tally.failed) if done else None
        return 100 * tally.failed / done if done >= LEAST_STEPS else None
    if threshold.metric == thresholds.MAX:
        return tally.most if tally.ok else None
    if tally.ok < LEAST_STEPS:
        return None
    return tally.total / tally.ok if threshold.quantile is None else tally.at_quantile(threshold.quantile)


def _can_mend(tally: Tally, progress: _Progress) -> bool:
    """Whether a crossed threshold may be kept at the end, if no step fails from now on and none takes any time.

    Twice as many steps a second as until now are reckoned with, or of a throughput twice what is asked.
    """
    threshold, left = tally.threshold, progress.left
    if threshold.metric == thresholds.MAX or (threshold.metric == thresholds.ERRORS and not threshold.unit):
        return False
    if left is None or not progress.ramped_up or not progress.elapsed:
        return True
    if threshold.metric == thresholds.THROUGHPUT:
        best = (tally.ok + MORE * threshold.limit * left) / (progress.elapsed + left)
        return bool(threshold.is_kept_by(best))
    more = 1 + MORE * left / progress.elapsed
    if threshold.metric == thresholds.ERRORS:
        return bool(threshold.is_kept_by(100 * tally.failed / ((tally.ok + tally.failed) * more)))
    if threshold.quantile is None:
        return bool(threshold.is_kept_by(tally.total / (tally.ok * more)))
    return tally.beyond() <= (1 - threshold.quantile) * tally.ok * more


class Crossings:
    """Tells of each threshold once that it is crossed, and since when."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def new(self, found: Iterable[Standing], now: float) -> list[str]:
        """A sentence for each threshold that is seen to be crossed for the first time; ``now`` in epoch seconds."""
        sentences = []
        for standing in found:
            if standing.crossed and standing.threshold.text not in self._told:
                self._told.add(standing.threshold.text)
                sentences.append(f"{standing.sentence}; crossed since {clock(now)}.")
        return sentences
