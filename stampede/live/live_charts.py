"""The charts of a run in progress, in the form of the report's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stampede.live.history import WORST, History, Interval, Usage, worst
from stampede.report.charts.chart_data import Charts, Distributions, GeneratorChart, Mark, Series, StepChart
from stampede.report.charts.intervals import rounded
from stampede.report.charts.timeline import PERCENTILES
from stampede.schema import step_times

type Group = dict[tuple[str, str], dict[int, float]]
"""Counts of an interval by kind and name, and by bucket."""


def build_live_charts(history: History, marks: Sequence[Mark], host: str) -> Charts:
    """The charts of all hosts together; the load generator's are those of ``host``, or of the worst at each moment.

    Percentiles are to within 2.5 % (see ``step_times``); of times there are response times alone.
    """
    begin, width, intervals = history.begin or 0.0, history.width, history.intervals
    groups = [_grouped(interval) for interval in intervals]
    usage = [worst(interval.usage) if host == WORST else interval.usage.get(host) for interval in intervals]

    def rates(kind: str, name: str) -> Series:
        """So many per second of which something is known."""
        return [
            rounded(sum(group.get((kind, name), {}).values()) / interval.seconds) if interval.seconds else None
            for group, interval in zip(groups, intervals, strict=True)
        ]

    def step_chart(name: str) -> StepChart:
        failed = rates("failed", name)
        found = [_percentiles(group.get(("ok", name), {})) for group in groups]
        return StepChart(
            name=name,
            ok=rates("ok", name),
            failed=failed if any(failed) else None,
            service={},
            response={
                label: [each[number] if each else None for each in found] for number, label in enumerate(PERCENTILES)
            },
            distribution=Distributions(None, None),
        )

    return Charts(
        start=history.start or 0.0,
        width=width,
        seconds=begin + len(intervals) * width,
        x=[begin + (number + 0.5) * width for number in range(len(intervals))],
        steps=[step_chart(name) for name in history.steps],
        failures={name: {"": rates("error", name)} for name in history.errors},
        holders={
            "active": [interval.active for interval in intervals],
            "in_flight": [interval.in_flight for interval in intervals],
        },
        by_host={},
        hosts={host: _generator_chart(usage)} if any(usage) else {},
        marks=list(marks),
    )


def _grouped(interval: Interval) -> Group:
    found: Group = {}
    for key, count in interval.counts.items():
        found.setdefault((key.kind, key.name), {})[key.bucket] = count
    return found


def _percentiles(counts: dict[int, float]) -> Series | None:
    """Those that a chart shows; None where nothing ended."""
    found = step_times.quantiles(counts, [percent / 100 for percent in PERCENTILES.values()])
    return None if found is None else [rounded(value) for value in found]


def _generator_chart(usage: Sequence[Usage | None]) -> GeneratorChart:
    def series(figure: Callable[[Usage], float | None]) -> Series:
        found = [figure(each) if each else None for each in usage]
        return [None if value is None else rounded(value) for value in found]

    agents = dict.fromkeys(name for each in usage if each for name in each.agents)
    return GeneratorChart(
        host=series(lambda each: each.host),
        controller=series(lambda each: each.controller),
        memory=series(lambda each: each.memory),
        lag=series(lambda each: each.lag),
        loop=series(lambda each: each.loop),
        agents={name: series(lambda each, name=name: each.agents.get(name)) for name in agents},  # type: ignore[misc]
    )
