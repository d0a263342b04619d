"""Warm-up and cool-down: the parts at the start and at the end of a run that are kept out of its figures."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Margins:
    """How long they are, in seconds. A step belongs to the part of the run in which it ends."""

    warm_up: float = 0.0
    cool_down: float = 0.0

    def cool_down_begins(self, duration: float, *, since: float = 0.0, before: float = math.inf) -> float:
        """When the cool-down of a run begins that lasts for ``duration``; infinity when it has none, or
        when it is not known for how long it lasts.

        ``since``: when that became its duration; what was measured until then stays measured. ``before``: when the
        cool-down was to begin, as things were before. All in seconds from the start.
        """
        if not self.cool_down or not duration or since >= before:
            return before
        return max(since, duration - self.cool_down)


NONE = Margins()
