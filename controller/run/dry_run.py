"""The dry run: the script with simulated holders on virtual time, to forecast the load of a run."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

from controller.holder.holder import Holder, Script
from controller.load.virtual_time import VirtualTimeLoop
from controller.run.run import Run, is_being_cancelled
from controller.run.simulated import SimulatedServices, SimulatedWallets
from stampede.load_models.interface import EndOfRun
from stampede.schema.records import StepRecord
from stampede.schema.settings.run_settings import Settings


@dataclass(slots=True)
class Work:
    """What holders did in one part of the script: before their first round, or in rounds."""

    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Steps that ended, by their name and their service."""
    seconds: float = 0.0
    """Of these steps together."""
    requests: Counter[str] = field(default_factory=Counter)
    """HTTPS requests, by service."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would do if every answer took the time that ``ASSUMED_SECONDS`` assumes."""

    seconds: float
    steps: dict[str, int]
    peak_per_second: int
    """The most steps begun and ended within one second."""
    load: str
    """The load model's own sentence."""
    holders: int
    visit: float = 0.0
    """Seconds for which a holder stays, on average; 0 when none came."""
    round_time: float = 0.0
    """Seconds that a round takes, on average; 0 when none began."""
    dropped: int = 0
    """Arrivals or rounds that found no room."""
    rounds: int = 0
    """Rounds that began."""
    before_rounds: Work = field(default_factory=Work)
    in_rounds: Work = field(default_factory=Work)
    complete: bool = True
    """Whether it covers the whole run, or only as much of it as could be simulated in the time that there was."""

    @property
    def per_second(self) -> float:
        """Mean steps per second."""
        return sum(self.steps.values()) / self.seconds if self.seconds else 0.0

    def text(self) -> str:
        """The forecast as text."""
        total = sum(self.steps.values())
        width = max((len(name) for name in self.steps), default=0)
        does = f"A run of {self.holders:,} holders would take about {_duration(self.seconds)} and execute"
        if not self.complete:
            does = (
                f"Only the first {_duration(self.seconds)} of the run could be simulated in the time that there was. "
                f"In them {self.holders:,} holders would execute"
            )
        lines = [
            self.load,
            f"{does} {total:,} steps,",
            f"{self.per_second:.2f} per second on average, {self.peak_per_second} in its busiest second "
            "(simulated holders, assumed service times):",
            *(f"  {name:<{width}}  {count:>9,}" for name, count in self.steps.items()),
        ]
        if self.dropped:
            lines.append(f"{self.dropped:,} arrivals or rounds would be dropped, because all holders would be busy.")
        return "\n".join(lines)


def dry_run(script: Script, settings: Settings, within: float | None = None, cut_at: float | None = None) -> Forecast:
    """Run ``script`` for all holders on virtual time.

    ``within``: real seconds after which the simulation is ended, complete or not. ``cut_at``: virtual seconds after
    which the run is aborted, to see whether the script lets itself be ended; what it raises then is its own affair.

    Raises BadInput when the script asks for what the settings do not have, and whatever else it raises.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_dry_run(script, settings, within, cut_at))


async def _dry_run(script: Script, settings: Settings, within: float | None, cut_at: float | None) -> Forecast:
    per_second: Counter[int] = Counter()
    failures: list[BaseException] = []
    before_rounds, in_rounds = Work(), Work()
    asking: ContextVar[Holder] = ContextVar("asking")
    complete = True

    async def watched(holder: Holder) -> None:
        asking.set(holder)
        try:
            await script(holder)
        except EndOfRun:
            raise
        except BaseException as error:
            if is_being_cancelled(error):
                raise
            failures.append(error)
            run.abort()
            raise EndOfRun from None

    def give_up() -> None:
        nonlocal complete
        complete = False
        run.abort()

    def count(record: StepRecord, now: float) -> None:
        per_second[int(now)] += 1
        work = in_rounds if record.iteration else before_rounds
        work.steps[record.step, record.service] += 1
        work.seconds += record.service_time

    def count_request(service: str) -> None:
        (in_rounds if asking.get().rounds else before_rounds).requests[service] += 1

    run = Run(
        settings,
        watched,
        services=SimulatedServices(settings.services, count_request),
        wallets=SimulatedWallets(settings.seed),
        listeners=[count],
    )
    start = run.clock.now()
    if cut_at is not None:
        asyncio.get_running_loop().call_later(cut_at, run.abort)
    with _after(within, give_up):
        await run.play(start)
    if failures and cut_at is None:
        raise failures[0]
    return Forecast(
        run.clock.now() - start,
        dict(run.figures.steps),
        max(per_second.values(), default=0),
        settings.load.describe(),
        run.started,
        run.visits.value,
        run.round_times.value,
        run.dropped + run.rounds_dropped,
        run.rounds,
        before_rounds,
        in_rounds,
        complete,
    )


@contextlib.contextmanager
def _after(seconds: float | None, act: Callable[[], None]) -> Iterator[None]:
    """Have the event loop ``act`` after so many seconds of real time, of which its own clock knows nothing."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, asyncio.get_running_loop().call_soon_threadsafe, [act])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest)
    return " ".join(parts) or "0 s"
