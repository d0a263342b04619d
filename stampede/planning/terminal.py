"""A plan, and its comparison with a run, in a terminal, 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from stampede import wording
from stampede.planning.against_run import PlanComparison
from stampede.planning.plan import CpuPlan, Plan
from stampede.report.terminal import wrapped


def plan_text(plan: Plan) -> Text:
    """The plan."""
    return _joined(
        [
            _lines(_headline(plan), "bold"),
            _load(plan),
            _hosts(plan),
            _services(plan),
            _steps(plan),
            _duration(plan),
            _sentences("Measured", plan.measured),
            _sentences("Assumed", plan.assumed, "yellow"),
        ]
    )


def comparison_text(comparison: PlanComparison) -> Text:
    """The comparison."""
    rows = [Text(f"{'':28}{'planned':>12}{'used':>12}{'used/planned':>15}", "dim")]
    for each in comparison.figures:
        ratio = wording.NONE if each.ratio is None else f"{each.ratio:.2f}"
        row = Text(f"{wording.printable(each.figure)[:27]:28}")
        row.append(f"{_figure(each.planned, each.unit):>12}{_figure(each.used, each.unit):>12}")
        colour = "" if each.within is None else "green" if each.within else "red"
        rows.append(row.append(f"{ratio:>15}", colour))
    about = (
        f"Planned by {comparison.calibration}; used by {comparison.run} in the "
        f"{wording.duration(comparison.seconds)} of its steady phase, memory at its highest."
    )
    return _joined(
        [
            _lines(comparison.headline, "bold"),
            *(_lines(warning, "yellow") for warning in comparison.warnings),
            Text("\n").join(rows),
            _lines(about, "dim"),
        ]
    )


def _joined(parts: Iterable[Text]) -> Text:
    return Text("\n\n").join(part for part in parts if part.plain)


def _lines(words: str, style: str = "") -> Text:
    return Text("\n".join(wrapped(wording.printable(words))), style)


def _sentences(heading: str, sentences: list[str], style: str = "dim") -> Text:
    lines = [line for sentence in sentences for line in wrapped(f"- {wording.printable(sentence)}", indent="  ")]
    return Text("\n".join([f"{heading}:", *lines]), style) if sentences else Text()


def _headline(plan: Plan) -> str:
    hosts = wording.number(plan.hosts.number, "load host")
    cores = wording.number(plan.hosts.cores, "core")
    return (
        f"{wording.number(plan.holders, 'holder')} on {hosts} of {cores} for {wording.duration(plan.duration)} make "
        f"{_figure(plan.steps_per_second, '/s')} steps in {_figure(plan.rounds_per_second, '/s')} rounds."
    )


def _load(plan: Plan) -> Text:
    rows = [("holders", f"{plan.holders:,}, started over {wording.duration(plan.ramp_up)}")]
    if plan.arrivals_per_second:
        rows.append(
            ("arrivals", f"{_figure(plan.arrivals_per_second, '/s')}; each stays {wording.duration(plan.visit)}")
        )
    if plan.rounds_per_second:
        thinking = wording.duration(plan.think_time)
        rows.append(
            (
                "rounds",
                f"{_figure(plan.rounds_per_second, '/s')}; each takes {wording.duration(plan.round)}, of which "
                f"{thinking} are think time",
            )
        )
    presentations = plan.steps.get("present_proof")
    if presentations:
        rows.append(("presentations", _figure(presentations.per_second, "/s")))
    return _table(rows)


def _hosts(plan: Plan) -> Text:
    hosts = plan.hosts
    share = wording.percent(hosts.cpu / hosts.cores)
    of_which = (
        f"; {wording.number(hosts.agents, 'agent')} and the controller can use {hosts.usable_cores} of {hosts.cores}"
    )
    at_most = f"used at {wording.percent(hosts.utilisation)} at most"
    limits = {
        "cpu": f"cores, {at_most}{of_which if hosts.usable_cores < hosts.cores else ''}",
        "controller": f"the controller, one process, which may use {wording.percent(hosts.utilisation)} of a core",
        "memory": "memory",
        "sockets": "open files (stampede_open_files)",
    }
    rows = [
        ("load hosts", f"{hosts.number:,}; their number is decided by {limits[hosts.limited_by]}"),
        ("each host uses", f"{_figure(hosts.cpu, 'cores')} of {hosts.cores} ({share}) at its busiest"),
        ("", f"{wording.size(hosts.memory)} of {wording.size(hosts.memory_available)} of memory"),
        ("", f"{hosts.sockets:,.0f} TCP sockets"),
        ("CPU of agents", _cpu(plan.agents_cpu)),
        ("CPU of controllers", _cpu(plan.controllers_cpu)),
        ("memory of agents", wording.size(plan.agents_memory)),
        ("memory of controllers", wording.size(plan.controllers_memory)),
    ]
    return _table(rows)


def _cpu(cpu: CpuPlan) -> str:
    return (
        f"{_figure(cpu.steady, 'cores')} ({cpu.low:.2g} to {cpu.high:.2g}); "
        f"{_figure(cpu.busiest, 'cores')} while holders arrive"
    )


def _services(plan: Plan) -> Text:
    lines = [Text(f"{'Services will see':24}{'steps':>9}{'requests':>10}{'while holders arrive':>31}", "dim")]
    for name, each in plan.services.items():
        busiest = f"{_figure(each.busiest_steps, '/s'):>13}{_figure(each.busiest_requests, '/s'):>10}"
        line = f"{wording.printable(name)[:23]:24}{_figure(each.steps, '/s'):>9}{_figure(each.requests, '/s'):>10}"
        lines.append(Text(f"{line}{busiest:>31}"))
    return Text("\n").join(lines) if plan.services else Text()


def _steps(plan: Plan) -> Text:
    head = f"{'Steps':34}{'rate':>9}{'takes':>10}{'agents':>10}{'controller':>12}"
    lines = [Text(head, "dim")]
    for name, step in plan.steps.items():
        about = "" if step.told_apart else "~"
        agents = about + wording.seconds(step.agents_cpu)
        lines.append(
            Text(
                f"{wording.printable(name)[:33]:34}{_figure(step.per_second, '/s'):>9}"
                f"{wording.seconds(step.service_time):>10}{agents:>10}{wording.seconds(step.controller_cpu):>12}"
            )
        )
    return Text("\n").join(lines)


def _duration(plan: Plan) -> Text:
    rows = [("duration", wording.duration(plan.duration))]
    if plan.percentile:
        each = plan.percentile
        low, high = each.percentile - each.half_width, each.percentile + each.half_width
        rows.append(
            (
                f"for p{each.percentile:g}",
                f"{each.samples:,} samples of each step, {wording.duration(each.seconds)} for {each.rarest}; in 19 "
                f"of 20 runs it then lies between the true p{low:g} and p{high:g} (order statistics)",
            )
        )
    if plan.price:
        price = plan.price
        charged = f"; {price.by_started_hours:,.2f} where each hour that has begun is charged"
        rows.append(("price", f"{price.total:,.2f} at {price.per_host_hour:g} for a host and hour{charged}"))
    return _table(rows)


def _table(rows: list[tuple[str, str]]) -> Text:
    lines = []
    for name, value in rows:
        first, *others = (
            wrapped(f"{name:22} {wording.printable(value)}", indent=" " * 23) if name else [f"{'':22} {value}"]
        )
        lines += [first, *others]
    return Text("\n".join(lines))


def _figure(value: float, unit: str) -> str:
    if unit == "/s":
        return wording.rate(value)
    if unit == "cores":
        return f"{value:.2f} cores"
    return wording.size(value) if unit == "bytes" else wording.count(value)
