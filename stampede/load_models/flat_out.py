"""Flat out: holders without think times, each always in a step, so that a fixed number of steps is in flight.

It finds what services can do at most with so much at once; it says nothing of the times that people will see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stampede.load_models.closed import Closed


@dataclass(frozen=True, slots=True)
class FlatOut(Closed):
    """As the closed model, at its fastest."""

    think_time_scale: ClassVar[float] = 0.0
    is_for_those_who_stay: ClassVar[bool] = True

    def describe(self) -> str:
        """See LoadModel."""
        return super(FlatOut, self).describe().replace("Closed load model", "Flat out, without think times")
