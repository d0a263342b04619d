"""The dry run: the script with simulated holders on virtual time, to forecast the load of a run."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from controller.holder.holder import Script
from controller.load.virtual_time import VirtualTimeLoop
from controller.run.run import Run
from controller.run.simulated import SimulatedServices, SimulatedWallets
from stampede.load_models.interface import EndOfRun
from stampede.schema.records import StepRecord
from stampede.schema.settings.run_settings import Settings


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

    @property
    def per_second(self) -> float:
        """Mean steps per second."""
        return sum(self.steps.values()) / self.seconds if self.seconds else 0.0

    def text(self) -> str:
        """The forecast as text."""
        total = sum(self.steps.values())
        width = max((len(name) for name in self.steps), default=0)
        lines = [
            self.load,
            f"A run of {self.holders:,} holders would take about {_duration(self.seconds)} "
            f"and execute {total:,} steps,",
            f"{self.per_second:.2f} per second on average, {self.peak_per_second} in its busiest second "
            "(simulated holders, assumed service times):",
            *(f"  {name:<{width}}  {count:>9,}" for name, count in self.steps.items()),
        ]
        return "\n".join(lines)


def dry_run(script: Script, settings: Settings) -> Forecast:
    """Run ``script`` for all holders on virtual time.

    Raises BadInput when the script asks for what the settings do not have, and whatever else it raises.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_dry_run(script, settings))


async def _dry_run(script: Script, settings: Settings) -> Forecast:
    per_second: Counter[int] = Counter()
    failure: list[Exception] = []

    async def watched(holder: object) -> None:
        try:
            await script(holder)  # type: ignore[arg-type]
        except Exception as error:
            failure.append(error)
            run.abort()
            raise EndOfRun from None

    def count(record: StepRecord, now: float) -> None:
        per_second[int(now)] += 1

    run = Run(
        settings,
        watched,
        services=SimulatedServices(),
        wallets=SimulatedWallets(settings.seed),
        listeners=[count],
    )
    start = run.clock.now()
    await run.play(start)
    if failure:
        raise failure[0]
    return Forecast(
        run.clock.now() - start,
        dict(run.figures.steps),
        max(per_second.values(), default=0),
        settings.load.describe(),
        len(settings.load.wallets),
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest)
    return " ".join(parts) or "0 s"
