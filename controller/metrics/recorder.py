"""Makes a record of every step that ends and of all that scripts observe, and hands them to its listeners."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

from controller.metrics.journal import Journal
from stampede.schema.errors import BadInput
from stampede.schema.records import MOST_OWN_NAMES, Observation, Outcome, StepRecord

MOST_DETAIL = 500
"""Characters of a step's detail that are recorded."""

type StepListener = Callable[[StepRecord, float], None]
"""Is called with each record and the moment, on the run's clock, at which the step ended."""


type ObservationListener = Callable[[Observation, float], None]
"""The same for what scripts check and measure."""


class Clock(Protocol):
    """The run's time (see ``controller.load.clock``)."""

    def now(self) -> float:
        """Seconds on the run's clock."""

    def epoch_ns(self, moment: float) -> int:
        """A moment of that clock as nanoseconds since 1970."""


class Recorder:
    """One per run. Times in seconds, of the run's clock."""

    def __init__(self, clock: Clock, *listeners: StepListener, observers: Sequence[ObservationListener] = ()) -> None:
        """``listeners`` hear of each step in this order, ``observers`` of what scripts observe."""
        self.in_flight = 0
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._clock = clock
        self._listeners = listeners
        self._observers = observers

    def take_name(self, kind: str, name: str) -> None:
        """Take a name that a script gives to a step, group, check or measure. Raises BadInput for one too many."""
        known = self._names[kind]
        if name not in known:
            if len(known) == MOST_OWN_NAMES:
                raise BadInput(
                    f"holder.{kind} was given {name!r} after {MOST_OWN_NAMES} other names; each name is a series in "
                    "the report and in InfluxDB, so use few names, without numbers of holders or rounds"
                )
            known.add(name)

    def step(
        self,
        name: str,
        outcome: Outcome,
        *,
        start: float,
        due: float,
        holder: int,
        iteration: int,
        attempt: int,
        service: str = "",
        error: str = "",
        detail: str = "",
        done: float | None = None,
        script: str = "",
        group: str = "",
    ) -> None:
        """Record a step that ends now, or that was ``done`` before: from then on its times are taken."""
        now = self._clock.now()
        end = now if done is None else done
        record = StepRecord(
            name,
            outcome,
            holder,
            iteration,
            attempt,
            service,
            end - start,
            end - due,
            error or None,
            detail[:MOST_DETAIL] or None,
            script,
            group,
        )
        for listener in self._listeners:
            listener(record, now)

    def observe(self, record: Observation) -> None:
        """Record what a script has checked or measured."""
        now = self._clock.now()
        for observer in self._observers:
            observer(record, now)


def journaling(journal: Journal, clock: Clock) -> Callable[[StepRecord | Observation, float], None]:
    """A listener that writes each record to ``journal``."""

    def write(record: StepRecord | Observation, now: float) -> None:
        journal.write(record, clock.epoch_ns(now))

    return write
