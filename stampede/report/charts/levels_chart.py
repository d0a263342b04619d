"""The chart of a search: throughput by the number of holders, and the law that is fitted to it, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from stampede.analysis.scalability import throughput
from stampede.schema.summary import SearchSummary

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 40
CURVE_POINTS = 80
TICKS = 6


@dataclass(frozen=True)
class Point:
    """A level, in pixels; ``label`` says what it is."""

    x: float
    y: float
    held: bool | None
    label: str


@dataclass(frozen=True)
class Tick:
    """A place on an axis, in pixels, and its number."""

    at: float
    label: str


@dataclass(frozen=True)
class LevelsChart:
    """What report.html.j2 draws, in pixels."""

    width: int
    height: int
    left: int
    right: int
    bottom: int
    points: list[Point]
    curve: str
    """Points of a polyline; empty without a fit."""
    holders: list[Tick]
    rates: list[Tick]


def build_levels_chart(search: SearchSummary | None) -> LevelsChart | None:
    """The chart; None where there is nothing to draw."""
    levels = [level for level in search.levels if level.per_second is not None] if search else []
    if search is None or not levels:
        return None
    most = max(level.holders for level in levels) * 1.08
    highest = max(level.per_second or 0.0 for level in levels) * 1.15 or 1.0

    def x(holders: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * holders / most, 1)

    def y(rate: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(rate / highest, 1.0), 1)

    points = [
        Point(
            x(level.holders), y(level.per_second or 0.0), level.held, f"{level.holders:,}: {level.per_second:.3g}/s"
        )
        for level in levels
    ]
    curve = ""
    if search.fit:
        along = [most * step / CURVE_POINTS for step in range(1, CURVE_POINTS + 1)]
        curve = " ".join(f"{x(holders)},{y(throughput(search.fit, holders))}" for holders in along if holders >= 1)
    return LevelsChart(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        bottom=HEIGHT - BOTTOM,
        points=points,
        curve=curve,
        holders=[Tick(x(value), f"{value:,.6g}") for value in _ticks(most)],
        rates=[Tick(y(value), f"{value:,.6g}") for value in _ticks(highest)],
    )


def _ticks(most: float) -> Iterator[float]:
    """Round numbers from 0 to ``most``."""
    rough = most / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return (step * place for place in range(int(most / step) + 1))
