"""A run on one host: clock, pacing, records and the holders' lives. No state is kept outside it."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from controller.agents.wallet import Wallet
from controller.holder.context import HolderContext
from controller.holder.holder import Holder, Script
from controller.holder.step import FAILURE_PAUSE
from controller.load.clock import Clock
from controller.load.pacing import Pacer
from controller.load.think_time import ThinkTimes
from controller.metrics.journal import Journal
from controller.metrics.live_figures import LiveFigures
from controller.metrics.recorder import ObservationListener, Recorder, StepListener, journaling
from controller.services.interface import Services
from stampede.load_models.interface import EndOfRun, LoadModel, Order, StageNow
from stampede.schema.data_rows import Row, no_row
from stampede.schema.errors import AgentLost, BadInput, StepError
from stampede.schema.masking import Mask
from stampede.schema.phases import Phase
from stampede.schema.records import Outcome
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.targets import Targets
from stampede.schema.shared_values import Shared
from stampede.schema.tally import Tallies

LOGGER = logging.getLogger(__name__)


class Wallets(Protocol):
    """Where the holders' wallets come from."""

    def get(self, number: int) -> Wallet:
        """The wallet that was made for holder ``number``. Raises KeyError when there is none."""

    async def make(self, number: int) -> None:
        """Make the wallet of a holder that comes later. Raises StepError."""

    async def replace(self, number: int) -> Wallet:
        """A fresh wallet for holder ``number``; the old one is removed."""

    async def remove(self, number: int) -> None:
        """Remove the wallet of holder ``number``, if it has one."""


@dataclass(frozen=True, slots=True)
class HostStage:
    """See Stage in ``stampede.load_models.interface``."""

    start: float
    waiting: deque[asyncio.Future[float]]
    orders: asyncio.Queue[Order]
    tell_level: Callable[[int], None]
    now: Callable[[], float]
    load: Callable[[], LoadModel]
    is_over: Callable[[], bool]
    until: Callable[[float], Coroutine[None, None, None]]
    unless_over: Callable[[Coroutine[None, None, Any]], Coroutine[None, None, Any]]
    live: Callable[[int, float], Coroutine[None, None, None]]
    make_wallet: Callable[[int], Coroutine[None, None, None]]
    remove_wallet: Callable[[int], Coroutine[None, None, None]]
    retire: Callable[[int], None]
    drop_arrival: Callable[[], None]
    drop_round: Callable[[], None]


@dataclass(slots=True)
class Mean:
    """Of what is counted, in seconds."""

    number: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        """Count one more."""
        self.number += 1
        self.total += value

    @property
    def value(self) -> float:
        """The mean; 0 of nothing."""
        return self.total / self.number if self.number else 0.0


class Run:
    """One run; tests can have many of them in a process."""

    def __init__(
        self,
        settings: Settings,
        script: Script | Sequence[Script],
        *,
        services: Services,
        wallets: Wallets,
        journal: Journal | None = None,
        listeners: Iterable[StepListener] = (),
        observers: Iterable[ObservationListener] = (),
        on_phase: Callable[[Phase], None] = lambda phase: None,
        on_level: Callable[[int], None] = lambda holders: None,
        mask: Mask | None = None,
        row_of: Callable[[int], Row] = no_row,
        shared: Shared | None = None,
    ) -> None:
        """``script``: one, or those of ``settings.scripts`` in their order. ``mask`` keeps the run's secrets out of
        journal and logs; ``row_of`` are the holders' rows, ``shared`` is what all have."""
        self.settings = settings
        self.load = settings.load
        """As it is now: another one after ``go_on``."""
        self._mask = mask or Mask()
        self.services = services
        self.clock = Clock()
        self.pacer = Pacer(self.clock)
        self.tallies = Tallies(settings.thresholds, settings.load.plan, settings.margins)
        self.figures = LiveFigures()
        on_disk_first = [journaling(journal, self.clock)] if journal else []
        self.recorder = Recorder(
            self.clock,
            *on_disk_first,
            self.tallies.step_ended,
            self.figures.step_ended,
            *listeners,
            observers=(*on_disk_first, self.tallies.observed, *observers),
        )
        self.active = 0
        self.started = 0
        self.finished = 0
        self.stopped = 0
        self.dropped = 0
        """Arrivals that were left out, because there were as many holders as there may be."""
        self.rounds = 0
        self.rounds_dropped = 0
        self._rounds_used = 0
        """Those that have begun, and those that were not reached because the script failed before."""
        self.visits = Mean()
        """How long holders stayed, those that are cut off included."""
        self.round_times = Mean()
        """How long rounds took, from their beginning until their holder was ready for another."""
        self.targets = Targets(settings.allowed_targets)
        self.bad_input: BadInput | None = None
        self.orders: asyncio.Queue[Order] = asyncio.Queue()
        """From the control node, for the load model."""
        scripts = script if isinstance(script, Sequence) else [script]
        self._plays = [
            (each, self._context(name, own, row_of, shared or Shared({})))
            for each, (name, own) in zip(scripts, settings.of_scripts, strict=True)
        ]
        self._wallets = wallets
        self._on_phase = on_phase
        self._aborted = asyncio.Event()
        self._stage = HostStage(
            0.0,
            deque(),
            self.orders,
            self._level,
            self.clock.now,
            lambda: self.load,
            self.pacer.end_reached.is_set,
            self.pacer.until,
            self.pacer.unless_over,
            self._live,
            self._make_wallet,
            self._remove_wallet,
            self.pacer.retire,
            self._drop_arrival,
            self._drop_round,
        )
        self._end: asyncio.TimerHandle | None = None
        self._on_level = on_level
        self._making: dict[int, asyncio.Task[None]] = {}
        self._round_began: dict[int, float] = {}

    def _context(self, name: str, settings: Settings, row_of: Callable[[int], Row], shared: Shared) -> HolderContext:
        """What the holders of a script share."""
        return HolderContext(
            settings,
            name,
            self.services,
            self.clock,
            self.pacer,
            self.recorder,
            self.targets,
            self.another_round,
            self._turn,
            ThinkTimes(
                settings.think_times,
                settings.think_time_scale * settings.load.think_time_scale,
                settings.observed_think_times,
            ),
            self._mask,
            lambda number: row_of(self.load.row_number(number)),
            shared,
        )

    async def play(self, start: float) -> None:
        """Take all holders through the script from ``start``, a moment of the clock, until the duration
        is over or all scripts have ended; then give steps in flight ``drain`` seconds."""
        settings = self.settings
        self.tallies.begin(start)
        self._stage = replace(self._stage, start=start)
        self._end_in_time()
        if start > self.clock.now():
            try:
                await self.pacer.until(start)
            except EndOfRun:
                return
        self._on_phase(Phase.RUNNING)
        holders = asyncio.create_task(settings.load.run(self._stage))
        over = asyncio.create_task(self.pacer.end_reached.wait())
        await asyncio.wait({holders, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not holders.done():
            self.tallies.drain(self.clock.now())
            self._on_phase(Phase.DRAINING)
            aborted = asyncio.create_task(self._aborted.wait())
            await asyncio.wait({holders, aborted}, timeout=settings.drain, return_when=asyncio.FIRST_COMPLETED)
            aborted.cancel()
            holders.cancel()
        await asyncio.gather(holders, return_exceptions=True)
        self.tallies.end()

    def _end_in_time(self) -> None:
        if self._end:
            self._end.cancel()
        if duration := self.load.plan.duration:
            self._end = asyncio.get_running_loop().call_at(self._stage.start + duration, self.end)

    def stage_at(self, moment: float) -> StageNow | None:
        """The stage of the load that is under way at a moment of the clock."""
        return self.load.stage_at(moment - self._stage.start)

    def go_on(self, seconds: float) -> None:
        """Go on to the next stage so many seconds from the start of the load, which may be past."""
        self.load = self.load.cut(seconds)
        self.tallies.replan(self.load.plan, seconds)
        self._end_in_time()

    def end(self) -> None:
        """End the run: no new steps begin, those in flight may drain."""
        self.pacer.end()

    def abort(self) -> None:
        """End the run at once, without draining."""
        self.pacer.end()
        self._aborted.set()

    def refuse(self, error: BadInput) -> None:
        """End the run because of wrong input, or because a service leads to a host that may not be loaded."""
        self.bad_input = self.bad_input or error
        self.end()

    def another_round(self, holder: int, rounds: int) -> bool:
        """Whether a holder that has completed ``rounds`` rounds may begin another one."""
        is_over = self.pacer.ended or self.pacer.is_retired(holder)
        return not is_over and self.load.another_round(rounds, self._rounds_used)

    def _level(self, holders: int) -> None:
        self.tallies.restart(self.clock.now())
        self._on_level(holders)

    async def _turn(self, holder: int) -> float | None:
        self._end_round(holder)
        due = await self.load.turn(self._stage, holder)
        self._round_began[holder] = self.clock.now()
        self.rounds += 1
        self._rounds_used += 1
        return due

    def _end_round(self, holder: int) -> None:
        began = self._round_began.pop(holder, None)
        if began is not None:
            self.round_times.add(self.clock.now() - began)

    def _drop_arrival(self) -> None:
        self.dropped += 1

    def _drop_round(self) -> None:
        self.rounds_dropped += 1

    async def _make_wallet(self, number: int) -> None:
        """Make one, unless there is one or it is being made."""
        if number not in self._making:
            if self._made(number):
                return
            self._making[number] = asyncio.create_task(self._wallets.make(number))
        await asyncio.wait({self._making[number]})

    def _made(self, number: int) -> Wallet | None:
        """The wallet of a holder, if there is one."""
        try:
            return self._wallets.get(number)
        except KeyError:
            return None

    async def _remove_wallet(self, number: int) -> None:
        if making := self._making.get(number):
            await asyncio.wait({making})
            self._making.pop(number, None)
        await self._wallets.remove(number)

    async def _wallet(self, number: int) -> Wallet:
        """The wallet of a holder that has arrived; it is made now if it was not made before, or could not be."""
        while True:
            if making := self._making.get(number):
                await asyncio.wait({making})
                self._making.pop(number, None)
                if error := making.exception():
                    LOGGER.warning("holder %s got no wallet: %s", number, error)
                    await self.pacer.until(self.clock.now() + FAILURE_PAUSE, number)
            if wallet := self._made(number):
                return wallet
            await self._make_wallet(number)

    async def _live(self, number: int, due: float) -> None:
        """The life of one holder: the script, and what ``stampede_on_failure`` says after a failure."""
        self.started += 1
        self.active += 1
        came = self.clock.now()
        try:
            script, context = self._plays[self.settings.script_of(number, self.stage_at(due))]
            holder = Holder(context, number, await self._wallet(number))
            holder.be_due(due)
            await self._script_until_it_ends(script, holder)
        except EndOfRun:
            self.finished += 1
        except BadInput as error:  # there is no row for it
            self.refuse(error)
            self.stopped += 1
        except Exception:
            LOGGER.exception("holder %s", number)
            self.stopped += 1
        finally:
            self.active -= 1
            self._end_round(number)
            self.visits.add(self.clock.now() - came)

    async def _script_until_it_ends(self, script: Script, holder: Holder) -> None:
        while True:
            rounds = holder.rounds
            try:
                await script(holder)
                self.finished += 1
                return
            except StepError as error:
                LOGGER.info("holder %s: %s: %s", holder.number, error.error_class, error.detail)
            except BadInput as error:
                self.refuse(BadInput(*map(holder.mask, error.sentences)))
                self._record_script_error(holder, error)
                self.stopped += 1
                return
            except EndOfRun:
                raise
            except BaseException as error:  # a script's SystemExit is its own end, not that of the host
                if is_being_cancelled(error):
                    raise
                trace = holder.mask.lines(traceback.format_exc())  # may quote what is in the holder's row
                LOGGER.error("holder %s: the script raised\n%s", holder.number, trace)
                self._record_script_error(holder, error)
            if holder.rounds == rounds:  # a script that fails early goes round too
                holder.rounds += 1
                self._rounds_used += 1
            if holder.context.settings.on_failure == "stop" or not self.another_round(holder.number, holder.rounds):
                self.stopped += 1
                return
            await self.pacer.until(self.clock.now() + FAILURE_PAUSE, holder.number)
            try:
                await self._start_over(holder)
            except AgentLost as error:
                LOGGER.error("holder %s stops: %s", holder.number, error)
                self.stopped += 1
                return

    async def _start_over(self, holder: Holder) -> None:
        """Give the holder a fresh wallet as soon as its agent can make one."""
        while True:
            await self.pacer.unless_over(holder.wallet.ready())
            try:
                holder.start_over(await self._wallets.replace(holder.number))
            except StepError as error:
                LOGGER.warning("holder %s got no fresh wallet: %s", holder.number, error)
                await self.pacer.until(self.clock.now() + FAILURE_PAUSE, holder.number)
            else:
                holder.attempt += 1
                return

    def _record_script_error(self, holder: Holder, error: BaseException) -> None:
        now = self.clock.now()
        self.recorder.step(
            "script",
            Outcome.FAILED,
            start=now,
            due=now,
            holder=holder.number,
            iteration=holder.rounds,
            attempt=holder.attempt,
            error=StepError.error_class,
            detail=holder.mask(f"{type(error).__name__}: {error}"),
            script=holder.context.script,
        )


def is_being_cancelled(error: BaseException) -> bool:
    """Whether an exception is there because this task is being cancelled; a script may raise the same by itself."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
