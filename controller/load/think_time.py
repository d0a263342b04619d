"""Think times: how long a holder waits between two steps, as people do."""

from __future__ import annotations

import random


def think_time(chance: random.Random, least: float, most: float | None = None) -> float:
    """Draw a think time in seconds, uniformly from ``least`` to ``most``; exactly ``least`` without ``most``.

    >>> think_time(random.Random(1), 10, 60)
    16.718212205620063
    """
    return least if most is None else chance.uniform(least, most)
