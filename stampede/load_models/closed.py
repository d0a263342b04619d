"""The closed load model: a number of holders, each going through the script at its own pace.

After the ramp-up the number of holders is constant, or it goes up and down by stages. A holder that waits for a slow
service asks no more of it, as the public does (Schroeder et al., "Open Versus Closed: A Cautionary Tale", NSDI 2006).
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

from stampede.load_models.interface import EndOfRun, LoadModel, Plan, SettingReader, Stage, StageNow
from stampede.load_models.profile import (
    LOOK,
    Profile,
    crossings,
    profile_of,
    read_profile,
    recorded_seconds,
    too_long,
)
from stampede.load_models.shares import Deal, dealt_out, read_deal, share_out


class Stay(NamedTuple):
    """A holder's, in seconds from the start; without an end it is that of the run."""

    begin: float
    end: float | None


class Change(NamedTuple):
    """A holder comes or goes, so many seconds from the start."""

    moment: float
    comes: bool
    number: int


@dataclass(frozen=True, slots=True)
class Closed(LoadModel):
    """``number`` holders from number ``first_holder`` on start evenly over ``ramp_up`` seconds, and run for
    ``duration`` seconds, or ``iterations`` iterations each if that is 0. With ``stages`` there are as many as these
    say, of which this host has its ``deal``."""

    number: int
    first_holder: int
    ramp_up: float
    duration: float
    iterations: int
    shared: bool = False
    """Whether so many iterations are those of all holders together."""
    stages: Profile | None = None
    deal: Deal = field(default_factory=Deal)

    holders_stay: ClassVar[bool] = True

    @classmethod
    def read(cls, reader: SettingReader) -> Self:
        """See LoadModel."""
        ramp_up, duration = reader.duration("ramp_up"), reader.duration("duration")
        stages = read_profile(reader, "holders", whole=True)
        if 0 < duration < ramp_up and not reader.read("stages"):
            too_long(reader, ramp_up, duration, "some holders would never start")
        return cls(
            number=reader.integer("holders"),
            first_holder=reader.integer("first_holder"),
            ramp_up=ramp_up,
            duration=duration,
            iterations=reader.integer("iterations"),
            shared=reader.read("iterations_per") == "run",
            stages=stages,
            deal=read_deal(reader),
        )

    @classmethod
    def recorded_plan(cls, settings: Mapping[str, Any], cuts: Sequence[float] = ()) -> Plan:
        """See LoadModel."""
        if stages := profile_of(settings.get("stampede_stages", settings.get("stages")) or (), "holders", whole=True):
            stages = stages.cut_at(cuts)
            return Plan(stages.highest_after, stages.seconds)
        return Plan(recorded_seconds(settings, "ramp_up"), recorded_seconds(settings, "duration"))

    @property
    def plan(self) -> Plan:
        """See LoadModel."""
        if self.stages:
            return Plan(self.stages.highest_after, self.stages.seconds)
        return Plan(self.ramp_up, self.duration)

    @property
    def is_shared_out(self) -> bool:
        """See LoadModel."""
        return not self.stages

    @property
    def wallets(self) -> range:
        """See LoadModel."""
        return range(self.first_holder, self.first_holder + len(self.stays()))

    def stage_at(self, moment: float) -> StageNow | None:
        """See LoadModel."""
        return self.stages.stage_at(moment) if self.stages else None

    def cut(self, moment: float) -> Self:
        """See LoadModel."""
        return dataclasses.replace(self, stages=self.stages.cut(moment)) if self.stages else self

    def stays(self) -> list[Stay]:
        """Those of this host's holders, in the order in which they come."""
        if not self.stages:
            return [Stay(self.ramp_up * place / self.number, None) for place in range(self.number)]
        here = set(self.deal.mine(range(math.ceil(self.stages.highest))))  # a cut may leave a part of a holder
        stays: list[Stay] = []
        present: dict[int, int] = {}
        for moment, rank, comes in crossings(self.stages):
            if rank not in here:
                continue
            if comes:
                present[rank] = len(stays)
                stays.append(Stay(moment, None))
            else:
                place = present.pop(rank)
                stays[place] = stays[place]._replace(end=moment)
        return stays

    def comings(self) -> Iterator[tuple[int, float]]:
        """See LoadModel."""
        return ((number, stay.begin) for number, stay in zip(self.wallets, self.stays(), strict=True))

    def describe(self) -> str:
        """See LoadModel."""
        if self.stages:
            most, count = math.ceil(self.stages.highest), len(self.stages.pieces)
            stages = f"{count} stage" + "s" * (count != 1)
            return f"Closed load model: up to {_holders(most)}, in {stages}, for {self.stages.seconds:g} s."
        start = f"started evenly over {self.ramp_up:g} s" if self.ramp_up else "started at once"
        iterations = f"for {self.iterations:,} iteration" + "s" * (self.iterations != 1)
        iterations += " together" * self.shared
        until = f"for {self.duration:g} s" if self.duration else iterations
        return f"Closed load model: {_holders(self.number)}, {start}, {until}."

    def shares(self, weights: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        """See LoadModel."""
        if self.stages:
            return dealt_out(
                weights, self.first_holder, lambda deal: len(dataclasses.replace(self, deal=deal).stays())
            )
        iterations = share_out(self.iterations, weights, "stampede_iterations") if self.shared else {}
        return {
            host: {"stampede_holders": share.number, "stampede_first_holder": self.first_holder + share.first}
            | ({"stampede_iterations": iterations[host].number} if iterations else {})
            for host, share in share_out(self.number, weights).items()
        }

    def reduced(self, holders: int, rounds: int | None = None, seconds: float | None = None) -> Self:
        """See LoadModel."""
        smaller = dataclasses.replace(self, number=min(self.number, holders))
        if self.stages:
            smaller = dataclasses.replace(
                smaller, stages=None, deal=Deal(), duration=self.stages.seconds, ramp_up=0.0
            )
        if rounds is not None:
            most = rounds * smaller.number if self.shared else rounds
            smaller = dataclasses.replace(smaller, iterations=min(self.iterations, most))
        if seconds is not None:
            smaller = dataclasses.replace(smaller, duration=min(smaller.duration, seconds), ramp_up=0.0)
        return smaller

    def another_round(self, rounds: int, of_all: int) -> bool:
        """See LoadModel."""
        return bool(self.duration or self.stages) or (of_all if self.shared else rounds) < self.iterations

    def changes(self) -> list[Change]:
        """Who of this host's holders comes or goes when."""
        stays = dict(zip(self.wallets, self.stays(), strict=True))
        found = [Change(stay.begin, True, number) for number, stay in stays.items()]
        found += [Change(stay.end, False, number) for number, stay in stays.items() if stay.end is not None]
        return sorted(found)

    async def run(self, stage: Stage) -> None:
        """See LoadModel."""
        load, changes, done = self, deque(self.changes()), set[tuple[bool, int]]()
        async with asyncio.TaskGroup() as group:
            try:
                while changes:
                    moment, comes, number = changes[0]
                    due, now = stage.start + moment, stage.now()
                    if due > now:
                        await stage.until(min(due, now + LOOK) if self.stages else due)
                        if stage.load() is not load:  # the run goes on to a next stage before its time
                            load = stage.load()
                            changes = deque(change for change in load.changes() if change[1:] not in done)
                            come = {number for comes, number in done if comes}
                            for number in come.difference(load.wallets):  # before this host learned of it
                                stage.retire(number)
                        continue
                    changes.popleft()
                    done.add((comes, number))
                    if comes:
                        group.create_task(stage.live(number, due))
                    else:
                        stage.retire(number)
            except EndOfRun:
                pass  # over before all have begun


def _holders(number: int) -> str:
    return f"{number:,} holder" + "s" * (number != 1)
