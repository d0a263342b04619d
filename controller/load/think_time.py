"""Think times: how long a holder waits between two steps, as people do."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from stampede.schema.errors import BadInput

SHARE_BETWEEN = 0.9
"""Of log-normal think times: how many are from ``least`` to ``most``."""
_QUANTILE = 1.6448536269514722
"""The standard normal distribution's at 0.95, so that SHARE_BETWEEN is within it."""


@dataclass(frozen=True, slots=True)
class ThinkTimes:
    """How think times are drawn, ``stampede_think_times``, and by what they are multiplied."""

    distribution: str = "uniform"
    scale: float = 1.0
    observed: tuple[float, ...] = ()
    """Seconds, for the distribution ``observed``."""

    def draw(self, chance: random.Random, least: float, most: float | None = None) -> float:
        """Seconds of a think time for which a script says from ``least`` to ``most``; exactly ``least`` without
        ``most``.

        >>> ThinkTimes().draw(random.Random(1), 10, 60), ThinkTimes("constant", 0.1).draw(random.Random(1), 10, 60)
        (16.718212205620063, 3.5)

        Raises BadInput when there is none such.
        """
        return self.scale * (least if most is None or most == least else self._within(chance, least, most))

    def _within(self, chance: random.Random, least: float, most: float) -> float:
        match self.distribution:
            case "constant":
                return (least + most) / 2
            case "exponential":
                return chance.expovariate(2 / (least + most))
            case "lognormal":
                return self._lognormal(chance, least, most)
            case "observed":
                return chance.choice(self.observed)
        return chance.uniform(least, most)

    def _lognormal(self, chance: random.Random, least: float, most: float) -> float:
        if not 0 < least < most:
            raise BadInput(
                f"stampede_think_times is lognormal, but the script has think times from {least:g} to {most:g} s; "
                "they must begin at more than 0, for nine in ten are between the two"
            )
        low, high = math.log(least), math.log(most)
        return chance.lognormvariate((low + high) / 2, (high - low) / 2 / _QUANTILE)
