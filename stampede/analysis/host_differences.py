"""Which load host stands out? Each host's figures beside those of the other hosts.

A host stands out by a figure when the figure is at least 30 % worse than the median of the other hosts', and
worse by an amount that matters (`MIN_DIFFERENCE`). Both sides need at least 50 records of it. Where records are
counted (failed steps, steps slower than the others' p95, steps in all) the difference must also be beyond
chance: five standard errors of the two-proportion test, for steps in all of a Poisson count. That holds for
times of any distribution; in a simulation of identical hosts it named fewer than one in 20,000.

Only hosts that finished are compared. The figures of a host that was lost half-way are of another time, with another
load, and the report names that host anyway.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stampede.analysis.measured import Measured
from stampede.analysis.percentiles import percentile
from stampede.results.journal_columns import OK, JournalColumns
from stampede.schema.host_summary import GeneratorSummary, HostComparison, HostSummary, Outlier
from stampede.schema.phases import Phase

FACTOR = 1.3
MIN_DIFFERENCE = {"failed_share": 0.01, "p95": 0.05, "schedule_lag": 0.05, "cpu": 0.2}
MIN_RECORDS = 50
BEYOND_CHANCE = 5.0  # standard errors
MAX_RATIO = 1000.0  # also for where the other hosts had nothing at all

type Floats = NDArray[np.float64]
type TimesByHost = dict[tuple[int, int], Floats]  # by the numbers of host and step


def service_times_by_host(journal: JournalColumns) -> TimesByHost:
    """The service times of the steps that ended ok, of each host and step."""
    records = journal.steps
    ok = np.flatnonzero(np.asarray(records.outcome) == OK)
    steps, hosts = max(1, len(journal.step_names.list)), max(1, len(journal.hosts.list))
    key = np.asarray(records.host)[ok] * steps + np.asarray(records.step)[ok]
    order = np.argsort(key.astype(np.min_scalar_type(steps * hosts)), kind="stable")  # small numbers sort fast
    times = np.asarray(records.service_time)[ok[order]]
    sizes = np.bincount(key, minlength=steps * hosts)
    parts = np.split(times, np.cumsum(sizes)[:-1])
    return {divmod(number, steps): part for number, part in enumerate(parts) if part.size}


def with_figures(
    hosts: dict[str, HostSummary],
    measured: Measured,
    times: TimesByHost,
    generator: GeneratorSummary,
) -> dict[str, HostSummary]:
    """The hosts with the figures that they are compared by; None where there is nothing to tell."""
    journal, part = measured.journal, measured.window
    owner = np.asarray(journal.steps.host)
    completed_by = owner[np.asarray(journal.steps.outcome) == OK]
    lag = np.asarray(journal.steps.response_time) - np.asarray(journal.steps.service_time)
    late = lag > 0
    owner, lag = owner[late], lag[late]
    completed = {}
    for name, host in hosts.items():
        number = journal.hosts.number(name)
        lag_here = lag[owner == number]
        ended, usage = host.steps.ended, generator.hosts.get(name)
        rate = part.rate(int((completed_by == number).sum())) if part and host.records else None
        completed[name] = replace(
            host,
            steps_per_second=rate,
            failed_share=host.steps.failed / ended if ended else None,
            p95={
                step: percentile(times[number, which], 95)
                for which, step in enumerate(journal.step_names.list)
                if (number, which) in times
            },
            schedule_lag=percentile(lag_here, 99) if lag_here.size else 0.0 if ended else None,
            cpu=usage.cpu_share.mean if usage else None,
            memory=usage.memory_share_max if usage else None,
            steps_per_holder=rate / host.holders if rate is not None and host.holders else None,
        )
    return completed


def compare_hosts(
    journal: JournalColumns, times: TimesByHost, hosts: dict[str, HostSummary], seconds: float
) -> HostComparison | None:
    """The `comparison` part of summary.json; None with fewer than two hosts that finished.

    `seconds` is the length of the load. When no host finished, those that were stopped are compared.
    """
    names = [name for name, host in hosts.items() if host.finished]
    names = names or [name for name, host in hosts.items() if host.phase == Phase.STOPPED]
    if len(names) < 2:
        return None
    comparison = _Comparison(journal, times, {name: hosts[name] for name in names}, seconds)
    outliers = {name: sorted(comparison.outliers(name), key=outlier_ratio, reverse=True) for name in names}
    return HostComparison(
        hosts=names,
        steps=comparison.steps,
        figures=comparison.figures,
        stand_out={name: found for name, found in outliers.items() if found},
    )


def outlier_ratio(outlier: Outlier) -> float:
    """How many times worse the host is than the others; at most MAX_RATIO."""
    worse, better = outlier.value, outlier.others
    if outlier.figure == "steps_per_holder":
        worse, better = better, worse
    return min(worse / better, MAX_RATIO) if better else MAX_RATIO


class _Comparison:
    """The hosts to compare, with the times of their steps; `figures` counts the comparisons that were possible."""

    def __init__(
        self, journal: JournalColumns, times: TimesByHost, hosts: dict[str, HostSummary], seconds: float
    ) -> None:
        self._hosts = hosts
        self._seconds = seconds
        self._times = {
            (name, step): times[key]
            for name in hosts
            for which, step in enumerate(journal.step_names.list)
            if (key := (journal.hosts.number(name), which)) in times and times[key].size >= MIN_RECORDS
        }
        compared = dict.fromkeys(step for _, step in self._times)
        self.steps = [step for step in compared if all((name, step) in self._times for name in hosts)]
        self.figures = 0

    def outliers(self, name: str) -> list[Outlier]:
        """The figures by which a host stands out, in no order."""
        found = [self._p95(name, step) for host, step in self._times if host == name]
        if self._hosts[name].steps.ended >= MIN_RECORDS:
            found += [self._failed_share(name), self._schedule_lag(name), self._cpu(name)]
        found.append(self._steps_per_holder(name))
        return [outlier for outlier in found if outlier]

    def _p95(self, name: str, step: str) -> Outlier | None:
        """The p95 of a step; chance is ruled out by how many of the host's records are above the others' p95."""
        others = [other for other in self._hosts if other != name and (other, step) in self._times]
        if not others:
            return None
        median = float(np.median([self._hosts[other].p95[step] for other in others]))
        outlier = self._outlier("p95", self._hosts[name].p95[step], median, step)
        if not outlier:
            return None
        times, times_of_others = self._times[name, step], [self._times[other, step] for other in others]
        slower, slower_of_others = (times > median).sum(), sum((other > median).sum() for other in times_of_others)
        total_of_others = sum(other.size for other in times_of_others)
        chance = not _beyond_chance(int(slower), times.size, int(slower_of_others), total_of_others)
        return None if chance else outlier

    def _failed_share(self, name: str) -> Outlier | None:
        others, host = self._others(name), self._hosts[name]
        outlier = self._outlier("failed_share", host.failed_share, _median([other.failed_share for other in others]))
        if not outlier:
            return None
        failed, ended = sum(other.steps.failed for other in others), sum(other.steps.ended for other in others)
        return outlier if _beyond_chance(host.steps.failed, host.steps.ended, failed, ended) else None

    def _schedule_lag(self, name: str) -> Outlier | None:
        others = _median([other.schedule_lag for other in self._others(name)])
        return self._outlier("schedule_lag", self._hosts[name].schedule_lag, others)

    def _cpu(self, name: str) -> Outlier | None:
        return self._outlier("cpu", self._hosts[name].cpu, _median([other.cpu for other in self._others(name)]))

    def _steps_per_holder(self, name: str) -> Outlier | None:
        """The fewer, the worse; this also finds a host that hardly ran a step."""
        host = self._hosts[name]
        value, median = host.steps_per_holder, _median([other.steps_per_holder for other in self._others(name)])
        if value is None or not median:
            return None
        self.figures += 1
        expected = median * (host.holders or 0) * self._seconds
        missing = expected - value * (host.holders or 0) * self._seconds
        if expected < MIN_RECORDS or missing < BEYOND_CHANCE * math.sqrt(expected) or median < FACTOR * value:
            return None
        return Outlier("steps_per_holder", None, value, median)

    def _others(self, name: str) -> list[HostSummary]:
        """The other hosts that ran enough steps to be compared with."""
        return [host for other, host in self._hosts.items() if other != name and host.steps.ended >= MIN_RECORDS]

    def _outlier(
        self, figure: str, value: float | None, others: float | None, step: str | None = None
    ) -> Outlier | None:
        if value is None or others is None:
            return None
        self.figures += 1
        if value < FACTOR * others or value - others < MIN_DIFFERENCE[figure]:
            return None
        return Outlier(figure, step, value, others)


def _median(values: list[float | None]) -> float | None:
    """Of the values that are known."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _beyond_chance(count: int, total: int, count_of_others: int, total_of_others: int) -> bool:
    """Whether a share exceeds the others' by more than chance explains: the two-proportion test."""
    pooled = (count + count_of_others) / (total + total_of_others)
    error = math.sqrt(pooled * (1 - pooled) * (1 / total + 1 / total_of_others))
    return error > 0 and (count / total - count_of_others / total_of_others) / error >= BEYOND_CHANCE
