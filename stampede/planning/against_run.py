"""A plan against a run: what was predicted, what was used, and the ratio of both, over the run's steady phase."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stampede import wording
from stampede.analysis.collected_run import CollectedRun, read_run
from stampede.analysis.load_window import SECOND, Window
from stampede.analysis.next_stages import next_stages
from stampede.load_models import catalog
from stampede.planning.calibration import scripts_of
from stampede.planning.plan import KIND, VERSION, Plan
from stampede.planning.planner import service_name
from stampede.planning.usage import observe, peak_sum
from stampede.schema.errors import BadInput
from stampede.schema.json_form import from_json, parse

LARGEST_PLAN = 1_000_000
"""Bytes."""
WITHIN = 0.2
"""By which a plan may be off and still be a good one."""
SHORTEST = 10.0
"""Seconds of a steady phase that can be compared."""


@dataclass(frozen=True)
class Compared:
    """One figure: ``unit`` is empty, /s, cores or bytes. ``ratio`` is used to planned; None where that is nothing."""

    figure: str
    unit: str
    planned: float
    used: float
    ratio: float | None
    within: bool | None
    """Whether the run used within 20 % of what was planned."""


@dataclass(frozen=True)
class PlanComparison:
    """A plan and a run. ``warnings``: sentences about what the run did otherwise than planned."""

    headline: str
    warnings: list[str]
    calibration: str
    run: str
    seconds: float
    """Of the steady phase."""
    figures: list[Compared]


def read_plan(path: Path) -> Plan:
    """The plan that ``stampede plan --output`` wrote. Raises BadInput."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_PLAN + 1)
        if len(text) > LARGEST_PLAN:
            raise ValueError(f"it is longer than {LARGEST_PLAN:,} bytes")
        document = parse(text)
        if not isinstance(document, dict) or document.get("kind") != KIND or document.get("version") != VERSION:
            raise ValueError(f"it is not version {VERSION} of a plan")
        return from_json(Plan, document)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)[:300]
        raise BadInput(f"{path} cannot be read: {said}; it must be a plan by stampede plan --output") from None


def compare_plan(path: Path, results: Path) -> PlanComparison:
    """Compare a plan with a run's results. Raises BadInput, and ReportError as ``read_run`` does."""
    plan, run = read_plan(path), read_run(results)
    window = run.window
    steady = _steady(run, window, results)
    if (ran := scripts_of(run.results.settings)) != plan.script:
        raise BadInput(f"{results} ran the script {ran}; {path} plans {plan.script}")
    assert window is not None, "there is a steady phase"
    figures = _figures(plan, run, window, steady)
    judged = [figure for figure in figures if figure.within is not None]
    good = sum(1 for figure in judged if figure.within)
    return PlanComparison(
        headline=f"{good} of {len(judged)} figures are within {wording.percent(WITHIN)} of the plan.",
        warnings=_warnings(plan, run, steady[1] - steady[0]),
        calibration=plan.calibration,
        run=run.summary.run.id,
        seconds=steady[1] - steady[0],
        figures=figures,
    )


def _steady(run: CollectedRun, window: Window | None, results: Path) -> tuple[float, float]:
    """From when to when the run was steady, in seconds from its start. Raises BadInput when it never was."""
    try:
        planned = catalog.recorded_plan(run.results.settings, next_stages(run.journal))
    except (ValueError, BadInput) as error:
        raise BadInput(f"{results} cannot be compared with a plan: {error}") from None
    begin, end = planned.steady_after, planned.duration
    if window is None or not end or min(end, window.seconds) - begin < SHORTEST:
        raise BadInput(
            f"{results} cannot be compared with a plan: it had no steady phase of {SHORTEST:g} s; it must have a "
            "stampede_duration, longer than its stampede_ramp_up"
        )
    return begin, min(end, window.seconds)


def _figures(plan: Plan, run: CollectedRun, window: Window, steady: tuple[float, float]) -> list[Compared]:
    journal = run.journal
    seconds = steady[1] - steady[0]
    edges = np.array(steady)
    agents, controllers = (observe(journal, window, samples, edges) for samples in (journal.agent, journal.load))
    steps = dict(zip(agents.names, (agents.steps[0] / seconds).tolist(), strict=True))
    time = (np.asarray(journal.load.time) - window.start) / SECOND
    during = (time >= steady[0]) & (time <= steady[1])
    services = _services(run, window, steady)
    arrivals, rounds = (
        float(np.nansum(journal.load.column(name)[during])) / seconds for name in ("arrivals", "rounds")
    )
    arriving, target = plan.arrivals_per_second, _step_asked_for(plan)
    of_target = plan.steps[target].per_second if target else 0.0
    return [
        _compared("holders", "", plan.holders, _most(run)),
        *([_compared("arrivals", "/s", arriving, arrivals)] if arriving else []),
        _compared("rounds", "/s", plan.rounds_per_second, rounds),
        _compared("steps", "/s", plan.steps_per_second, sum(steps.values())),
        *([_compared(target, "/s", of_target, steps.get(target, 0.0))] if target else []),
        *(
            _compared(f"steps of {name}", "/s", each.steps, services.get(name, 0.0))
            for name, each in plan.services.items()
            if each.steps
        ),
        _compared("CPU of agents", "cores", plan.agents_cpu.steady, float(agents.cpu[0]) / seconds),
        _compared("CPU of controllers", "cores", plan.controllers_cpu.steady, float(controllers.cpu[0]) / seconds),
        _compared("memory of agents", "bytes", plan.agents_memory, peak_sum(journal.agent, "rss")),
        _compared("memory of controllers", "bytes", plan.controllers_memory, peak_sum(journal.load, "rss")),
        _compared("TCP sockets", "", plan.sockets, _sockets(run, during)),
        _compared("hosts", "", plan.hosts.number, len(journal.hosts.list)),
    ]


def _step_asked_for(plan: Plan) -> str:
    """The step that ``--target`` named; empty when it was about a service's requests, which no journal has."""
    of = plan.asked.of
    requests = plan.services[of].requests if of in plan.services else 0.0
    return of if of in plan.steps and not requests else ""


def _compared(figure: str, unit: str, planned: float, used: float | None) -> Compared:
    used = used or 0.0
    ratio = used / planned if planned else None
    return Compared(figure, unit, planned, used, ratio, None if ratio is None else abs(ratio - 1) <= WITHIN)


def _most(run: CollectedRun) -> float | None:
    return run.summary.load.peak_active_holders


def _sockets(run: CollectedRun, during: Any) -> float | None:
    """The sockets of all hosts, each at the median of the steady phase."""
    load = run.journal.load
    sockets, host = load.column("sockets"), np.asarray(load.host)
    known = during & np.isfinite(sockets)
    return sum(float(np.median(sockets[known & (host == which)])) for which in np.unique(host[known]))


def _services(run: CollectedRun, window: Window, steady: tuple[float, float]) -> dict[str, float]:
    """Steps per second of each service that ended in the steady phase."""
    records = run.journal.steps
    end = (np.asarray(records.end) - window.start) / SECOND
    service = np.asarray(records.service)[(end >= steady[0]) & (end <= steady[1])]
    found: dict[str, float] = {}
    for number, count in zip(*np.unique(service[service >= 0], return_counts=True), strict=True):
        name = service_name(run.journal.services.list[number])
        found[name] = found.get(name, 0.0) + int(count) / (steady[1] - steady[0])
    return found


def _warnings(plan: Plan, run: CollectedRun, seconds: float) -> list[str]:
    """What the run did otherwise than planned, whose steady phase lasted so long."""
    settings = run.results.settings
    sentences = [
        f"{name} is {settings.get(name)!r} in the run, and {value!r} in the plan."
        for name, value in plan.settings.items()
        if str(settings.get(name)) != str(value)
    ]
    if seconds < plan.round:
        sentences.append(
            f"The steady phase lasted {wording.duration(seconds)}, and a round {wording.duration(plan.round)}: steps "
            "that are done once in a round came as chance had it."
        )
    if run.summary.load.failed:
        share = wording.percent(run.summary.load.failed / max(run.summary.load.ended, 1))
        sentences.append(f"{share} of the run's steps failed; a plan knows of no failures.")
    if run.summary.generator.bottleneck:
        sentences.append("The load generator was the bottleneck of the run, so that it made less load than planned.")
    return sentences
