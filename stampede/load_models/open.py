"""The open load model: new holders arrive at a rate, whatever the services' response times; each goes through the
script and leaves.

That is how the public comes to a service, and what shows how long its queue grows. ``stampede_holders`` is how many
there may be at a time; an arrival beyond that is dropped and counted, never queued.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

from stampede.load_models.interface import EndOfRun, LoadModel, Plan, SettingReader, Stage, StageNow
from stampede.load_models.profile import (
    Piece,
    Profile,
    amounts,
    due_moments,
    in_words,
    profile_of,
    read_rates,
    recorded_seconds,
    until_collected,
)
from stampede.load_models.shares import Deal, deals, read_deal, share_out
from stampede.schema import plain_numbers

AHEAD = 20.0
"""Seconds before an arrival at which its wallet is begun. Those of the first arrivals are made before the start."""
MAKERS = 4
"""Wallets that are made at the same time."""


class Arrival(NamedTuple):
    """One of this host's."""

    number: int
    moment: float
    """Seconds from the start."""


@dataclass(frozen=True, slots=True)
class Open(LoadModel):
    """Arrivals as ``profile`` says, in 1/s, of which this host has its ``deal``; ``most`` holders at a time, who make
    ``iterations`` rounds of a loop."""

    profile: Profile
    arrivals: str
    seed: int
    most: int
    first_holder: int
    iterations: int
    deal: Deal = field(default_factory=Deal)

    needs_room: ClassVar[bool] = True

    @classmethod
    def read(cls, reader: SettingReader) -> Self:
        """See LoadModel."""
        return cls(
            profile=read_rates(reader, over=reader.duration("ramp_up")),
            arrivals=reader.read("arrivals"),
            seed=reader.integer("seed"),
            most=reader.integer("holders"),
            first_holder=reader.integer("first_holder"),
            iterations=reader.integer("iterations"),
            deal=read_deal(reader),
        )

    @classmethod
    def recorded_plan(cls, settings: Mapping[str, Any], cuts: Sequence[float] = ()) -> Plan:
        """See LoadModel."""
        if profile := profile_of(settings.get("stampede_stages") or (), "rate"):
            profile = profile.cut_at(cuts)
            return Plan(profile.highest_after, profile.seconds)
        return Plan(recorded_seconds(settings, "ramp_up"), recorded_seconds(settings, "duration"))

    @property
    def plan(self) -> Plan:
        """See LoadModel."""
        return Plan(self.profile.highest_after, self.profile.seconds)

    @property
    def wallets(self) -> list[int]:
        """See LoadModel."""
        first = itertools.takewhile(lambda arrival: arrival.moment < AHEAD, self.schedule())
        return [arrival.number for arrival in itertools.islice(first, self.most)]

    @property
    def holders(self) -> int:
        """See LoadModel. Wallets that are made ahead need room, too."""
        return self.most + math.ceil(self.deal.part * self.profile.most_within(AHEAD))

    @property
    def total(self) -> int:
        """See LoadModel."""
        return sum(1 for _ in self.schedule())

    def stage_at(self, moment: float) -> StageNow | None:
        """See LoadModel."""
        return self.profile.stage_at(moment)

    def cut(self, moment: float) -> Self:
        """See LoadModel."""
        return dataclasses.replace(self, profile=self.profile.cut(moment))

    @property
    def numbers(self) -> list[int]:
        """See LoadModel."""
        return [arrival.number for arrival in self.schedule()]

    def endless(self) -> Iterator[tuple[int, float]]:
        """This host's arrivals without an end: their numbers, and how much has come together when they are due."""
        return self.deal.mine(enumerate(amounts(self.arrivals, self.seed), self.first_holder))

    def schedule(self) -> Iterator[Arrival]:
        """This host's arrivals, in their order. Their numbers are the run's: no other host has them."""
        moments = enumerate(self.profile.moments(amounts(self.arrivals, self.seed)), self.first_holder)
        return (Arrival(number, moment) for number, moment in self.deal.mine(moments))

    def comings(self) -> Iterator[tuple[int, float]]:
        """See LoadModel."""
        return self.schedule()

    def describe(self) -> str:
        """See LoadModel."""
        comes = in_words(self.profile, self.arrivals, "arrival")
        return f"Open load model: {comes}; at most {plain_numbers.number(self.most, 'holder')} at a time."

    def shares(self, weights: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        """See LoadModel."""
        most = share_out(self.most, weights)
        return {
            host: {"stampede_share": deal.settings(), "stampede_holders": most[host].number}
            for host, deal in deals(weights).items()
        }

    def reduced(self, holders: int, rounds: int | None = None, seconds: float | None = None) -> Self:
        """See LoadModel. So many arrive within a second, and go through the script."""
        smaller = dataclasses.replace(self, most=min(self.most, holders), arrivals="constant", deal=Deal())
        if rounds is not None:
            smaller = dataclasses.replace(smaller, iterations=min(self.iterations, rounds))
        long = self.profile.seconds if seconds is None else min(self.profile.seconds, seconds)
        come, stay = Piece(min(1.0, long), smaller.most, smaller.most), Piece(long, 0.0, 0.0)
        return dataclasses.replace(smaller, profile=Profile((come, stay)))

    def for_room(self, holders: int) -> Self:
        """See LoadModel."""
        return dataclasses.replace(self, most=holders).reduced(holders)

    def due(self, span: float, most: int) -> tuple[float, Iterator[float]]:
        """See LoadModel."""
        return due_moments(self.profile, self.arrivals, self.seed, span, most)

    def too_few_holders(self, needed: int, stay: float, hosts: int) -> str:
        """See LoadModel."""
        if needed <= self.most:
            return ""
        shared = f", shared out over {hosts} hosts" if hosts > 1 else ""
        return (
            f"stampede_holders is {self.most:,}, but holders who stay for about {stay:.3g} s arrive at up to "
            f"{self.profile.highest:g}/s, so that up to {needed:,} must have room at a time{shared}; it must be at "
            f"least {needed:,}, or arrivals are dropped"
        )

    def drops(self, dropped: str) -> str:
        """See LoadModel."""
        return (
            f"stampede_holders is {self.most:,}, but a dry run of this load drops {dropped} of its arrivals, for "
            "which as many holders are there already; it must be more"
        )

    def another_round(self, rounds: int, of_all: int) -> bool:
        """See LoadModel."""
        return rounds < self.iterations

    async def run(self, stage: Stage) -> None:
        """See LoadModel."""
        present = 0
        last = -1
        """Who has arrived last: numbers grow."""

        async def visit(number: int, due: float) -> None:
            nonlocal present
            try:
                await stage.live(number, due)
            finally:
                present -= 1
                if not stage.is_over():
                    await stage.remove_wallet(number)

        async with asyncio.TaskGroup() as group:
            making = asyncio.create_task(self._make_wallets(stage, lambda number: number <= last))
            try:
                for number, amount in self.endless():
                    due = await until_collected(stage, amount, lambda: stage.load().profile)
                    last = number
                    if present >= self.most:
                        stage.drop_arrival()
                        group.create_task(stage.remove_wallet(number))
                        continue
                    present += 1
                    group.create_task(visit(number, due))
            except EndOfRun:
                pass  # all have come, or it is over before that
            finally:
                making.cancel()

    async def _make_wallets(self, stage: Stage, has_come: Callable[[int], bool]) -> None:
        """Those of later arrivals, each before it is needed. Who ``has_come`` before that, or was dropped, needs none
        any more."""
        made = set(self.wallets)
        rest = ((number, amount) for number, amount in self.endless() if number not in made)

        async def make() -> None:
            for number, amount in rest:
                if not has_come(number):
                    await until_collected(stage, amount, lambda: stage.load().profile, begin=-AHEAD)
                if not has_come(number):
                    await stage.make_wallet(number)

        await asyncio.gather(*(make() for _ in range(MAKERS)), return_exceptions=True)
