"""The closed load model: a fixed number of holders, each going through the script at its own pace.

After the ramp-up the number of holders is constant; a holder that waits for a slow service asks no more of
it, as the public does (Schroeder et al., "Open Versus Closed: A Cautionary Tale", NSDI 2006).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from stampede.load_models.interface import EndOfRun, LoadModel, Plan, SettingReader, Stage
from stampede.load_models.shares import share_out
from stampede.schema.settings import thresholds
from stampede.schema.settings.durations import seconds


@dataclass(frozen=True, slots=True)
class Closed(LoadModel):
    """``holders`` from number ``first_holder`` on start evenly over ``ramp_up`` seconds, and run for ``duration``
    seconds, or ``iterations`` iterations each if that is 0."""

    holders: int
    first_holder: int
    ramp_up: float
    duration: float
    iterations: int

    @classmethod
    def read(cls, reader: SettingReader) -> Self:
        """See LoadModel."""
        return cls(
            holders=reader.integer("holders"),
            first_holder=reader.integer("first_holder"),
            ramp_up=reader.duration("ramp_up"),
            duration=reader.duration("duration"),
            iterations=reader.integer("iterations"),
        )

    @classmethod
    def recorded_plan(cls, settings: Mapping[str, Any]) -> Plan:
        """See LoadModel."""

        def recorded(name: str) -> float:
            value = settings.get(f"stampede_{name}", settings.get(name))
            try:
                return seconds(value or 0)
            except ValueError:
                raise ValueError(f"The {name} {value!r} of the settings was ignored: it is not a duration.") from None

        return Plan(recorded("ramp_up"), recorded("duration"))

    @property
    def plan(self) -> Plan:
        """See LoadModel."""
        return Plan(self.ramp_up, self.duration)

    @property
    def wallets(self) -> range:
        """See LoadModel."""
        return range(self.first_holder, self.first_holder + self.holders)

    def describe(self) -> str:
        """See LoadModel."""
        who = f"{self.holders:,} holder" + "s" * (self.holders != 1)
        start = f"started evenly over {self.ramp_up:g} s" if self.ramp_up else "started at once"
        iterations = f"for {self.iterations} iteration" + "s" * (self.iterations != 1)
        return f"Closed load model: {who}, {start}, {f'for {self.duration:g} s' if self.duration else iterations}."

    def why_no_phase(self, phase: str) -> str:
        """See LoadModel."""
        if phase == thresholds.RAMP_UP and not self.ramp_up:
            return "there is no such phase, because stampede_ramp_up is 0; remove 'during ramp_up'"
        if phase == thresholds.STEADY and 0 < self.duration <= self.ramp_up:
            return (
                f"there is no such phase, because stampede_duration, {self.duration:g} s, ends no later than "
                f"stampede_ramp_up, {self.ramp_up:g} s; stampede_duration must be longer"
            )
        if phase == thresholds.DRAIN and not self.duration:
            return (
                "there is no such phase, because stampede_duration is 0 and the iterations decide; "
                "set a duration, or remove 'during drain'"
            )
        return ""

    def shares(self, weights: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        """See LoadModel."""
        return {
            host: {"stampede_holders": share.holders, "stampede_first_holder": self.first_holder + share.first}
            for host, share in share_out(self.holders, weights).items()
        }

    def reduced(self, holders: int, rounds: int | None = None, seconds: float | None = None) -> Self:
        """See LoadModel."""
        smaller = dataclasses.replace(self, holders=min(self.holders, holders))
        if rounds is not None:
            smaller = dataclasses.replace(smaller, iterations=min(self.iterations, rounds))
        if seconds is not None:
            smaller = dataclasses.replace(smaller, duration=min(self.duration, seconds), ramp_up=0.0)
        return smaller

    def another_round(self, rounds: int) -> bool:
        """See LoadModel."""
        return bool(self.duration) or rounds < self.iterations

    async def run(self, stage: Stage) -> None:
        """See LoadModel."""
        async with asyncio.TaskGroup() as group:
            try:
                for place, number in enumerate(self.wallets):
                    due = stage.start + self.ramp_up * place / self.holders
                    if due > stage.now():
                        await stage.until(due)
                    group.create_task(stage.live(number, due))
            except EndOfRun:
                pass  # over before all have begun
