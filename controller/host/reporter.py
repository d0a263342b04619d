"""Measures what making the load costs, each second, and reports it: to the journal and to ``state.json``."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from statistics import fmean
from typing import NamedTuple

import psutil

from controller.agents.pool import AgentPool
from controller.host.state_file import StateFile
from controller.metrics.journal import Journal
from controller.metrics.monitor import Monitor, Sample, load_record
from controller.run.run import Run
from stampede.schema.records import AgentRecord, EventKind

AGENT_SAMPLES = 5
"""An ``agent`` record each so many seconds."""


class _Counted(NamedTuple):
    """By the run, until the last record."""

    arrivals: int = 0
    rounds: int = 0
    dropped: int = 0
    rounds_dropped: int = 0


class Reporter:
    """Reports on a run while its tasks ``report`` and ``watch_loop`` are running."""

    def __init__(
        self,
        run: Run,
        pool: AgentPool,
        journal: Journal,
        state_file: StateFile,
        announce: Callable[[EventKind, str, float], None],
    ) -> None:
        self._run = run
        self._pool = pool
        self._journal = journal
        self._state_file = state_file
        self._announce = announce
        self._counted = _Counted()
        self._agents_cpu: dict[str, list[float]] = defaultdict(list)
        """Cores in each second since the last records of the agents."""
        self._monitor = Monitor(run.pacer.take_lags, self._agent_processes)
        self.watch_loop = self._monitor.watch_loop

    async def watch_agents(self) -> None:
        """Measure the agents' lag; to be run as a task."""
        await asyncio.gather(*(agent.watch_loop() for agent in self._pool.agents))

    async def report(self) -> None:
        """Report each second, for ever."""
        second = 0
        while True:
            await asyncio.sleep(1)
            second += 1
            sample = self._monitor.sample()
            self._retry_journal()
            self._journal_load(sample)
            for name, usage in sample.agents.items():
                self._agents_cpu[name].append(usage.cpu)
            if second % AGENT_SAMPLES == 0:
                waits = await asyncio.to_thread(self._monitor.cpu_waits)
                self._journal_agents(sample, waits)
                await asyncio.to_thread(self._journal.sync)  # a slow disk must not make holders late
            self._state_file.write(sample)

    def finish(self) -> None:
        """Report on the last part of a second, so that the journal's counts are whole."""
        self._journal_load(self._monitor.sample())

    def _agent_processes(self) -> dict[str, psutil.Process | None]:
        return {agent.name: agent.usage() for agent in self._pool.agents}

    def _retry_journal(self) -> None:
        journal = self._journal
        if journal.problem:
            journal.flush()
            if not journal.problem:
                lost = f"{journal.lost} records were lost"
                self._announce(EventKind.DISK_FULL, f"the journal can be written again, {lost}", journal.lost)

    def _journal_load(self, sample: Sample) -> None:
        run, before = self._run, self._counted
        dropped = run.dropped + run.rounds_dropped
        counted = self._counted = _Counted(run.started, run.rounds, dropped, run.rounds_dropped)
        record = load_record(
            sample,
            active=run.active,
            ready=self._pool.ready,
            in_flight=run.recorder.in_flight,
            arrivals=counted.arrivals - before.arrivals,
            finished=run.finished + run.stopped,
            rounds=counted.rounds - before.rounds,
            dropped=counted.dropped - before.dropped,
            rounds_dropped=counted.rounds_dropped - before.rounds_dropped,
        )
        self._journal.write(record, run.clock.now_ns())

    def _journal_agents(self, sample: Sample, waits: dict[str, float | None]) -> None:
        for agent in self._pool.agents:
            usage = sample.agents[agent.name]
            record = AgentRecord(
                agent.name,
                fmean(self._agents_cpu.pop(agent.name)),
                usage.rss,
                agent.restarts,
                agent.is_up,
                agent.take_loop_lag(),
                agent.admin.take_queue(),
                waits[agent.name],
            )
            self._journal.write(record, self._run.clock.now_ns())
