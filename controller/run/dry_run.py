"""The dry run: the script with simulated holders on virtual time, to forecast the load of a run."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from controller.holder.holder import Holder, Script
from controller.load.virtual_time import VirtualTimeLoop
from controller.run.run import Run, is_being_cancelled
from controller.run.simulated import SimulatedServices, SimulatedWallets
from stampede.load_models.interface import EndOfRun
from stampede.schema.data_rows import Row, no_row
from stampede.schema.records import Observation, StepRecord
from stampede.schema.settings import thresholds
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.thresholds import Said
from stampede.schema.shared_values import Shared


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
    said: frozenset[Said] = frozenset()
    """What thresholds may be about: its steps, checks and measures, where they were."""
    by_script: dict[str, tuple[int, dict[str, int]]] = field(default_factory=dict)
    """How many holders took each script, and its steps, where there are several."""
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
        for script, (holders, steps) in self.by_script.items():
            lines.append(f"{script}, {holders:,} holders:")
            lines += [f"  {name:<{width}}  {count:>9,}" for name, count in steps.items()]
        if self.dropped:
            lines.append(f"{self.dropped:,} arrivals or rounds would be dropped, because all holders would be busy.")
        return "\n".join(lines)


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
    complete = True

    def watched(script: Script) -> Script:
        async def until_it_fails(holder: Holder) -> None:
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

    def note(record: Observation, now: float) -> None:
        kind, name = thresholds.observed(record)
        said.add(Said(kind, name, record.script, record.group))

    run = Run(
        settings,
        [watched(each) for each in (script if isinstance(script, Sequence) else [script])],
        services=SimulatedServices(settings.services),
        wallets=SimulatedWallets(settings.seed),
        listeners=[count],
        observers=[note],
        row_of=row_of,
        shared=shared,
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
        frozenset(said),
        {name: (len(holders[name]), dict(steps)) for name, steps in by_script.items() if name},
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
