"""Which load host stands out? Each host's figures beside those of the other hosts.

A host stands out by a figure when the figure is at least 30 % worse than the median of the other hosts', and
worse by an amount that matters (`LEAST`). Both sides need at least 50 records of it. Where records are
counted (failed steps, steps slower than the others' p95, steps in all) the difference must also be beyond
chance: five standard errors of the two-proportion test, for steps in all of a Poisson count. That holds for
times of whatever distribution; of hosts that are alike, it named fewer than one in 20,000 in a simulation.

Compared are the hosts that came to the end of the run. Of one that was lost half-way the figures are of
another time, with another load, and it is named anyway.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stampede import wording
from stampede.results.journal_columns import OK, Journal

FACTOR = 1.3
LEAST = {"failed_share": 0.01, "p95": 0.05, "schedule_lag": 0.05, "cpu": 0.2}
FEWEST = 50  # records
CHANCE = 5.0  # standard errors
MOST_HOSTS = 3  # that are named in the sentence
MOST_STEPS = 2  # that are named of one host

type Times = dict[tuple[int, int], NDArray[np.float64]]  # by the numbers of host and step
type Host = dict[str, Any]  # what summary.json says of a host


def service_times(journal: Journal) -> Times:
    """The service times of the steps that were ok, of each host and step."""
    records = journal.steps
    ok = np.flatnonzero(np.asarray(records.outcome) == OK)
    kinds, owners = max(1, len(journal.step_names.list)), max(1, len(journal.hosts.list))
    key = np.asarray(records.host)[ok] * kinds + np.asarray(records.step)[ok]
    order = np.argsort(key.astype(np.min_scalar_type(kinds * owners)), kind="stable")  # small numbers sort fast
    times = np.asarray(records.service_time)[ok[order]]
    sizes = np.bincount(key, minlength=kinds * owners)
    parts = np.split(times, np.cumsum(sizes)[:-1])
    return {divmod(number, kinds): its for number, its in enumerate(parts) if its.size}


def add_figures(journal: Journal, times: Times, hosts: dict[str, Host], generator: dict[str, Any]) -> None:
    """Adds to each host of summary.json what it is compared by; None where there is nothing of it.

    `failed_share` of the steps that ended, `p95` of each step's service time, `schedule_lag` (its 99th
    percentile), `cpu` (mean share of all cores), `memory` (largest share), `steps_per_holder` (ok, per second).
    """
    owner = np.asarray(journal.steps.host)
    lag = np.asarray(journal.steps.response_time) - np.asarray(journal.steps.service_time)
    late = lag > 0
    owner, lag = owner[late], lag[late]
    for name, host in hosts.items():
        number = journal.hosts.number(name)
        its_lag = lag[owner == number]
        ended = host["steps"]["ok"] + host["steps"]["failed"]
        machine = generator["hosts"].get(name)
        rate = host["steps_per_second"]
        host |= {
            "failed_share": host["steps"]["failed"] / ended if ended else None,
            "p95": {
                step: float(np.percentile(its, 95))
                for which, step in enumerate(journal.step_names.list)
                if (its := times.get((number, which))) is not None
            },
            "schedule_lag": float(np.percentile(its_lag, 99)) if its_lag.size else 0.0 if ended else None,
            "cpu": machine["cpu_share"]["mean"] if machine else None,
            "memory": machine["memory_share_max"] if machine else None,
            "steps_per_holder": rate / host["holders"] if rate is not None and host["holders"] else None,
        }


def of(journal: Journal, times: Times, hosts: dict[str, Host], seconds: float | None) -> dict[str, Any] | None:
    """The `comparison` part of summary.json; None with fewer than two hosts that came to the end.

    `hosts` are those that are compared, `steps` those of which each of them has enough records, and `figures` is
    how many figures could be compared at all. `stand_out` says of each host that does by which figures, the worst
    first: `figure` (and `step`, for p95), the host's `value` and the `others`' median.
    """
    names = [name for name, host in hosts.items() if host["finished"]]
    names = names or [name for name, host in hosts.items() if host["phase"] == "stopped"]
    if len(names) < 2:
        return None
    comparison = _Comparison(journal, times, {name: hosts[name] for name in names}, seconds or 0.0)
    out = {name: sorted(comparison.outliers(name), key=_ratio, reverse=True) for name in names}
    return {
        "hosts": names,
        "steps": comparison.steps,
        "figures": comparison.figures,
        "stand_out": {name: its for name, its in out.items() if its},
    }


def sentence(comparison: dict[str, Any] | None, hosts: dict[str, Host]) -> str:
    """The comparison in words; nothing when there is none."""
    if comparison is None:
        return ""
    names = comparison["hosts"]
    if not comparison["figures"]:
        return (
            f"Whether a host stands out cannot be said: it takes {FEWEST} records of a step on two hosts that came "
            "to the end."
        )
    stand_out = comparison["stand_out"]
    if not stand_out:
        alike = [_range_of_cpu(hosts, names)]
        if comparison["steps"]:
            alike.insert(0, _range_of_p95(hosts, names, comparison["steps"]))
        alike = [text for text in alike if text]
        return f"No host stands out{': ' if alike else ''}{', '.join(alike)}."
    sentences = []
    for name in sorted(stand_out, key=lambda name: -_ratio(stand_out[name][0]))[:MOST_HOSTS]:
        others = f"{next(its for its in names if its != name)}'s" if len(names) == 2 else "the others'"
        sentences.append(f"{name} stands out: {wording.listed(_phrases(stand_out[name], others), most=10)}.")
    if len(stand_out) > MOST_HOSTS:
        more = len(stand_out) - MOST_HOSTS
        sentences.append(f"{wording.number(more, 'more host stands', 'more hosts stand')} out.")
    return " ".join(sentences)


class _Comparison:
    """The hosts to compare, with the times of their steps."""

    def __init__(self, journal: Journal, times: Times, hosts: dict[str, Host], seconds: float) -> None:
        self._hosts = hosts
        self._seconds = seconds
        self._times = {
            (name, step): its
            for name in hosts
            for which, step in enumerate(journal.step_names.list)
            if (its := times.get((journal.hosts.number(name), which))) is not None and its.size >= FEWEST
        }
        every = dict.fromkeys(step for _, step in self._times)
        self.steps = [step for step in every if all((name, step) in self._times for name in hosts)]
        self._ended = {name: its["steps"]["ok"] + its["steps"]["failed"] for name, its in hosts.items()}
        self.figures = 0

    def outliers(self, name: str) -> list[dict[str, Any]]:
        """The figures by which a host stands out, in no order."""
        found = [self._p95(name, step) for its, step in self._times if its == name]
        if self._ended[name] >= FEWEST:
            found += [self._failed(name), self._measured(name, "schedule_lag"), self._measured(name, "cpu")]
        found.append(self._steps_per_holder(name))
        return [outlier for outlier in found if outlier]

    def _failed(self, name: str) -> dict[str, Any] | None:
        others = self._others(name)
        failed = {other: its["steps"]["failed"] for other, its in self._hosts.items()}
        outlier = self._outlier("failed_share", self._of(name, "failed_share"), self._of_others(name, "failed_share"))
        theirs = sum(failed[other] for other in others), sum(self._ended[other] for other in others)
        return outlier if outlier and _beyond_chance(failed[name], self._ended[name], *theirs) else None

    def _p95(self, name: str, step: str) -> dict[str, Any] | None:
        """Its p95 against the others'; chance is ruled out by how many of its records are above theirs."""
        others = [other for other in self._hosts if other != name and (other, step) in self._times]
        if not others:
            return None
        median = float(np.median([self._hosts[other]["p95"][step] for other in others]))
        outlier = self._outlier("p95", self._hosts[name]["p95"][step], median, step)
        if not outlier:
            return None
        its, theirs = self._times[name, step], [self._times[other, step] for other in others]
        above = sum(int((times > median).sum()) for times in theirs)
        slower = int((its > median).sum()), its.size, above, sum(times.size for times in theirs)
        return outlier if _beyond_chance(*slower) else None

    def _measured(self, name: str, figure: str) -> dict[str, Any] | None:
        return self._outlier(figure, self._of(name, figure), self._of_others(name, figure))

    def _steps_per_holder(self, name: str) -> dict[str, Any] | None:
        """The fewer, the worse; also those of a host that hardly did a step."""
        figure = "steps_per_holder"
        its, median = self._of(name, figure), self._of_others(name, figure)
        if its is None or not median:
            return None
        self.figures += 1
        expected = median * self._hosts[name]["holders"] * self._seconds
        missing = expected - self._hosts[name]["steps"]["ok"]
        if expected < FEWEST or missing < CHANCE * math.sqrt(expected) or median < FACTOR * its:
            return None
        return {"figure": figure, "step": None, "value": its, "others": median}

    def _others(self, name: str) -> list[str]:
        """The other hosts that did enough to be compared with."""
        return [other for other in self._hosts if other != name and self._ended[other] >= FEWEST]

    def _of(self, name: str, figure: str) -> float | None:
        value: float | None = self._hosts[name][figure]
        return value

    def _of_others(self, name: str, figure: str) -> float | None:
        values = [value for other in self._others(name) if (value := self._of(other, figure)) is not None]
        return float(np.median(values)) if values else None

    def _outlier(
        self, figure: str, value: float | None, others: float | None, step: str | None = None
    ) -> dict[str, Any] | None:
        if value is None or others is None:
            return None
        self.figures += 1
        if value < FACTOR * others or value - others < LEAST[figure]:
            return None
        return {"figure": figure, "step": step, "value": value, "others": others}


def _beyond_chance(count: int, of: int, others_count: int, others_of: int) -> bool:
    """Whether a share is larger than the others' by more than chance gives: the two-proportion test."""
    pooled = (count + others_count) / (of + others_of)
    error = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / others_of))
    return error > 0 and (count / of - others_count / others_of) / error >= CHANCE


def _ratio(outlier: dict[str, Any]) -> float:
    """How many times worse the host is; at most 1000, for where the others had nothing at all."""
    worse, better = outlier["value"], outlier["others"]
    if outlier["figure"] == "steps_per_holder":
        worse, better = better, worse
    return float(min(worse / better, 1000.0)) if better else 1000.0


def _phrases(outliers: list[dict[str, Any]], others: str) -> list[str]:
    """By what a host stands out, a phrase each."""
    phrases = []
    slow = [outlier for outlier in outliers if outlier["figure"] == "p95"]
    for outlier in outliers:
        value, median = outlier["value"], outlier["others"]
        match outlier["figure"]:
            case "p95" if outlier in slow[:MOST_STEPS]:
                phrases.append(
                    f"its {outlier['step']} p95 of {wording.seconds(value)} is {_times_as(outlier)} {others} "
                    f"{wording.seconds(median)}"
                )
            case "failed_share":
                phrases.append(
                    f"{wording.percent(value)} of its steps failed ({others} share: {wording.percent(median)})"
                )
            case "schedule_lag":
                phrases.append(
                    f"one in a hundred of its steps began more than {wording.seconds(value)} late "
                    f"({others}: {wording.seconds(median)})"
                )
            case "cpu":
                phrases.append(
                    f"its processors were {wording.percent(value)} busy on average "
                    f"({others}: {wording.percent(median)})"
                )
            case "steps_per_holder":
                phrases.append(
                    f"it did {wording.rate(value)} per holder ({others} rate: {wording.rate(median)})".replace(
                        "/s", " steps/s"
                    )
                )
    if len(slow) > MOST_STEPS:
        more = len(slow) - MOST_STEPS
        phrases.append(f"{wording.number(more, 'more step')} {'has' if more == 1 else 'have'} a p95 above {others}")
    return phrases


def _times_as(outlier: dict[str, Any]) -> str:
    ratio = _ratio(outlier)
    return f"{ratio:.1f} times" if ratio < 99.5 else "far above"


def _range_of_p95(hosts: dict[str, Host], names: list[str], steps: list[str]) -> str:
    """The lowest and the highest p95 of the slowest of the steps."""
    step = max(steps, key=lambda step: max(hosts[name]["p95"][step] for name in names))
    p95 = {name: hosts[name]["p95"][step] for name in names}
    return f"their p95 of {step} is {_range(p95, wording.seconds)}"


def _range_of_cpu(hosts: dict[str, Host], names: list[str]) -> str:
    cpu = {name: hosts[name]["cpu"] for name in names if hosts[name]["cpu"] is not None}
    return f"their processors were {_range(cpu, wording.percent)} busy on average" if len(cpu) > 1 else ""


def _range(values: dict[str, float], words: Callable[[float], str]) -> str:
    """The lowest value and the highest, and whose they are."""
    low, high = (pick(values, key=lambda name: values[name]) for pick in (min, max))
    if words(values[low]) == words(values[high]):
        return words(values[low])
    return f"{words(values[low])} ({low}) to {words(values[high])} ({high})"
