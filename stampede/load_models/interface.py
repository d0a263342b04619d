"""What a load model is: who runs when, on one host or shared out over a fleet.

A model is a file of this folder with one class in it, a subclass of LoadModel; ``stampede_load_model`` names it by
the file's name. Nothing outside the file knows its settings.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from stampede.schema.settings import thresholds

INSTANT = 1e-6
"""Seconds that make no difference, for sums of seconds are rounded."""


class EndOfRun(BaseException):
    """Ends a holder's script when the run is over. Not an Exception, so that scripts do not catch it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the load develops, as far as that is known before the run. Seconds from the start."""

    steady_after: float = 0.0
    """When the load has reached its level and the phase ``steady`` begins."""
    duration: float = 0.0
    """When steps begin no more and the phase ``drain`` begins; 0 when only the run itself will tell."""


class StageNow(NamedTuple):
    """The stage of ``stampede_stages`` that is under way."""

    number: int
    """From 1."""
    stages: int
    """How many there are."""
    ends: float
    """Seconds from the start of the load."""


@dataclass(frozen=True, slots=True)
class Order:
    """A change of the load that the control node orders of all hosts for the same moment."""

    number: int
    """Orders are counted from 1."""
    holders: int
    """How many there are to be, on all hosts together; 0 ends the run."""
    due: float
    """When, on the run's clock."""


class SettingReader(Protocol):
    """Reads ``stampede_*`` variables, named without that prefix, and collects a sentence for each that is wrong."""

    def integer(self, name: str) -> int:
        """A whole number, within the bounds of the argument specs."""

    def duration(self, name: str) -> float:
        """Seconds."""

    def read(self, name: str) -> Any:
        """A value in the shape that the argument specs give it."""

    def complain(self, sentence: str) -> None:
        """Note what is wrong, and what would be right."""


class Stage(Protocol):
    """A run on one host, as its load model sees it."""

    @property
    def start(self) -> float:
        """The moment of the clock at which the load begins."""

    @property
    def waiting(self) -> deque[asyncio.Future[float]]:
        """Holders that wait for their next round, who has waited longest being the first; for the model's own use."""

    @property
    def orders(self) -> asyncio.Queue[Order]:
        """What the control node has ordered."""

    def tell_level(self, holders: int) -> None:
        """The load has come to this level now: so many holders on all hosts together."""

    def now(self) -> float:
        """The clock, in seconds."""

    def load(self) -> Any:
        """The load model as it is now: another one when the run has gone on to a next stage before its time."""

    def is_over(self) -> bool:
        """Whether the run has ended, so that nothing begins any more."""

    async def until(self, due: float) -> None:
        """Wait until the clock shows ``due``. Raises EndOfRun when the run ends before that."""

    async def unless_over[Result](self, work: Coroutine[None, None, Result]) -> Result:
        """Await ``work``. Raises EndOfRun when the run ends before that."""

    def live(self, number: int, due: float) -> Coroutine[None, None, None]:
        """The life of holder ``number``, from its arrival, which was due at ``due``, to the end of its script. Its
        wallet is awaited if it is not made yet."""

    async def make_wallet(self, number: int) -> None:
        """Make the wallet of a holder that is to come."""

    async def remove_wallet(self, number: int) -> None:
        """Remove the wallet of a holder that has left, or that will not come."""

    def retire(self, number: int) -> None:
        """Have a holder leave: it begins no further round, and its script ends where it waits next."""

    def drop_arrival(self) -> None:
        """Count an arrival that is left out, because there are as many holders as there may be."""

    def drop_round(self) -> None:
        """Count a round that is left out, because no holder is free."""


class LoadModel(ABC):
    """A load model with its settings: a host's share of the run, or the whole run on the control node."""

    think_time_scale: ClassVar[float] = 1.0
    """What think times are multiplied by, besides ``stampede_think_time_scale``."""

    needs_room: ClassVar[bool] = False
    """Whether it depends on the holders' time how many of them there are at once: see ``for_room``, ``due``,
    ``too_few_holders`` and ``drops``, which such a model has."""

    rounds_are_due: ClassVar[bool] = False
    """Whether rounds begin at a rate, so that rounds are dropped, and not arrivals, when no holder is free."""
    all_come: ClassVar[bool] = True
    """Whether all the holders of ``total`` come, unless the run ends before that."""

    holders_stay: ClassVar[bool] = False
    """Whether its duration is that of holders who stay, so that it is over before when all have left."""
    is_for_those_who_stay: ClassVar[bool] = False
    """Whether it makes no sense with holders who do not stay."""

    has_levels: ClassVar[bool] = False
    """Whether it goes through levels of load, each of which is judged by itself."""

    @classmethod
    @abstractmethod
    def read(cls, reader: SettingReader) -> Self:
        """Read and check the model's settings; what is wrong is left with the reader."""

    @classmethod
    @abstractmethod
    def recorded_plan(cls, settings: Mapping[str, Any], cuts: Sequence[float] = ()) -> Plan:
        """The plan of a run from the settings that its results hold. ``cuts``: when the next stage began before its
        time (see ``cut``). Raises ValueError for what cannot be read."""

    @property
    @abstractmethod
    def plan(self) -> Plan:
        """How the load develops."""

    @property
    @abstractmethod
    def wallets(self) -> Sequence[int]:
        """The numbers of the holders whose wallets are created before the start."""

    @property
    def holders(self) -> int:
        """How many holders there are at the same time at most, so that there must be room for their wallets."""
        return len(self.wallets)

    @property
    def is_shared_out(self) -> bool:
        """Whether each load host has to have a share of ``stampede_holders``; otherwise holders are dealt out."""
        return True

    @property
    def total(self) -> int:
        """How many holders there are in all, at the same time or one after the other, those that are dropped too."""
        return len(self.wallets)

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of the holders of ``total``."""
        return self.wallets

    def comings(self) -> Iterator[tuple[int, float]]:
        """The holders of ``total`` in the order of their numbers, each with the seconds from the start at which it
        comes, as far as that decides its stage."""
        return ((number, 0.0) for number in self.numbers)

    def orders_if_all_hold(self, start: float) -> Iterator[Order]:
        """Which orders come, and when, if every level holds; the last has no holders, and ends the run."""
        return iter(())

    def row_number(self, number: int) -> int:
        """Whose row of ``stampede_data`` a holder has: its own, or that of the one of ``numbers`` whose place it
        takes."""
        return number

    def stage_at(self, moment: float) -> StageNow | None:
        """The stage that is under way ``moment`` seconds from the start; None where there is none."""
        return None

    def cut(self, moment: float) -> Self:
        """The same load, which goes on to its next stage ``moment`` seconds from the start. What comes before that
        stays as it is, and the numbers of all holders. Itself where there is no next stage."""
        return self

    @abstractmethod
    def describe(self) -> str:
        """The load in one sentence."""

    def why_no_phase(self, phase: str) -> str:
        """Why a run of this model has no such phase (``stampede.schema.settings.thresholds``); empty when it has."""
        reached, ends = self.plan.steady_after, self.plan.duration
        if phase == thresholds.RAMP_UP and not reached:
            return (
                "there is no such phase, because the load is at its highest from the start; remove 'during ramp_up'"
            )
        if phase == thresholds.STEADY and 0 < ends <= reached + INSTANT:
            return (
                f"there is no such phase, because the load is not at its highest before {reached:g} s, and ends "
                f"after {ends:g} s; it must last longer, by stampede_duration or a stage, or remove 'during steady'"
            )
        if phase == thresholds.DRAIN and not ends:
            return (
                "there is no such phase, because stampede_duration is 0 and the iterations decide; set a duration, "
                "or remove 'during drain'"
            )
        return ""

    @abstractmethod
    def shares(self, weights: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        """Each load host's share: the variables that differ on it. Raises BadInput when a host would get none."""

    @abstractmethod
    def reduced(self, holders: int, rounds: int | None = None, seconds: float | None = None) -> LoadModel:
        """A smaller version that a script is tried with: at most so many holders, rounds and seconds."""

    def for_room(self, holders: int) -> LoadModel:
        """A load with which so many holders, however many there may be, show how long a visit or a round takes."""
        raise NotImplementedError

    def due(self, span: float, most: int) -> tuple[float, Iterator[float]]:
        """How many arrivals, or rounds, are due in any ``span`` of seconds, by the rate alone, and when they are, in
        seconds from the start: all of the run, or the ``most`` about its busiest moment."""
        raise NotImplementedError

    def too_few_holders(self, needed: int, stay: float, hosts: int) -> str:
        """A sentence when there may be fewer holders on all ``hosts`` together than are needed, where a visit or a
        round takes ``stay`` seconds on average; else ''."""
        return ""

    def drops(self, dropped: str) -> str:
        """A sentence about so many arrivals or rounds, such as ``3``, which a dry run of this load drops."""
        raise NotImplementedError

    @abstractmethod
    def another_round(self, rounds: int, of_all: int) -> bool:
        """Whether a holder that has completed ``rounds`` rounds may begin another one, when all holders of
        this host together have begun ``of_all``."""

    async def turn(self, stage: Stage, number: int) -> float | None:
        """Wait until a holder may begin its next round; returns when that was due, None for at once. Raises EndOfRun
        when the run ends before that."""
        return None

    @abstractmethod
    async def run(self, stage: Stage) -> None:
        """Have the holders of this host live, and return when all have ended. Cancelling cancels them."""
