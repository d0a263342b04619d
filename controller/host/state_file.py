"""Writes ``state.json``: where this host stands."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from pathlib import Path

from controller.agents.inbox import Overflow
from controller.agents.pool import AgentPool
from controller.metrics.journal import Journal
from controller.metrics.monitor import AgentUsage, Sample
from controller.metrics.push_process import PushProcess
from controller.run.run import Run
from stampede.machine.files import write_json_anyway
from stampede.schema import plain_numbers, state
from stampede.schema.json_form import to_json
from stampede.schema.phases import ENDED, Phase
from stampede.schema.records import Outcome
from stampede.schema.settings.run_settings import Settings
from stampede.schema.state import AgentState, HolderState, HostState, Losses, StageState, StepState


class StateFile:
    """The file, and what it says beyond what run, agents and pusher know themselves.

    ``run``, ``pool``, ``journal``, ``push``, ``push_otlp`` and ``overflow`` are set as soon as there are any.
    """

    def __init__(self, settings: Settings, run_dir: Path) -> None:
        self.phase = Phase.STARTING
        self.message = ""
        """Why the run fails or ends; else a problem that does not end it takes its place."""
        self.start_at: float | None = None
        self.order = 0
        """The number of the newest order that was taken."""
        self.run: Run | None = None
        self.pool: AgentPool | None = None
        self.journal: Journal | None = None
        self.push: PushProcess | None = None
        self.push_otlp: PushProcess | None = None
        self.overflow = Overflow()
        self._settings = settings
        self.total = settings.load.total
        """Holders of the load as it is now."""
        self._path = run_dir / state.FILE
        self._phase_since = time.time()
        self._steps_before = 0
        self._sample = Sample()

    def enter(self, phase: Phase) -> None:
        """The host has come to ``phase`` now."""
        self.phase, self._phase_since = phase, time.time()

    def write(self, sample: Sample) -> None:
        """Write it. ``sample`` is what was measured since it was written last.

        On a disk that is full it may have to do without the figures; without any room at all, the former one stays.
        """
        self._sample = sample
        found = self._state(sample)
        without_figures = replace(found, errors={}, p95={}, by_step={}, thresholds=(), agents=())
        for state_now in (found, without_figures):
            with contextlib.suppress(OSError):
                write_json_anyway(self._path, to_json(state_now))
                return

    def write_again(self) -> None:
        """Write it at once, with what was measured last. To be called while no steps are made."""
        self.write(self._sample)

    def _state(self, sample: Sample) -> HostState:
        run, settings = self.run, self._settings
        duration = (run.load if run else settings.load).plan.duration
        return HostState(
            run=settings.run_id,
            host=settings.host_name,
            pid=os.getpid(),
            phase=self.phase,
            phase_since=self._phase_since,
            time=time.time(),
            start_at=self.start_at,
            order=self.order,
            ends_at=self.start_at + duration if self.start_at and duration else None,
            stage=self._stage(),
            message=self.message or self._problem(),
            holders=self._holders(),
            steps=self._steps(),
            errors=dict(run.figures.errors) if run else {},
            p95=run.figures.p95() if run else {},
            by_step=run.figures.by_step() if run else {},
            thresholds=run.tallies.states(run.clock.now()) if run else (),
            lag_p99=sample.lag_p99,
            loop_lag_max=sample.loop_lag_max,
            cpu=sample.cpu,
            rss=sample.rss,
            agents=self._agents(sample),
            host_cpu=sample.host_cpu,
            host_cores=sample.host_cores,
            host_memory_used=sample.host_memory_used,
            losses=self._losses(),
            push=self.push.progress() if self.push else None,
            push_otlp=self.push_otlp.progress() if self.push_otlp else None,
        )

    def _stage(self) -> StageState | None:
        if not self.run or self.start_at is None or self.phase != Phase.RUNNING:
            return None
        now = self.run.stage_at(self.run.clock.now())
        return now and StageState(now.number, now.stages, self.start_at + now.ends)

    def _holders(self) -> HolderState:
        run, pool = self.run, self.pool
        return HolderState(
            total=self.total,
            ready=pool.ready if pool else 0,
            active=run.active if run else 0,
            finished=run.finished if run else 0,
            stopped=run.stopped if run else 0,
            started=run.started if run else 0,
            dropped=run.dropped if run else 0,
            rounds=run.rounds if run else 0,
            rounds_dropped=run.rounds_dropped if run else 0,
        )

    def _steps(self) -> StepState:
        run = self.run
        if run is None:
            return StepState()
        outcomes = run.figures.outcomes
        ended = outcomes.total()
        per_second, self._steps_before = ended - self._steps_before, ended
        return StepState(
            ok=outcomes[Outcome.OK],
            failed=outcomes[Outcome.FAILED],
            interrupted=outcomes[Outcome.INTERRUPTED],
            per_s=per_second,
            in_flight=run.recorder.in_flight,
        )

    def _agents(self, sample: Sample) -> tuple[AgentState, ...]:
        found = []
        for agent in self.pool.agents if self.pool else ():
            usage = sample.agents.get(agent.name, AgentUsage())
            found.append(AgentState(agent.name, agent.pid or 0, usage.cpu, usage.rss, agent.restarts, agent.is_up))
        return tuple(found)

    def _losses(self) -> Losses:
        return Losses(
            records=self.journal.missing if self.journal else 0,
            messages=self.overflow.lost,
        )

    def _problem(self) -> str:
        """What does not stop the run, but somebody may want to do something about now."""
        if self.journal and self.journal.problem:
            return self.journal.problem
        losses = self._losses()
        if losses.records:
            return f"{_were(losses.records, 'record')} lost while the disk was full"
        if losses.messages:
            dropped = _were(losses.messages, "message to holders", "messages to holders")
            return f"{dropped} dropped; stampede_inbox_limit is {self._settings.inbox_limit}"
        if self.run and self.run.dropped:
            return f"{_were(self.run.dropped, 'arrival')} dropped, because all holders that there may be were busy"
        if self.run and self.run.rounds_dropped:
            return f"{_were(self.run.rounds_dropped, 'round')} dropped, because no holder was free"
        pushes = [push for push in (self.push, self.push_otlp) if push and self.phase not in ENDED]
        return next(filter(None, (push.progress().error for push in pushes)), "")


def _were(number: int, one: str, many: str = "") -> str:
    """So many of a thing, and the verb: "1 round was", "2 rounds were"."""
    return f"{plain_numbers.number(number, one, many)} {'was' if number == 1 else 'were'}"
