"""A rate of rounds: holders begin rounds of their loop at a rate, whatever the services' response times.

All holders connect first, during the ramp-up. From then on each round is begun by the holder that has waited longest;
one for which no holder is free is dropped and counted, never queued.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

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


@dataclass(frozen=True, slots=True)
class Rounds(LoadModel):
    """``number`` holders from number ``first_holder`` on start evenly over ``ramp_up`` seconds; then they begin
    rounds as ``profile`` says, in 1/s, of which this host has its ``deal``."""

    number: int
    first_holder: int
    ramp_up: float
    profile: Profile
    arrivals: str
    seed: int
    deal: Deal = field(default_factory=Deal)

    needs_room: ClassVar[bool] = True
    rounds_are_due: ClassVar[bool] = True

    @classmethod
    def read(cls, reader: SettingReader) -> Self:
        """See LoadModel."""
        ramp_up = reader.duration("ramp_up")
        return cls(
            number=reader.integer("holders"),
            first_holder=reader.integer("first_holder"),
            ramp_up=ramp_up,
            profile=read_rates(reader, begin=ramp_up, over=0.0),
            arrivals=reader.read("arrivals"),
            seed=reader.integer("seed"),
            deal=read_deal(reader),
        )

    @classmethod
    def recorded_plan(cls, settings: Mapping[str, Any], cuts: Sequence[float] = ()) -> Plan:
        """See LoadModel."""
        ramp_up = recorded_seconds(settings, "ramp_up")
        if profile := profile_of(settings.get("stampede_stages") or (), "rate"):
            profile = profile.cut_at(cut - ramp_up for cut in cuts)
            return Plan(ramp_up, ramp_up + profile.seconds)
        return Plan(ramp_up, recorded_seconds(settings, "duration"))

    @property
    def plan(self) -> Plan:
        """See LoadModel."""
        return Plan(self.ramp_up, self.ramp_up + self.profile.seconds)

    @property
    def wallets(self) -> range:
        """See LoadModel."""
        return range(self.first_holder, self.first_holder + self.number)

    def stage_at(self, moment: float) -> StageNow | None:
        """See LoadModel."""
        found = self.profile.stage_at(moment - self.ramp_up)
        return found and found._replace(ends=found.ends + self.ramp_up)

    def cut(self, moment: float) -> Self:
        """See LoadModel."""
        return dataclasses.replace(self, profile=self.profile.cut(moment - self.ramp_up))

    def describe(self) -> str:
        """See LoadModel."""
        begin = in_words(self.profile, self.arrivals, "round")
        by = plain_numbers.number(self.number, "holder")
        return f"Rate of rounds: {begin}, by {by}, started over {self.ramp_up:g} s before."

    def shares(self, weights: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        """See LoadModel."""
        shares = share_out(self.number, weights)
        return {
            host: {
                "stampede_share": deal.settings(),
                "stampede_holders": shares[host].number,
                "stampede_first_holder": self.first_holder + shares[host].first,
            }
            for host, deal in deals(weights).items()
        }

    def reduced(self, holders: int, rounds: int | None = None, seconds: float | None = None) -> Self:
        """See LoadModel."""
        number = min(self.number, holders)
        long = self.profile.seconds if seconds is None else min(self.profile.seconds, seconds)
        made = number * (rounds or 1)
        pieces = Piece(long, made / long, made / long)
        return dataclasses.replace(
            self, number=number, profile=Profile((pieces,)), arrivals="constant", ramp_up=0.0, deal=Deal()
        )

    def amounts(self) -> Iterator[float]:
        """How much has come together when this host's rounds are due, without an end."""
        return self.deal.mine(amounts(self.arrivals, self.seed))

    def for_room(self, holders: int) -> Self:
        """See LoadModel. All connect, then each begins a round within a second, and has the run's time for it."""
        long = self.plan.duration
        pieces = Piece(long, 0.0, 0.0), Piece(1.0, holders, holders), Piece(long, 0.0, 0.0)
        return dataclasses.replace(
            self, number=holders, profile=Profile(pieces), arrivals="constant", ramp_up=0.0, deal=Deal()
        )

    def due(self, span: float, most: int) -> tuple[float, Iterator[float]]:
        """See LoadModel."""
        return due_moments(self.profile, self.arrivals, self.seed, span, most)

    def too_few_holders(self, needed: int, stay: float, hosts: int) -> str:
        """See LoadModel."""
        if needed <= self.number:
            return ""
        shared = f", shared out over {hosts} hosts" if hosts > 1 else ""
        return (
            f"stampede_holders is {self.number:,}, but rounds of about {stay:.3g} s each begin at up to "
            f"{self.profile.highest:g}/s, so that up to {needed:,} are under way at a time{shared}; it must be at "
            f"least {needed:,}, or rounds are dropped"
        )

    def drops(self, dropped: str) -> str:
        """See LoadModel."""
        return (
            f"stampede_holders is {self.number:,} and stampede_ramp_up is {self.ramp_up:g} s, but a dry run of this "
            f"load drops {dropped} of its rounds, for which no holder is free; one of the two must be more"
        )

    def another_round(self, rounds: int, of_all: int) -> bool:
        """See LoadModel."""
        return True

    async def turn(self, stage: Stage, number: int) -> float:
        """See LoadModel."""
        waiting: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        stage.waiting.append(waiting)

        async def until_called() -> float:
            return await waiting

        try:
            return await stage.unless_over(until_called())
        finally:
            waiting.cancel()

    async def run(self, stage: Stage) -> None:
        """See LoadModel."""
        async with asyncio.TaskGroup() as group:
            try:
                for place, number in enumerate(self.wallets):
                    due = stage.start + self.ramp_up * place / self.number
                    if due > stage.now():
                        await stage.until(due)
                    group.create_task(stage.live(number, due))
                for amount in self.amounts():
                    due = await until_collected(stage, amount, lambda: stage.load().profile, begin=self.ramp_up)
                    self._begin_round(stage, due)
            except EndOfRun:
                pass  # all have begun, or it is over before that

    @staticmethod
    def _begin_round(stage: Stage, due: float) -> None:
        while stage.waiting:
            waiting = stage.waiting.popleft()
            if not waiting.done():
                waiting.set_result(due)
                return
        stage.drop_round()
