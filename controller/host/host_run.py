"""A host's part in a run: arm, wait for the start signal, run, drain.

All files are in the run's work folder: ``go.json`` (``{"start_at": EPOCH_SECONDS}``) is the start signal, a file
``stop``, which may say why, ends the run gracefully, ``next_stage.json`` takes it on to the next stage before its
time, ``order.json`` to another level of a search, ``journal.lp`` holds the records.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from controller.agents.egress_guard import REFUSED
from controller.agents.inbox import Overflow
from controller.agents.pool import AgentPool
from controller.holder.holder import Script
from controller.host.leftovers import remove_leftovers
from controller.host.masked_logs import mask_logs
from controller.host.next_stage import StageSwitch
from controller.host.order_file import OrderFile
from controller.host.phone_watch import PhoneWatch
from controller.host.reporter import Reporter
from controller.host.state_file import StateFile
from controller.host.versions import host_record
from controller.load.gc_tuning import keep_pauses_short
from controller.metrics.journal import Journal
from controller.metrics.monitor import Sample
from controller.metrics.push_process import PushProcess
from controller.run.run import Run
from controller.services.client import HttpServices
from stampede.load_models.interface import Order
from stampede.machine.files import read_json, write_json
from stampede.schema import plain_numbers
from stampede.schema.data_rows import Row, Table, no_row
from stampede.schema.errors import BadInput, StepError, StepTimeout
from stampede.schema.json_form import to_json
from stampede.schema.masking import Mask
from stampede.schema.orders import LEVEL, read_level_order
from stampede.schema.phases import Phase
from stampede.schema.records import RUN_TAGS, EventKind, EventRecord, Record
from stampede.schema.run_record import HOST_FILE
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.secret_settings import read_secrets
from stampede.schema.shared_values import Shared

LOGGER = logging.getLogger(__name__)
MOST_AHEAD = 3600.0
"""Seconds; an order for later, or of so long ago, is none."""

GO_MARGIN = 60.0
"""Seconds that an armed host waits for the start signal beyond the time that all hosts have for arming."""


class HostRun:
    """One run on this host, from arming to its end."""

    def __init__(
        self, script: Script | Sequence[Script], settings: Settings, run_dir: Path, die_with: int = 0
    ) -> None:
        self._script = script
        self._settings = settings
        self._dir = run_dir
        self._die_with = psutil.Process(die_with) if die_with else None
        self._state = StateFile(settings, run_dir)
        self._stages = StageSwitch(run_dir, self._announce)
        self._levels = OrderFile(run_dir / LEVEL)
        self._stopping = False
        self._run: Run | None = None
        self._journal: Journal | None = None
        self._pushes: list[PushProcess] = []
        self._mask = Mask()
        self._row_of: Callable[[int], Row] = no_row
        self._shared = Shared({})
        self._ending = asyncio.Event()
        self._aborted = asyncio.Event()

    async def go_through(self) -> int:
        """Arm, wait for the start signal, run and drain; returns the exit code (see ``controller.cli``)."""
        (self._dir / "logs").mkdir(parents=True, exist_ok=True)
        self._follow_signals()
        settings = self._settings
        tags = dict(zip(RUN_TAGS, (settings.run_id, settings.host_name, settings.scenario), strict=True))
        async with contextlib.AsyncExitStack() as stack:
            self._journal = stack.enter_context(Journal(self._dir / "journal.lp", tags, self._on_journal_problem))
            self._state.journal = self._journal
            try:
                secret_values = self._take_secrets()
                self._mask = Mask(secret_values.values())
                self._take_what_holders_have()
                mask_logs(self._mask)
                if server := settings.influxdb:
                    secret = secret_values.get(server.secret, "")
                    push = PushProcess(server, secret, settings.influxdb_flush, self._dir)
                    self._state.push = await stack.enter_async_context(push)
                    self._pushes.append(push)
                if collector := settings.otlp:
                    secrets = {name: secret_values.get(name, "") for name in collector.secrets}
                    push = PushProcess(collector, secrets, settings.influxdb_flush, self._dir)
                    self._state.push_otlp = await stack.enter_async_context(push)
                    self._pushes.append(push)
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
                self._journal.flush()  # what a full disk held up; the state tells what is missing in the end
                self._state.write(Sample())

    async def _armed_run(self, secret_values: dict[str, str]) -> int:
        settings, journal = self._settings, self._journal
        assert journal is not None
        remove_leftovers(self._dir)
        overflow = self._state.overflow = Overflow(lambda text: self._announce(EventKind.INBOX_OVERFLOW, text))
        async with (
            HttpServices(settings, secret_values) as services,
            AgentPool(settings, self._dir, self._announce, secret_values, overflow) as pool,
        ):
            run = Run(
                settings,
                self._script,
                services=services,
                wallets=pool,
                journal=journal,
                on_phase=self._enter,
                on_level=lambda holders: self._announce(
                    EventKind.LEVEL, plain_numbers.number(holders, "holder"), holders
                ),
                mask=self._mask,
                row_of=self._row_of,
                shared=self._shared,
            )
            self._run = self._state.run = run
            self._state.pool = pool
            reporter = Reporter(run, pool, journal, self._state, self._announce)
            tasks = [
                asyncio.create_task(reporter.watch_loop()),
                asyncio.create_task(reporter.watch_agents()),
                asyncio.create_task(reporter.report()),
                asyncio.create_task(self._watch_for_stop()),
            ]
            phones = PhoneWatch(pool.agents, self._write, self._announce) if settings.has_phones else None
            if phones:
                tasks.append(asyncio.create_task(phones.watch()))
            try:
                self._enter(Phase.ARMING)
                if await self._until_stopped(pool.start()):
                    write_json(self._dir / HOST_FILE, to_json(host_record(settings, self._dir)))
                    keep_pauses_short()
                    self._enter(Phase.ARMED)
                    self._state.write_again()  # the playbook waits for it
                    if await self._until_stopped(self._wait_for_go()):
                        assert self._state.start_at is not None
                        await run.play(run.clock.at_epoch(self._state.start_at))
                        reporter.finish()
                        if phones:
                            await phones.finish()
                if run.bad_input:
                    raise run.bad_input
                if lost := overflow.lost:
                    self._announce(EventKind.INBOX_OVERFLOW, f"{lost} messages to holders were dropped in all", lost)
                self._enter(Phase.STOPPED if self._stopping else Phase.DONE)
            finally:
                self._stages.close()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return 0

    # ------------------------------------------------------------- stop and go

    def stop(self, reason: str = "") -> None:
        """End gracefully: no new steps, those in flight drain. Called twice, or when only pushing: at once."""
        if self._stopping or self._state.phase == Phase.PUSHING:
            self.abort()
            return
        self._stopping = True
        self._ending.set()
        self._state.message = self._state.message or reason
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
            self._take_order()
            if not self._stopping and (self._dir / "stop").exists():
                self.stop(self._reason_to_stop())
            await self._look_for_next_stage()
            if self._is_orphaned():
                self._state.message = "the process that started this run is gone"
                self.abort()
                return

    async def _look_for_next_stage(self) -> None:
        run, start_at = self._run, self._state.start_at
        if run and start_at is not None and self._state.phase == Phase.RUNNING and self._stages.look(run, start_at):
            self._state.total = await asyncio.to_thread(lambda: run.load.total)  # it may take long to count

    def _take_order(self) -> None:
        """Pass on what the control node has ordered since the last time, if anything."""
        text = self._levels.news() if self._run else None
        if not self._run or text is None:
            return
        try:
            found = read_level_order(text)
            order = Order(found.number, found.holders, self._run.clock.at_epoch(found.at))
            if abs(order.due - self._run.clock.now()) > MOST_AHEAD:
                raise ValueError(f"it is for {found.at}")
        except ValueError as error:
            LOGGER.warning("%s is ignored: %s", self._levels.name, error)
            return
        if order.number > self._state.order:
            self._state.order = order.number
            self._run.orders.put_nowait(order)

    def _is_orphaned(self) -> bool:
        return self._die_with is not None and not self._die_with.is_running()

    async def _push_the_rest(self) -> None:
        """Wait until the last records are pushed too, for as long as that may take."""
        if not self._pushes or self._aborted.is_set():
            return
        assert self._journal is not None
        self._journal.flush()  # what a full disk held up
        ended, self._state.phase = self._state.phase, Phase.PUSHING  # in the state only: the journal is complete
        finished = asyncio.gather(*(push.finish() for push in self._pushes))
        tasks: list[asyncio.Future[Any]] = [finished, asyncio.create_task(self._aborted.wait())]
        try:
            while not any(task.done() for task in tasks) and not self._is_orphaned():
                self._state.write(Sample())
                await asyncio.wait(tasks, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._state.phase = ended

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
        """Raises StepTimeout when no start signal comes while other hosts may be arming, or soon after."""
        limit = self._settings.arm_timeout + GO_MARGIN
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while True:
                    go = read_json(self._dir / "go.json")
                    if isinstance(go, dict) and "start_at" in go:
                        self._state.start_at = float(go["start_at"])
                        return
                    await asyncio.sleep(0.1)
        raise StepTimeout(
            f"{self._settings.host_name} was armed for {limit:g} s and was not told to start, so it ended; "
            "run-test.yml may have been ended on the control node"
        )

    # ------------------------------------------------------------------- state

    def _enter(self, phase: Phase) -> None:
        self._state.enter(phase)
        self._announce(EventKind.PHASE, phase)

    def _fail(self, message: str) -> None:
        LOGGER.error("%s", message)
        self._state.message = self._mask.lines(message)
        self._enter(Phase.FAILED)

    def _announce(self, kind: EventKind, text: str, value: float = 0.0) -> None:
        LOGGER.info("%s: %s", kind, text)
        self._write(EventRecord(kind, self._mask(text), value))

    def _write(self, record: Record) -> None:
        """By the run's clock, as steps are, which does not follow when the host's is set."""
        if self._journal:
            self._journal.write(record, self._run.clock.now_ns() if self._run else time.time_ns())

    def _on_journal_problem(self, problem: str) -> None:
        LOGGER.error("%s", problem)

    def _take_secrets(self) -> dict[str, str]:
        """The run's secrets, from a file that is removed once read."""
        path = self._dir / "secrets.json"
        values = read_json(path)
        path.unlink(missing_ok=True)
        return read_secrets(values)

    def _take_what_holders_have(self) -> None:
        """The rows of this host's holders, and what setup returned for all of them, from a file that is removed once
        read. Raises BadInput."""
        path = self._dir / "holders.json"
        given = read_json(path)
        path.unlink(missing_ok=True)
        given = given if isinstance(given, dict) else {}
        self._shared = Shared(given.get("shared") or {})
        self._mask = self._mask.with_more(self._shared.hidden())
        if data := self._settings.data:
            self._row_of = Table.taken(data, given.get("rows")).row
