"""The generator measures itself: lag, CPU and memory of the controller, its agents and the host."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from controller.metrics.live_figures import quantile
from controller.metrics.machine import CpuWait, Machine, MachineSample
from stampede.schema.records import LoadRecord

PROBE = 0.05
"""Seconds between two measurements of the event loop's lag."""


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """What an agent's process uses; zeros when it is not running."""

    pid: int = 0
    cpu: float = 0.0
    rss: int = 0


@dataclass(slots=True)
class Sample:
    """What was measured since the last sample. CPU in cores, memory in bytes, lag in seconds."""

    cpu: float = 0.0
    rss: int = 0
    host_cpu: float = 0.0
    host_cores: int = 1
    host_memory_used: float = 0.0
    loop_lag_max: float = 0.0
    lag_p50: float = 0.0
    lag_p99: float = 0.0
    lag_max: float = 0.0
    agents: dict[str, AgentUsage] = field(default_factory=dict)
    machine: MachineSample = field(default_factory=MachineSample)


class Monitor:
    """Takes samples; each call of ``sample`` covers the time since the one before."""

    def __init__(
        self,
        take_lags: Callable[[], list[float]],
        agents: Callable[[], dict[str, psutil.Process | None]] = dict,
    ) -> None:
        self._take_lags = take_lags
        self._agents = agents
        self._own = psutil.Process()
        self._known: dict[int, psutil.Process] = {}
        self._waits: dict[int, CpuWait] = {}
        self._loop_lag = 0.0
        self._machine = Machine()
        psutil.cpu_percent()
        self._own.cpu_percent()

    async def watch_loop(self) -> None:
        """Measure continuously how late the event loop wakes; to be run as a task."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PROBE
            await asyncio.sleep(PROBE)
            self._loop_lag = max(self._loop_lag, loop.time() - due)

    def sample(self) -> Sample:
        """Measure now."""
        lags = self._take_lags()
        cores = psutil.cpu_count() or 1
        sample = Sample(
            cpu=self._own.cpu_percent() / 100,
            rss=self._own.memory_info().rss,
            host_cpu=psutil.cpu_percent() / 100 * cores,
            host_cores=cores,
            host_memory_used=psutil.virtual_memory().percent / 100,
            loop_lag_max=self._loop_lag,
            lag_p50=quantile(lags, 0.5),
            lag_p99=quantile(lags, 0.99),
            lag_max=lags[-1] if lags else 0.0,
            machine=self._machine.sample(),
            agents={name: self._usage(process) for name, process in self._agents().items()},
        )
        self._loop_lag = 0.0
        return sample

    def cpu_waits(self) -> dict[str, float | None]:
        """By agent, how many of its threads waited for a core since the last call, on average; None where that is not
        known. It reads a file of each thread."""
        return {name: self._cpu_wait(process.pid) if process else None for name, process in self._agents().items()}

    def _cpu_wait(self, pid: int) -> float | None:
        return self._waits.setdefault(pid, CpuWait(pid)).sample()

    def _usage(self, process: psutil.Process | None) -> AgentUsage:
        if process is not None:
            known = self._known.setdefault(process.pid, process)
            with contextlib.suppress(psutil.Error):
                return AgentUsage(known.pid, known.cpu_percent() / 100, known.memory_info().rss)
        return AgentUsage()


def load_record(
    sample: Sample,
    *,
    active: int,
    ready: int,
    in_flight: int,
    arrivals: int,
    finished: int,
    rounds: int = 0,
    dropped: int = 0,
    rounds_dropped: int = 0,
) -> LoadRecord:
    """The record of a second."""
    return LoadRecord(
        active=active,
        ready=ready,
        in_flight=in_flight,
        arrivals=arrivals,
        finished=finished,
        lag_p50=sample.lag_p50,
        lag_p99=sample.lag_p99,
        lag_max=sample.lag_max,
        loop_lag_max=sample.loop_lag_max,
        cpu=sample.cpu,
        rss=sample.rss,
        host_cpu=sample.host_cpu,
        host_cores=sample.host_cores,
        host_memory_used=sample.host_memory_used,
        rounds=rounds,
        dropped=dropped,
        steal=sample.machine.steal,
        running=sample.machine.running,
        sockets=sample.machine.sockets,
        resent=sample.machine.resent,
        rounds_dropped=rounds_dropped,
    )
