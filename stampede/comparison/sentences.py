"""A comparison of two runs in words."""

from stampede import wording
from stampede.comparison.run_comparison import (
    RunFigures,
    SettingDifference,
    StepComparison,
    TimeDifference,
)
from stampede.schema.summary import RunOutcome, Summary

TEST = (
    "A step is slower or faster when p50 of its service time differs by at least 10 %, or p95 by at least 20 %, and "
    "by at least 5 ms, and the paired t-test over blocks of its records, corrected for their autocorrelation, gives "
    "p < 0.01. It fails more or less often when the share of failed steps differs by at least 1 percentage point and "
    "Fisher's exact test gives p < 0.01. All p-values are corrected for the number of tests (Holm)."
)
VERDICTS = {
    "slower": "slower",
    "faster": "faster",
    "mixed": "p50 and p95 differ in opposite directions",
    "no_difference": "no difference",
    "too_few": "too few records to tell",
    "only_a": "in run A only",
    "only_b": "in run B only",
}


def headline(steps: dict[str, StepComparison], outcome: str) -> str:
    """The result in a few words."""
    if outcome == "too_few":
        return "Too few records to tell"
    if outcome == "no_difference":
        return "No difference beyond noise"
    parts = []
    for verdict, words in (("slower", "slower"), ("faster", "faster"), ("mixed", "differently distributed")):
        names = [name for name, step in steps.items() if step.verdict == verdict]
        if names:
            parts.append(f"{wording.listed(names)} {'is' if len(names) == 1 else 'are'} {words}")
    for often in ("more often", "less often"):
        names = [name for name, step in steps.items() if _fails(step) == often]
        if names:
            parts.append(f"{wording.listed(names)} {'fails' if len(names) == 1 else 'fail'} {often}")
    names = [name for name, step in steps.items() if step.verdict in ("only_a", "only_b")]
    if names:
        parts.append(f"{wording.listed(names)} {'was' if len(names) == 1 else 'were'} executed in one run only")
    return "; ".join(parts)


def findings(steps: dict[str, StepComparison]) -> list[str]:
    """A sentence for each step that differs, and one for all others."""
    found = [f"{name}: {describe_step(step) or step_verdict(step)}." for name, step in steps.items() if step.differs]
    same = sum(step.verdict == "no_difference" and not step.differs for step in steps.values())
    too_few = [name for name, step in steps.items() if step.verdict == "too_few" and not step.differs]
    if same:
        found.append(f"{wording.number(same, 'step shows', 'steps show')} no difference beyond noise.")
    if too_few:
        found.append(f"There are too few records of {wording.listed(too_few)} to tell.")
    return found


def warnings(a: Summary, b: Summary, settings: list[SettingDifference], runs: dict[str, RunFigures]) -> list[str]:
    """Why the runs may differ for other reasons than the services: their settings, versions, generators, ends."""
    found = []
    if settings:
        names = wording.listed([setting.name for setting in settings], 5)
        found.append(f"The runs had different settings: {names}.")
    if runs["a"].hosts != runs["b"].hosts:
        found.append(f"Run A had {wording.number(runs['a'].hosts, 'load host')}, run B {runs['b'].hosts}.")
    versions = [name for name, version in a.run.versions.items() if b.run.versions.get(name, version) != version]
    if versions:
        found.append(f"The runs used different versions of {wording.listed(sorted(versions))}.")
    for name, run in runs.items():
        if run.bottleneck:
            found.append(
                f"In run {name.upper()} the load generator was the bottleneck: its times describe the generator."
            )
        if run.outcome in (RunOutcome.STOPPED, RunOutcome.BROKEN_OFF):
            found.append(f"Run {name.upper()} did not finish.")
        if run.outcome == RunOutcome.INCOMPLETE:
            found.append(f"The records of run {name.upper()} are incomplete.")
    return found


def step_verdict(step: StepComparison) -> str:
    """Whether a step differs, in a few words: "slower, fails more often"."""
    often = _fails(step)
    if not often:
        return VERDICTS[step.verdict] + _within_noise(step)
    fails = f"fails {often}"
    return fails if step.verdict in ("no_difference", "too_few") else f"{VERDICTS[step.verdict]}, {fails}"


def describe_step(step: StepComparison) -> str:
    """What differs in a step, with figures: "p50 1.62 s, was 550 ms (+195 %, p < 0.001)"; empty when nothing does."""
    if step.a is None or step.b is None:
        return ""
    parts = []
    for percentile, time in step.times.items():
        if time.differs:
            before, after = (run.service_time.figure(percentile) for run in (step.a, step.b))
            parts.append(f"{percentile} {wording.seconds(after)}, was {wording.seconds(before)} ({_change(time)})")
    if step.failed.differs and step.failed.p is not None:
        before, after = step.a.failed_share, step.b.failed_share
        parts.append(f"{wording.percent(after)} failed, was {wording.percent(before)} (p {_p(step.failed.p)})")
    return "; ".join(parts)


def _fails(step: StepComparison) -> str:
    """Whether a step fails "more often" or "less often"; empty when neither."""
    if not step.failed.differs or step.failed.points is None:
        return ""
    return "more often" if step.failed.points > 0 else "less often"


def _within_noise(step: StepComparison) -> str:
    """Of a step without a difference, which of its figures differ by what would matter, were it not for noise."""
    if step.verdict != "no_difference":
        return ""
    large = [f"{percentile} {_change(time)}" for percentile, time in step.times.items() if time.matters and time.p]
    return f" beyond noise ({'; '.join(large)})" if large else ""


def _change(time: TimeDifference) -> str:
    """How much a time changed: "+195 %, p < 0.001"."""
    p = f"p {_p(time.p)}" if time.p is not None else ""
    return f"{time.ratio - 1:+.0%}, {p}".replace("%", " %", 1) if time.ratio else p


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}" if value < 0.1 else f"= {value:.2f}"
