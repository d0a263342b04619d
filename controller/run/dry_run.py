"""The dry run: the script with simulated holders on virtual time, to forecast the load of a run."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from controller.holder.holder import Holder, Script
from controller.holder.step import WITHIN_STEP
from controller.load.virtual_time import VirtualTimeLoop
from controller.run.run import Mean, Run, is_being_cancelled
from controller.run.simulated import SimulatedServices, SimulatedWallets
from stampede.load_models.interface import EndOfRun
from stampede.schema import plain_numbers
from stampede.schema.data_rows import Row, no_row
from stampede.schema.records import Observation, StepRecord
from stampede.schema.settings import thresholds
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.thresholds import Said
from stampede.schema.shared_values import Shared

_ASKING: ContextVar[Holder] = ContextVar("asking")
"""The holder whose task it is."""


@dataclass(slots=True)
class Work:
    """What holders did in one part of the script: before their first round, or in rounds."""

    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Steps that ended, by their name and their service."""
    outermost: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Those of them that were within no other."""
    seconds: float = 0.0
    """Of the outermost steps together: others take none of a holder's time beyond that."""
    requests: Counter[str] = field(default_factory=Counter)
    """HTTPS requests, by service."""


@dataclass(slots=True)
class _Kept(Mean):
    """A mean that keeps what it is of."""

    seconds: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        Mean.add(self, value)
        self.seconds.append(value)


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
    rounds_are_due: bool = False
    """Whether these are rounds."""
    said: frozenset[Said] = frozenset()
    """What thresholds may be about: its steps, checks and measures, where they were."""
    by_script: dict[str, tuple[int, dict[str, int]]] = field(default_factory=dict)
    """How many holders took each script, and its steps, where there are several."""
    rounds: int = 0
    """Rounds that began."""
    before_rounds: Work = field(default_factory=Work)
    in_rounds: Work = field(default_factory=Work)
    visits: Sequence[float] = ()
    """Seconds of each."""
    rounds_took: Sequence[float] = ()
    """Seconds of each round that is over."""
    left: Mapping[str, int] = field(default_factory=dict)
    """How many holders came to the end of each script before the run did, where any did."""
    has_levels: bool = False
    """Whether the load goes through levels, of which each held."""
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
        holders = plain_numbers.number(self.holders, "holder")
        which = ", in which every level holds," if self.has_levels else ""
        does = f"A run of {holders}{which} would take about {_duration(self.seconds)} and execute"
        if not self.complete:
            does = (
                f"Only the first {_duration(self.seconds)} of the run{which} could be simulated in the time that "
                f"there was. In them {holders} would execute"
            )
        lines = [
            self.load,
            f"{does} {total:,} steps,",
            f"{self.per_second:.2f} per second on average, {self.peak_per_second} in its busiest second "
            "(simulated holders, assumed service times):",
            *(f"  {name:<{width}}  {count:>9,}" for name, count in self.steps.items()),
        ]
        for script, (number, steps) in self.by_script.items():
            lines.append(f"{script}, {plain_numbers.number(number, 'holder')}:")
            lines += [f"  {name:<{width}}  {count:>9,}" for name, count in steps.items()]
        if self.dropped:
            lines.append(f"{self.dropped:,} {self._why_dropped()}.")
        return "\n".join(lines)

    def _why_dropped(self) -> str:
        if not self.rounds_are_due:
            return "arrivals would be dropped: as many holders would be there as stampede_holders allows"
        why = "no holder would be free" if self.rounds else "no holder would come to until_end_of_run()"
        return f"rounds would be dropped: {why}"


def dry_run(
    script: Script | Sequence[Script],
    settings: Settings,
    within: float | None = None,
    cut_at: float | None = None,
    row_of: Callable[[int], Row] = no_row,
    shared: Shared | None = None,
) -> Forecast:
    """Run ``script`` for all holders on virtual time.

    ``within``: real seconds after which the simulation is ended, complete or not. ``cut_at``: virtual seconds after
    which the run is aborted, to see whether the script lets itself be ended; what it raises then is its own affair.
    ``row_of``: the holders' rows; ``shared``: what all have.

    Raises BadInput when the script asks for what the settings do not have, and whatever else it raises.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_dry_run(script, settings, within, cut_at, row_of, shared))


async def _dry_run(
    script: Script | Sequence[Script],
    settings: Settings,
    within: float | None,
    cut_at: float | None,
    row_of: Callable[[int], Row],
    shared: Shared | None,
) -> Forecast:
    per_second: Counter[int] = Counter()
    by_script: dict[str, Counter[str]] = {name: Counter() for name, _ in settings.of_scripts}
    holders: dict[str, set[int]] = {name: set() for name in by_script}
    said: set[Said] = set()
    failures: list[BaseException] = []
    before_rounds, in_rounds = Work(), Work()
    complete = True
    left: Counter[str] = Counter()

    def watched(script: Script, name: str) -> Script:
        async def until_it_fails(holder: Holder) -> None:
            _ASKING.set(holder)
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
            if not run.pacer.ended and not run.pacer.is_retired(holder.number):
                left[name] += 1

        return until_it_fails

    def give_up() -> None:
        nonlocal complete
        complete = False
        run.abort()

    def count(record: StepRecord, now: float) -> None:
        per_second[int(now)] += 1
        by_script[record.script][record.step] += 1
        holders[record.script].add(record.holder)
        said.add(Said(thresholds.STEP, record.step, record.script, record.group))
        work = in_rounds if record.iteration else before_rounds
        work.steps[record.step, record.service] += 1
        if not WITHIN_STEP.get():
            work.outermost[record.step, record.service] += 1
            work.seconds += record.service_time

    def count_request(service: str) -> None:
        (in_rounds if _ASKING.get().rounds else before_rounds).requests[service] += 1

    def note(record: Observation, now: float) -> None:
        kind, name = thresholds.observed(record)
        said.add(Said(kind, name, record.script, record.group))

    scripts = script if isinstance(script, Sequence) else [script]
    run = Run(
        settings,
        [watched(each, name) for each, (name, _) in zip(scripts, settings.of_scripts, strict=True)],
        services=SimulatedServices(settings.services, count_request),
        wallets=SimulatedWallets(settings.seed),
        listeners=[count],
        observers=[note],
        row_of=row_of,
        shared=shared,
    )
    run.visits, run.round_times = visits, round_times = _Kept(), _Kept()
    start = run.clock.now()
    for order in settings.load.orders_if_all_hold(start):
        asyncio.get_running_loop().call_later(order.due - start, run.orders.put_nowait, order)
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
        settings.load.rounds_are_due,
        frozenset(said),
        {name: (len(holders[name]), dict(steps)) for name, steps in by_script.items() if name},
        run.rounds,
        before_rounds,
        in_rounds,
        visits.seconds,
        round_times.seconds,
        dict(left),
        settings.load.has_levels,
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
