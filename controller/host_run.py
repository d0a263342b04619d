"""A host's part in a run: arm, wait for go, run, drain; with ``state.json`` telling how it stands.

All files lie in the run's work folder: ``go.json`` (``{"start_at": EPOCH_SECONDS}``) starts the run, a file
``stop``, which may say why, ends it gracefully, ``journal.lp`` holds the records.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import platform
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import psutil

from controller.agents.egress_guard import REFUSED
from controller.agents.pool import AgentPool
from controller.holder.holder import Script
from controller.load.gc_tuning import keep_pauses_short
from controller.metrics.journal import Journal
from controller.metrics.monitor import Monitor, Sample, load_fields
from controller.metrics.push_process import PushProcess
from controller.run.run import Run
from controller.services.client import HttpServices
from stampede.machine.files import read_json, write_json, write_json_anyway
from stampede.schema.errors import BadInput, StepError, StepTimeout
from stampede.schema.phases import ENDED, Phase
from stampede.schema.records import EventKind, EventRecord, Outcome
from stampede.schema.settings import Settings
from stampede.version import VERSION

LOGGER = logging.getLogger(__name__)

AGENT_SAMPLES = 5
"""An ``agent`` record each so many seconds."""
GO_MARGIN = 60.0
"""Seconds for which an armed host waits for the word to start, beyond the time in which all hosts must arm."""


class HostRun:
    """One run on this host, from arming to its end."""

    def __init__(self, script: Script, settings: Settings, run_dir: Path, die_with: int = 0) -> None:
        self._script = script
        self._settings = settings
        self._dir = run_dir
        self._die_with = psutil.Process(die_with) if die_with else None
        self._phase = Phase.STARTING
        self._phase_since = time.time()
        self._message = ""
        self._start_at: float | None = None
        self._stopping = False
        self._run: Run | None = None
        self._pool: AgentPool | None = None
        self._journal: Journal | None = None
        self._push: PushProcess | None = None
        self._last_steps = 0
        self._ending = asyncio.Event()
        self._aborted = asyncio.Event()

    async def go_through(self) -> int:
        """Arm, wait for go, run and drain; returns the exit code (see ``controller.cli``)."""
        (self._dir / "logs").mkdir(parents=True, exist_ok=True)
        self._follow_signals()
        tags = {
            "run": self._settings.run_id,
            "host": self._settings.host_name,
            "scenario": self._settings.scenario,
        }
        async with contextlib.AsyncExitStack() as stack:
            self._journal = stack.enter_context(Journal(self._dir / "journal.lp", tags, self._on_journal_problem))
            try:
                secret_values = self._take_secrets()
                if server := self._settings.influxdb:
                    secret = secret_values.get(server.secret, "").strip()
                    self._push = PushProcess(server, secret, self._settings.influxdb_flush, self._dir)
                    await stack.enter_async_context(self._push)
                code = await self._armed_run(secret_values)
                await self._push_the_rest()
                return code
            except BadInput as error:
                self._fail(str(error))
                return 2
            except StepError as error:
                self._fail(str(error))
                return 3
            except ExceptionGroup as group:
                failed, other = group.split(StepError)
                if other or not failed:
                    self._fail(str(group))
                    raise
                self._fail("; ".join(str(error) for error in failed.exceptions))
                return 3
            finally:
                self._write_state(Sample())

    async def _armed_run(self, secret_values: dict[str, str]) -> int:
        settings = self._settings
        async with (
            HttpServices(settings, secret_values) as services,
            AgentPool(settings, self._dir, self._announce, secret_values) as self._pool,
        ):
            run = self._run = Run(
                settings,
                self._script,
                services=services,
                wallets=self._pool,
                journal=self._journal,
                on_phase=self._enter,
            )
            monitor = Monitor(run.pacer.take_lags, self._agent_processes)
            tasks = [
                asyncio.create_task(monitor.watch_loop()),
                asyncio.create_task(self._report_state(monitor)),
                asyncio.create_task(self._watch_for_stop()),
            ]
            try:
                self._enter(Phase.ARMING)
                if await self._until_stopped(self._pool.start()):
                    self._write_run_file()
                    keep_pauses_short()
                    self._enter(Phase.ARMED)
                    if await self._until_stopped(self._wait_for_go()):
                        assert self._start_at is not None
                        await run.play(run.clock.at_epoch(self._start_at))
                if run.bad_input:
                    raise run.bad_input
                self._enter(Phase.STOPPED if self._stopping else Phase.DONE)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return 0

    # ------------------------------------------------------------- stop and go

    def stop(self, reason: str = "") -> None:
        """End gracefully: no new steps, those in flight drain. Called twice, or when only pushing: at once."""
        if self._stopping or self._phase == Phase.PUSHING:
            self.abort()
            return
        self._stopping = True
        self._ending.set()
        self._message = self._message or reason
        self._announce(EventKind.STOP_REQUESTED, "the run was asked to stop" + (f": {reason}" if reason else ""))
        if self._run:
            self._run.end()

    def abort(self) -> None:
        """End without draining."""
        self._stopping = True
        self._ending.set()
        self._aborted.set()
        if self._run:
            self._run.abort()

    def _follow_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    async def _watch_for_stop(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            if self._run and not self._run.bad_input and (refused := self._dir / REFUSED).exists():
                self._run.refuse(BadInput(refused.read_text(encoding="utf-8").strip()))
                self._ending.set()
            if not self._stopping and (self._dir / "stop").exists():
                self.stop(self._reason_to_stop())
            if self._is_orphaned():
                self._message = "the process that started this run is gone"
                self.abort()
                return

    def _is_orphaned(self) -> bool:
        return self._die_with is not None and not self._die_with.is_running()

    async def _push_the_rest(self) -> None:
        """Let what was recorded last come into InfluxDB too, as far as it is to be waited for."""
        if not self._push or self._aborted.is_set():
            return
        assert self._journal is not None
        self._journal.flush()  # what a full disk held up
        ended, self._phase = self._phase, Phase.PUSHING  # in the state alone: the journal has had its last word
        tasks = [asyncio.create_task(self._push.finish()), asyncio.create_task(self._aborted.wait())]
        try:
            while not any(task.done() for task in tasks) and not self._is_orphaned():
                self._write_state(Sample())
                await asyncio.wait(tasks, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._phase = ended

    def _reason_to_stop(self) -> str:
        with contextlib.suppress(OSError):  # the file may be root's alone
            return (self._dir / "stop").read_text(encoding="utf-8", errors="replace").strip()
        return ""

    async def _until_stopped(self, work: Any) -> bool:
        """Await ``work``; False when the run was asked to stop before it was done."""
        task = asyncio.ensure_future(work)
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                return False
            task.result()
            return not self._stopping
        finally:
            ending.cancel()
            task.cancel()
            await asyncio.gather(task, ending, return_exceptions=True)

    async def _wait_for_go(self) -> None:
        """Raises StepTimeout when no word comes while other hosts may still be arming, or soon after."""
        limit = self._settings.arm_timeout + GO_MARGIN
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while True:
                    go = read_json(self._dir / "go.json")
                    if isinstance(go, dict) and "start_at" in go:
                        self._start_at = float(go["start_at"])
                        return
                    await asyncio.sleep(0.1)
        raise StepTimeout(
            f"{self._settings.host_name} was armed for {limit:g} s and was not told to start, so it ended; "
            "run-test.yml may have been ended on the control node"
        )

    # ------------------------------------------------------------------- state

    def _enter(self, phase: Phase) -> None:
        self._phase, self._phase_since = phase, time.time()
        self._announce(EventKind.PHASE, phase)

    def _fail(self, message: str) -> None:
        LOGGER.error("%s", message)
        self._message = message
        self._enter(Phase.FAILED)

    def _announce(self, kind: EventKind, text: str) -> None:
        LOGGER.info("%s: %s", kind, text)
        if self._journal:
            self._journal.write(EventRecord(kind, text), time.time_ns())

    def _on_journal_problem(self, problem: str) -> None:
        LOGGER.error("%s", problem)

    def _agent_processes(self) -> dict[str, psutil.Process | None]:
        return {agent.name: agent.usage() for agent in self._pool.agents} if self._pool else {}

    async def _report_state(self, monitor: Monitor) -> None:
        second = 0
        while True:
            await asyncio.sleep(1)
            second += 1
            sample = monitor.sample()
            with_agents = second % AGENT_SAMPLES == 0
            self._journal_sample(sample, with_agents=with_agents)
            if with_agents and self._journal:
                await asyncio.to_thread(self._journal.sync)  # a slow disk must not make holders late
            self._write_state(sample)

    def _journal_sample(self, sample: Sample, *, with_agents: bool) -> None:
        run, journal = self._run, self._journal
        assert run is not None and journal is not None and self._pool is not None
        if journal.problem:
            journal.flush()
            if not journal.problem:
                lost = f"{journal.lost} records were lost"
                self._announce(EventKind.DISK_FULL, f"the journal can be written again, {lost}")
        fields = load_fields(
            sample,
            active=run.active,
            ready=self._pool.ready,
            in_flight=run.recorder.in_flight,
            arrivals=run.recorder.arrivals,
            finished=run.finished + run.stopped,
        )
        run.recorder.arrivals = 0
        run.recorder.sample("load", fields)
        if with_agents:
            for agent in self._pool.agents:
                _, cpu, rss = sample.agents[agent.name]
                run.recorder.sample(
                    "agent",
                    {"cpu": cpu, "rss": rss, "restarts": agent.restarts, "up": agent.is_up},
                    agent=agent.name,
                )

    def _write_state(self, sample: Sample) -> None:
        run, pool, settings = self._run, self._pool, self._settings
        done = sum(run.recorder.outcomes.values()) if run else 0
        per_second, self._last_steps = done - self._last_steps, done
        outcomes = run.recorder.outcomes if run else {}
        duration = settings.load.plan.duration
        ends_at = self._start_at + duration if self._start_at and duration else None
        state = {
            "run": settings.run_id,
            "host": settings.host_name,
            "pid": os.getpid(),
            "phase": self._phase,
            "phase_since": self._phase_since,
            "time": time.time(),
            "start_at": self._start_at,
            "ends_at": ends_at,
            "message": self._message or self._problem(),
            "holders": {
                "total": len(settings.load.wallets),
                "ready": pool.ready if pool else 0,
                "active": run.active if run else 0,
                "finished": run.finished if run else 0,
                "stopped": run.stopped if run else 0,
            },
            "steps": {
                **{outcome.value: outcomes.get(outcome, 0) for outcome in Outcome},
                "per_s": per_second,
                "in_flight": run.recorder.in_flight if run else 0,
            },
            "errors": dict(run.recorder.errors) if run else {},
            "p95": run.recorder.p95() if run else {},
            "thresholds": run.tallies.as_list(run.clock.now()) if run else [],
            "lag_p99": sample.lag_p99,
            "loop_lag_max": sample.loop_lag_max,
            "cpu": sample.cpu,
            "rss": sample.rss,
            "agents": [
                {
                    "name": agent.name,
                    "pid": agent.pid,
                    "cpu": sample.agents.get(agent.name, (0, 0.0, 0))[1],
                    "rss": sample.agents.get(agent.name, (0, 0.0, 0))[2],
                    "restarts": agent.restarts,
                    "up": agent.is_up,
                }
                for agent in (pool.agents if pool else ())
            ],
            "host_cpu": sample.host_cpu,
            "host_cores": sample.host_cores,
            "host_memory_used": sample.host_memory_used,
            "push": self._push.state() if self._push else None,
        }
        with contextlib.suppress(OSError):  # the disk is full; the journal complains of it
            write_json_anyway(self._dir / "state.json", state)

    def _problem(self) -> str:
        """What does not stop the run, but somebody may want to do something about now."""
        if self._journal and self._journal.problem:
            return self._journal.problem
        return self._push.problem if self._push and self._phase not in ENDED else ""

    def _write_run_file(self) -> None:
        write_json(
            self._dir / "run.json",
            {
                "run_id": self._settings.run_id,
                "host": self._settings.host_name,
                "scenario": self._settings.scenario,
                "settings": self._settings.public(),
                "versions": versions(),
                "cores": psutil.cpu_count(),
                "memory": psutil.virtual_memory().total,
                "disk_free": shutil.disk_usage(self._dir).free,
            },
        )

    def _take_secrets(self) -> dict[str, str]:
        """The run's secrets, from a file that is removed once read."""
        path = self._dir / "secrets.json"
        values = read_json(path)
        path.unlink(missing_ok=True)
        return {str(key): str(value) for key, value in values.items()} if isinstance(values, dict) else {}


def versions() -> dict[str, str]:
    """Versions of what makes the load."""
    known = {
        "stampede": VERSION,
        "python": platform.python_version(),
        "system": platform.platform(),
        "hostname": socket.gethostname(),
    }
    for package in ("acapy-agent", "anoncreds", "aries-askar", "aiohttp"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            known[package] = importlib.metadata.version(package)
    return known
