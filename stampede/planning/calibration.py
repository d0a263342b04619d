"""A finished run as the measure of what the next one will take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stampede import wording
from stampede.analysis.collected_run import CollectedRun, read_run
from stampede.analysis.load_window import Window
from stampede.machine.home import HOME
from stampede.planning.step_costs import Costs, fit_costs
from stampede.planning.usage import edges_between, idle_cores, observe, peak_sum, processes
from stampede.prepare.rendering import find_scripts, render_scenario
from stampede.results.journal_columns import OK
from stampede.schema.errors import BadInput
from stampede.schema.summary import RunOutcome
from stampede.version import VERSION

FEWEST_STEPS = 100
FEWEST_OF_A_STEP = 5
SHORTEST = 30.0
"""Seconds of load that can be planned by."""
MOST_FAILED = 0.05
HOLDER_MEMORY = 129 * 1024
"""Bytes for a connected holder, by ``benchmarks/sockets.py``; used where a run has too few holders to tell."""
MANY_HOLDERS = 100
"""Of an agent, from which on its growth tells what a holder takes; and of a host, for its sockets."""
PHONE_SOCKETS = 1
"""Of a holder whose messages come over a WebSocket; used where a run has too few holders to tell."""
ENDS_HERE = 4
"""Sockets on a host that has the reference services, too, for each such WebSocket: both its ends, at the services'
gateway and at the mediator behind it."""


@dataclass(frozen=True)
class StepMeasured:
    """A step that ended ok: how often, and its mean service time in seconds."""

    number: int
    service_time: float


@dataclass(frozen=True)
class Sockets:
    """TCP sockets of a host without holders, and how many more with each; ``measured`` is whether the latter is."""

    base: float
    holder: float
    measured: bool


@dataclass(frozen=True)
class Calibration:
    """What a run measured. Memory in bytes."""

    run: CollectedRun
    settings: Mapping[str, Any]
    steps: Mapping[str, StepMeasured]
    agents: Costs
    controller: Costs
    agent_count: int
    host_count: int
    agent_memory: float
    """Of one agent, without its holders."""
    holder_memory: float
    holder_memory_measured: bool
    controller_memory: float
    """Of one controller."""
    sockets: Sockets
    cores: int
    memory: int
    """Of a host; 0 where it is not known."""

    @property
    def id(self) -> str:
        """The run's."""
        return self.run.summary.run.id


def calibrate(results: Path, project: Path, *, in_spite_of_bottleneck: bool) -> Calibration:
    """Read a run's results as a calibration. Raises BadInput for those that hold too little, and ReportError."""
    run = read_run(results)
    window = run.window
    sentence = _too_little(run, in_spite_of_bottleneck=in_spite_of_bottleneck) or _other_script(run, project)
    if sentence or window is None:
        raise BadInput(f"{results} cannot be planned by: {sentence or 'it had no load'}")
    journal, settings = run.journal, run.results.settings
    if settings.get("stampede_script") is None:
        raise BadInput(f"{results} cannot be planned by: its run.json holds no settings, so its script is not known")
    edges = edges_between(0.0, window.seconds)
    of_agents, of_controllers = (
        fit_costs(observe(journal, window, samples, edges), idle_cores(journal, window, samples))
        for samples in (journal.agent, journal.load)
    )
    agents, hosts = processes(journal.agent), processes(journal.load)
    if not agents or not hosts:
        raise BadInput(f"{results} cannot be planned by: it holds no figures of agents and controllers")
    holder_memory, measured = _holder_memory(run, window, agents)
    agents_memory = (peak_sum(journal.agent, "rss") or 0.0) - holder_memory * (_most_holders(run) or 0)
    records = [host.record for host in run.results.hosts]
    return Calibration(
        run,
        settings,
        _measured(run),
        of_agents,
        of_controllers,
        agent_count=agents,
        host_count=hosts,
        agent_memory=max(0.0, agents_memory) / agents,
        holder_memory=holder_memory,
        holder_memory_measured=measured,
        controller_memory=(peak_sum(journal.load, "rss") or 0.0) / hosts,
        sockets=_sockets(run),
        cores=min((record.cores for record in records if record.cores), default=0),
        memory=min((record.memory for record in records if record.memory), default=0),
    )


def _too_little(run: CollectedRun, *, in_spite_of_bottleneck: bool) -> str:
    """Why a run cannot be planned by, as the rest of a sentence; empty when it can."""
    summary = run.summary
    ended = summary.load.ended
    versions = {name: text for name, text in summary.run.versions.items() if ", " in text}
    if run.window is None or summary.run.outcome == RunOutcome.NO_LOAD:
        return "no step was executed"
    if run.window.seconds < SHORTEST or ended < FEWEST_STEPS:
        return (
            f"it had {wording.number(ended, 'step')} in {wording.duration(run.window.seconds)}; at least "
            f"{FEWEST_STEPS} in {SHORTEST:g} s are needed"
        )
    if summary.load.failed > MOST_FAILED * ended:
        share = wording.percent(summary.load.failed / ended)
        return f"{share} of its steps failed; at most {wording.percent(MOST_FAILED)} may"
    if summary.run.outcome in (RunOutcome.BROKEN_OFF, RunOutcome.INCOMPLETE):
        return f"it is not whole ({summary.run.headline.rstrip('.')})"
    if versions:
        name, text = next(iter(versions.items()))
        return f"its hosts had several versions of {name} ({text}); all must have the same"
    if summary.generator.bottleneck and not in_spite_of_bottleneck:
        return (
            f"the load generator was its bottleneck ({summary.generator.reasons[0].rstrip('.')}), so its service "
            "times are too long; repeat it with fewer holders, or plan with --in-spite-of-bottleneck"
        )
    return ""


def _other_script(run: CollectedRun, project: Path) -> str:
    """Why the script is not the one that the run had, as the rest of a sentence; empty when it is."""
    settings = run.results.settings
    kept = next((host.script for host in run.results.hosts if host.script), "")
    if not kept or "stampede_script" not in settings:
        return ""
    there = set(kept.splitlines())
    for script in find_scripts(settings, HOME / "templates", project):
        lines = render_scenario(script.path, script.variables).splitlines()
        changed = [line.strip() for line in lines if line.strip() and line not in there]
        if changed := [line for line in changed if not line.startswith("from __future__")]:
            new = changed[0][:60]
            return f"{script.path} has been changed since ({new!r} was not in it); run it again, as it is now"
    return ""


def _measured(run: CollectedRun) -> dict[str, StepMeasured]:
    records = run.journal.steps
    name, ok = np.asarray(records.step), np.asarray(records.outcome) == OK
    times = np.asarray(records.service_time)
    found = {}
    for number, step in enumerate(run.journal.step_names.list):
        here = ok & (name == number)
        if here.any():
            found[step] = StepMeasured(int(here.sum()), float(times[here].mean()))
    return found


def _most_holders(run: CollectedRun) -> int | None:
    return run.summary.load.peak_active_holders


def _holder_memory(run: CollectedRun, window: Window, agents: int) -> tuple[float, bool]:
    """Bytes that an agent grows by for each holder, and whether that was measured."""
    holders = _most_holders(run) or 0
    samples = run.journal.agent
    before = np.asarray(samples.time) <= window.start
    if holders < MANY_HOLDERS * agents or not before.any():
        return HOLDER_MEMORY, False
    rss, process = samples.column("rss"), np.asarray(samples.host) * 100_000 + np.asarray(samples.source)
    grown = 0.0
    for which in np.unique(process):
        here = process == which
        if (here & before).any():
            grown += float(rss[here].max() - rss[here & before].max())
    return max(0.0, grown) / holders, True


def has_services(settings: Mapping[str, Any]) -> bool:
    """Whether the reference services ran on the load host."""
    return bool(settings.get("stampede_local") and settings.get("stampede_reference_services"))


def _sockets(run: CollectedRun) -> Sockets:
    """Fitted to the samples of a run with many holders. Those of a few cannot be told from the connections that
    agents and services keep among them, so that theirs are assumed."""
    samples, settings = run.journal.load, run.results.settings
    active, sockets = samples.column("active"), samples.column("sockets")
    known = np.isfinite(active) & np.isfinite(sockets) & (active > 0)
    active, sockets = active[known], sockets[known]
    if not active.size:
        return Sockets(0.0, 0.0, measured=False)
    most = float(active.max())
    if most >= MANY_HOLDERS and np.ptp(active) > 0:
        slope, base = np.polyfit(active, sockets, 1)
        return Sockets(max(0.0, float(base)), max(0.0, float(slope)), measured=True)
    of_phone = ENDS_HERE if has_services(settings) else PHONE_SOCKETS
    holder = of_phone if settings.get("stampede_mediator_pickup") == "websocket" else 0
    return Sockets(max(0.0, float(sockets.max()) - most * holder), holder, measured=False)


def scripts_of(settings: Mapping[str, Any]) -> str:
    """The script of a run, or its scripts with their weights, as recorded settings have them."""
    several = settings.get("stampede_scripts") or []
    named = [f"{entry.get('weight', 1)} x {entry['script']}" for entry in several]
    return " + ".join(named) or str(settings.get("stampede_script"))


def other_version(calibration: Calibration) -> str:
    """The version of Stampede that the run had, when it is not this one."""
    noted = calibration.run.summary.run.versions
    had = next((text for name, text in noted.items() if name.startswith("stampede")), VERSION)
    return had if had != VERSION else ""
