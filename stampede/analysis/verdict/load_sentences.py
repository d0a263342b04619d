"""Sentences about the load: how much there was, where the time went, what was slow, what failed first."""

from stampede import wording
from stampede.analysis.generator import LATE
from stampede.schema.summary import ErrorSummary, MeasuredPart, StepSummary, Summary, TimeSpent

MAX_SLOWEST = 3
MAX_STEPS = 3  # by the time spent in them


def load_sentence(summary: Summary) -> str:
    """How much load there was; empty when there was none."""
    load = summary.load
    if not load.ended:
        return ""
    hosts = wording.number(sum(1 for host in summary.hosts.values() if host.steps.total), "host")
    peak = load.peak_active_holders
    text = (
        f"{f'Up to {wording.number(peak, "active holder")} on {hosts}' if peak else hosts} completed "
        f"{wording.number(load.ok, 'step')} in {wording.duration(summary.run.duration)}"
    )
    if load.steps_per_second is not None:
        text += f": {wording.rate(load.steps_per_second).replace('/s', ' steps/s')}"
        text += " while it was measured" if summary.measured else ""
    if load.presentations:
        if load.presentations_per_second is not None:
            rate = wording.rate(load.presentations_per_second)
            text += f", including {rate.replace('/s', f' {load.presentations_are} presentations/s')}"
        if unknown := load.presentations_acknowledged:
            were = wording.number(unknown, "presentation was", "presentations were")
            text += f". {were} acknowledged only: no result request asked the verifier what it found"
        if sent := load.presentations_sent:
            were = wording.number(sent, "presentation was", "presentations were")
            text += f". {were} sent only: the service's done is sent, so that no acknowledgement was awaited"
    if load.interrupted:
        steps = wording.number(load.interrupted, "step was", "steps were")
        text += f". {steps} still in flight at the end and cut off"
    return text + "."


def left_out_sentence(measured: MeasuredPart | None) -> str:
    """What the figures are about, and what they leave out; empty where they are about the whole run."""
    if measured is None:
        return ""
    total = sum(counts.total for counts in measured.left_out.values())
    failed = sum(counts.failed for counts in measured.left_out.values())
    text = f"Measured from {wording.clock(measured.since)} to {wording.clock(measured.until)}"
    if not total:
        return f"{text}; no step ended in the warm-up or the cool-down."
    are = wording.number(total, "step is", "steps are")
    of_which = f", {failed:,} of which failed" if failed else ""
    return f"{text}; {are} left out of times and rates, having ended before or after that{of_which}."


def time_spent_sentence(spent: TimeSpent) -> str:
    """Where the holders' time went; empty when there were no steps."""
    if not spent.in_steps:
        return ""
    shares = [(name, wording.percent(step.share)) for name, step in spent.steps.items() if step.seconds]
    largest = [
        f"{name} {'took ' if not rank else ''}{share}" for rank, (name, share) in enumerate(shares[:MAX_STEPS])
    ]
    text = f"Of the time in steps, {wording.listed(largest)}"
    if not spent.active:
        return f"{text}."
    waited = min((spent.waiting or 0.0) / spent.active, 1.0)
    return f"{text}. Holders spent {wording.percent(1 - waited)} of their time in steps and the rest waiting."


def slowest_sentence(steps: dict[str, StepSummary]) -> str:
    """The slowest steps; empty when none ended ok."""
    by_p95 = sorted(((step.service_time.p95 or 0.0, name) for name, step in steps.items() if step.ok), reverse=True)
    if not by_p95:
        return ""
    named = [f"{name} {wording.seconds(p95)}" for p95, name in by_p95[:MAX_SLOWEST]]
    return f"Slowest {'step' if len(by_p95) == 1 else 'steps'} by p95 service time: {', '.join(named)}."


def first_failure_sentence(errors: dict[str, ErrorSummary]) -> str:
    """What failed first; empty when nothing did."""
    if not errors:
        return ""
    name, error = min(errors.items(), key=lambda entry: entry[1].first.after or 0.0)
    first = error.first
    step = f"{first.step} of holder {first.holder} on host {first.host}"
    detail = f", {first.detail.rstrip('.')}" if first.detail else ""
    return f"The first failure was at {wording.clock(first.after)}: {step} ({name}{detail})."


def checks_sentence(summary: Summary) -> str:
    """How many checks passed, and which failed most; empty when the script has none."""
    checks = summary.checks
    total = sum(check.passed + check.failed for check in checks.values())
    failed = sum(check.failed for check in checks.values())
    if not failed:
        every = wording.number(total, "check") if total > 1 else "one check"
        return f"{'All' if total > 1 else 'The'} {every} passed." if total else ""
    worst = sorted((name for name in checks if checks[name].failed), key=lambda name: -checks[name].failed)
    named = [f"{name} {checks[name].failed:,} of {checks[name].passed + checks[name].failed:,}" for name in worst]
    text = f"{failed:,} of {wording.number(total, 'check')} failed: {wording.listed(named)}."
    judged = {verdict.check for verdict in summary.thresholds}
    unjudged = [name for name in worst if name not in judged]
    if unjudged:
        text += " Failed checks without a threshold do not fail the run."
    return text


def limit_sentence(summary: Summary) -> str:
    """What gave way first, since when, and what to change, or that this is not known; empty when no step executed."""
    limits, unknown = summary.limits, summary.limits_unknown
    if not summary.steps:
        return ""
    if limits is None or (not limits and summary.generator.bottleneck is not False):
        return "What gave way first is not known: the load was too short for it, or too little was recorded."
    if not limits and unknown:
        return (
            "Neither a load host, nor an agent, nor the network was seen to give way. "
            f"Whether {wording.listed(unknown)} did is not known: there were too few steps."
        )
    if not limits:
        return "Nothing was seen to give way: neither a load host, nor an agent, nor the network, nor a service."
    first = limits[0]
    since = f"from {wording.duration(first.since)} after the start on" if first.since else "from the start"
    since += f" ({first.at[11:19]} UTC)" if first.at else ""
    others = list(dict.fromkeys(limit.name for limit in limits[1:] if limit.name != first.name))
    text = f"{first.text[0].upper()}{first.text[1:]}, {since}; {first.advice}."
    return f"{text} Then came {wording.listed(others)}." if others else text


def generator_sentence(summary: Summary) -> str:
    """Whether the load generator was the bottleneck, and why; empty when nothing is known and no step executed."""
    generator = summary.generator
    if generator.bottleneck is None:
        if not summary.steps:
            return ""
        return (
            "Whether the load generator was the bottleneck is not known: "
            "it recorded nothing about itself during the load."
        )
    late = [
        f"{due.late:,} of {wording.number(due.number, kind.replace('_', ' ').removesuffix('s'))}"
        for kind, due in generator.schedule_lag.by_kind.items()
        if due.late
    ]
    kept = [f"More than {wording.seconds(LATE)} late were {wording.listed(late)}."] if late else []
    if generator.bottleneck:
        shared = summary.run.settings.get("stampede_reference_services") is True
        reasons = [*generator.reasons, *(["The reference services shared its CPUs."] if shared else [])]
        return " ".join(["The load generator was the bottleneck.", *reasons, *kept])
    mean, peak = (wording.percent(share) for share in (generator.host_cpu_share.mean, generator.host_cpu_share.max))
    sentence = (
        "The load generator was not the bottleneck: 99 % of steps started within "
        f"{wording.seconds(generator.schedule_lag.p99)} of when they were due, "
        f"and its hosts' CPUs were {mean} busy on average, {peak} at most."
    )
    return " ".join([sentence, *kept])
