"""What a holder does by its script, on average: the steps of its arrival, and those of a round."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stampede.engine import Forecast, Work
from stampede.schema.errors import BadInput
from stampede.schema.json_form import from_json, parse, to_json

MOST_SPREAD = 500
"""Rounds, or visits, whose times are told one by one."""


@dataclass(frozen=True)
class StepWork:
    """How often a step is done, and of which service (empty when of none). ``outermost``: how often within no other
    step, so that its time is not a part of another's."""

    step: str
    service: str
    count: float
    outermost: float


@dataclass(frozen=True)
class PartWork:
    """One part of a script: once for a holder, or once for a round."""

    steps: tuple[StepWork, ...]
    between: float
    """Seconds in which no step is under way: think times, above all."""
    requests: dict[str, float]
    """HTTPS requests, by service."""

    def counts(self) -> dict[str, float]:
        """How often each step is done, whatever its service."""
        found: dict[str, float] = {}
        for each in self.steps:
            found[each.step] = found.get(each.step, 0.0) + each.count
        return found


@dataclass(frozen=True)
class ScriptWork:
    """A script's work for a holder before its first round, and for a round. ``has_rounds``: whether there are any."""

    arrival: PartWork
    round: PartWork
    has_rounds: bool
    spread: tuple[float, ...] = (1.0,)
    """How long some rounds took, or visits where there are none, as parts of their mean."""


def work_of(forecast: Forecast, script: Path) -> str:
    """A simulation's averages as JSON. Raises BadInput when it did not come to its end."""
    if not forecast.complete:
        raise BadInput(
            f"{script}: {forecast.holders:,} holders could not be simulated for {forecast.rounds:,} rounds in the "
            "time that there is; a script that is planned must do few steps in a round"
        )
    in_rounds = forecast.rounds * forecast.round_time
    before = forecast.holders * forecast.visit - in_rounds
    return json.dumps(
        to_json(
            ScriptWork(
                _part(forecast.before_rounds, before, forecast.holders),
                _part(forecast.in_rounds, in_rounds, forecast.rounds),
                has_rounds=forecast.rounds > 0,
                spread=_spread(forecast.rounds_took if forecast.rounds else forecast.visits),
            )
        )
    )


def read_work(text: str) -> ScriptWork:
    """The averages from their JSON. Raises ValueError."""
    return from_json(ScriptWork, parse(text))


def _spread(took: Sequence[float]) -> tuple[float, ...]:
    mean = sum(took) / len(took) if took else 0.0
    return tuple(seconds / mean for seconds in took[:MOST_SPREAD]) if mean else (1.0,)


def _part(work: Work, seconds: float, number: int) -> PartWork:
    """The work of so many holders or rounds, which took so many seconds together, for one of them."""
    number = max(number, 1)
    return PartWork(
        tuple(
            StepWork(*which, count=count / number, outermost=work.outermost[which] / number)
            for which, count in work.steps.items()
        ),
        max(0.0, seconds - work.seconds) / number,
        {service: count / number for service, count in work.requests.items()},
    )
