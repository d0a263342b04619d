"""The comparison of the load hosts in a sentence: which of them stand out, and by what."""

from collections.abc import Callable

from stampede import wording
from stampede.analysis.host_differences import MIN_RECORDS, outlier_ratio
from stampede.schema.host_summary import HostComparison, HostSummary, Outlier

MAX_HOSTS = 3
MAX_STEPS = 2  # of one host


def comparison_sentence(comparison: HostComparison | None, hosts: dict[str, HostSummary]) -> str:
    """The comparison in words; empty when there is none."""
    if comparison is None:
        return ""
    names = comparison.hosts
    if not comparison.figures:
        return (
            f"There is too little data to tell whether a host stands out: it takes {MIN_RECORDS} records of a step "
            "on two hosts that finished."
        )
    stand_out = comparison.stand_out
    if not stand_out:
        ranges = [_range_of_p95(hosts, names, comparison.steps), _range_of_cpu(hosts, names)]
        ranges = [text for text in ranges if text]
        return f"No host stands out{': ' if ranges else ''}{', '.join(ranges)}."
    sentences = []
    for name in sorted(stand_out, key=lambda name: -outlier_ratio(stand_out[name][0]))[:MAX_HOSTS]:
        others = next(other for other in names if other != name) if len(names) == 2 else "the others"
        sentences.append(f"{name} stands out: {wording.listed(_phrases(stand_out[name], others), most=10)}.")
    if len(stand_out) > MAX_HOSTS:
        more = len(stand_out) - MAX_HOSTS
        sentences.append(f"{wording.number(more, 'more host stands', 'more hosts stand')} out.")
    return " ".join(sentences)


def _phrases(outliers: list[Outlier], others: str) -> list[str]:
    """A phrase for each figure by which a host stands out from `others`."""
    phrases = []
    slow = [outlier for outlier in outliers if outlier.figure == "p95"]
    possessive = f"{others}'" if others.endswith("s") else f"{others}'s"
    for outlier in outliers:
        value, median = outlier.value, outlier.others
        match outlier.figure:
            case "p95" if outlier in slow[:MAX_STEPS]:
                phrases.append(
                    f"its {outlier.step} p95 of {wording.seconds(value)} is {_times_as(outlier)} {possessive} "
                    f"{wording.seconds(median)}"
                )
            case "failed_share":
                phrases.append(f"{wording.percent(value)} of its steps failed ({others}: {wording.percent(median)})")
            case "schedule_lag":
                phrases.append(
                    f"1 in 100 of its steps started more than {wording.seconds(value)} late "
                    f"({others}: {wording.seconds(median)})"
                )
            case "cpu":
                phrases.append(
                    f"its CPUs were {wording.percent(value)} busy on average ({others}: {wording.percent(median)})"
                )
            case "steps_per_holder":
                phrases.append(
                    f"it completed {wording.rate(value)} per holder ({others}: {wording.rate(median)})".replace(
                        "/s", " steps/s"
                    )
                )
    if len(slow) > MAX_STEPS:
        more = len(slow) - MAX_STEPS
        verb = "has" if more == 1 else "have"
        phrases.append(f"{wording.number(more, 'more step')} {verb} a p95 above {possessive}")
    return phrases


def _times_as(outlier: Outlier) -> str:
    ratio = outlier_ratio(outlier)
    return f"{ratio:.1f} times" if ratio < 99.5 else "far above"


def _range_of_p95(hosts: dict[str, HostSummary], names: list[str], steps: list[str]) -> str:
    """The lowest and the highest p95 of the slowest step; empty when there is no step to compare."""
    if not steps:
        return ""
    step = max(steps, key=lambda step: max(hosts[name].p95[step] for name in names))
    p95 = {name: hosts[name].p95[step] for name in names}
    return f"their p95 of {step} is {_range(p95, wording.seconds)}"


def _range_of_cpu(hosts: dict[str, HostSummary], names: list[str]) -> str:
    cpu = {name: cpu for name in names if (cpu := hosts[name].cpu) is not None}
    return f"their CPUs were {_range(cpu, wording.percent)} busy on average" if len(cpu) > 1 else ""


def _range(values: dict[str, float], words: Callable[[float], str]) -> str:
    """The lowest value and the highest, and whose they are."""
    low, high = (pick(values, key=lambda name: values[name]) for pick in (min, max))
    if words(values[low]) == words(values[high]):
        return words(values[low])
    return f"{words(values[low])} ({low}) to {words(values[high])} ({high})"
