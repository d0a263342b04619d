"""A search for the highest load that holds: the number of holders goes up, and down again, until it is known.

The control node judges each level by the thresholds, over all hosts, and orders the next one; hosts change to it at
the same moment. See ``ladder`` for which levels are tried.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from stampede.load_models.closed import Closed
from stampede.load_models.interface import EndOfRun, LoadModel, Order, Plan, SettingReader, Stage
from stampede.load_models.ladder import Ladder, Tried
from stampede.load_models.shares import Deal, dealt_out, read_deal
from stampede.schema import plain_numbers
from stampede.schema.settings import thresholds
from stampede.schema.settings.durations import number
from stampede.schema.settings.shapes import Duration, TooMuch

PATIENCE = 120.0
"""Seconds beyond a level's own after which a host that gets no order ends the run."""
LEAST_VISIT = 1.0
"""Seconds from a holder's coming to that of the next one in its place at the earliest, so that scripts that fail at
once are not begun again and again."""
DURATIONS = {"settle": 15.0, "hold": 45.0, "confirm": 90.0}
KEYS = ("begin", *DURATIONS, "within")


@dataclass(frozen=True, slots=True)
class Pace:
    """How a search goes, ``stampede_search``. Seconds."""

    begin: int = 1
    """Holders of the first level."""
    settle: float = DURATIONS["settle"]
    """Of each level, before it is judged: holders come evenly over the first half."""
    hold: float = DURATIONS["hold"]
    """For which a level is judged."""
    confirm: float = DURATIONS["confirm"]
    """For which the result is judged once more."""
    within: float = 0.1
    """How narrowly the result is found, as a share of it."""

    def judged(self, *, confirms: bool) -> float:
        """Seconds for which a level is judged."""
        return self.confirm if confirms else self.hold


@dataclass(frozen=True, slots=True)
class Search(LoadModel):
    """Up to ``most`` holders, of whom this host has its ``deal``."""

    most: int
    first_holder: int
    pace: Pace
    deal: Deal = field(default_factory=Deal)

    all_come: ClassVar[bool] = False
    has_levels: ClassVar[bool] = True

    @classmethod
    def read(cls, reader: SettingReader) -> Self:
        """See LoadModel."""
        most = reader.integer("holders")
        if not reader.read("thresholds"):
            reader.complain(
                "stampede_thresholds is empty, but stampede_load_model is search; it must have one that says what "
                "a load that holds is, such as 'present_proof p95 < 2 s'"
            )
        if reader.read("stages"):
            reader.complain("stampede_stages is set, but a search goes by levels of its own; remove it")
        pace = _read_pace(reader.read("search"), most, reader.complain)
        for text in reader.read("thresholds"):
            for problem in _problems(text, pace):
                reader.complain(problem)
        return cls(
            most,
            reader.integer("first_holder"),
            pace,
            read_deal(reader),
        )

    @classmethod
    def recorded_plan(cls, settings: Mapping[str, Any], cuts: Sequence[float] = ()) -> Plan:
        """See LoadModel."""
        return Plan()

    @property
    def plan(self) -> Plan:
        """See LoadModel."""
        return Plan()

    @property
    def ladder(self) -> Ladder:
        """Which levels are tried."""
        return Ladder(self.pace.begin, self.most, self.pace.within)

    @property
    def ranks(self) -> list[int]:
        """This host's holders by their place among all: one of rank k is there while the level is more than k."""
        return list(self.deal.mine(range(self.most)))

    @property
    def is_shared_out(self) -> bool:
        """See LoadModel."""
        return False

    @property
    def wallets(self) -> range:
        """See LoadModel."""
        return range(self.first_holder, self.first_holder + len(self.ranks))

    def orders_if_all_hold(self, start: float) -> Iterator[Order]:
        """See LoadModel."""
        tried: list[Tried] = []
        while level := self.ladder.next(tried):
            if tried:  # the first level needs no order
                yield Order(len(tried), level.holders, start)
            tried.append(Tried(level.holders, held=True, confirms=level.confirms))
            start += self.pace.settle + self.pace.judged(confirms=level.confirms)
        yield Order(len(tried), 0, start)

    def row_number(self, number: int) -> int:
        """See LoadModel. That of its rank's first."""
        return self.first_holder + (number - self.first_holder) % self.most

    def describe(self) -> str:
        """See LoadModel."""
        pace, most = self.pace, plain_numbers.number(self.most, "holder")
        return (
            f"Search for the highest load that holds: from {pace.begin:,} to at most {most}, each level for "
            f"{pace.settle:g} s and then {pace.hold:g} s that are judged; the result for {pace.confirm:g} s more."
        )

    def why_no_phase(self, phase: str) -> str:
        """See LoadModel."""
        if phase == thresholds.RUN:
            return ""
        return f"a search judges each level by itself; remove 'during {phase}'"

    def shares(self, weights: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        """See LoadModel."""
        return dealt_out(weights, self.first_holder, lambda deal: len(dataclasses.replace(self, deal=deal).ranks))

    def reduced(self, holders: int, rounds: int | None = None, seconds: float | None = None) -> LoadModel:
        """See LoadModel. A script is tried at one level."""
        long = self.pace.settle + self.pace.hold
        return Closed(
            number=min(self.most, holders),
            first_holder=0,
            ramp_up=0.0,
            duration=long if seconds is None else min(long, seconds),
            iterations=rounds or 1,
        )

    def another_round(self, rounds: int, of_all: int) -> bool:
        """See LoadModel."""
        return True

    async def run(self, stage: Stage) -> None:
        """See LoadModel."""
        order: Order | None = Order(0, self.pace.begin, stage.start)
        async with asyncio.TaskGroup() as group:
            level = _Present(self, stage, group)
            try:
                while order and order.holders:
                    await level.change(order)
                    order = await self._next_order(stage)
            except EndOfRun:
                return
            level.empty()

    async def _next_order(self, stage: Stage) -> Order | None:
        """None when none comes. Raises EndOfRun."""
        patience = self.pace.settle + max(self.pace.hold, self.pace.confirm) + PATIENCE
        try:
            async with asyncio.timeout(patience):
                return await stage.unless_over(stage.orders.get())
        except TimeoutError:
            return None


class _Present:
    """The holders of this host that are there. One that comes again, or in place of one whose script has ended, is
    another, with a number of its own."""

    def __init__(self, load: Search, stage: Stage, group: asyncio.TaskGroup) -> None:
        self._load, self._stage, self._group = load, stage, group
        self._next = dict(zip(load.ranks, load.wallets, strict=True))
        """The number with which the holder of a rank comes the next time."""
        self._wanted: set[int] = set()
        """The ranks whose holders are to be there."""
        self._number: dict[int, int] = {}
        """Of those that are there, by rank; of one that is to leave, until its script has ended."""
        self._holders = 0

    async def change(self, order: Order) -> None:
        """Come to another level: evenly upwards, downwards at once. Raises EndOfRun."""
        stage, before = self._stage, self._holders
        if order.due > stage.now():
            await stage.until(order.due)
        stage.tell_level(order.holders)
        self._holders = order.holders
        self.empty(order.holders)
        ramp = self._load.pace.settle / 2
        for rank in self._next:
            if before <= rank < order.holders:
                due = order.due + ramp * (rank - before) / (order.holders - before)
                if due > stage.now():
                    await stage.until(due)
                self._come(rank, due)

    def _come(self, rank: int, due: float) -> None:
        self._wanted.add(rank)
        if rank not in self._number:  # else the one before is in its last step; the next one follows
            self._number[rank] = self._next[rank]
            self._group.create_task(self._stay(rank, due))

    async def _stay(self, rank: int, due: float) -> None:
        """One holder after the other, for as long as one of this rank is to be there."""
        stage = self._stage
        try:
            while rank in self._wanted and not stage.is_over():
                if due > stage.now():
                    await stage.until(due)
                    continue
                number = self._number[rank] = self._next[rank]
                self._next[rank] += self._load.most
                came = stage.now()
                await stage.live(number, due)
                self._group.create_task(stage.remove_wallet(number))
                due = max(came + LEAST_VISIT, stage.now())
        except EndOfRun:
            pass
        finally:
            del self._number[rank]

    def empty(self, to: int = 0) -> None:
        """Have holders leave until so many are there."""
        for rank in [rank for rank in self._wanted if rank >= to]:
            self._wanted.discard(rank)
            self._stage.retire(self._number[rank])


def recorded_pace(settings: Mapping[str, Any]) -> Pace:
    """That of a run, from the settings in its results. Raises ValueError for what cannot be read."""
    problems: list[str] = []
    given = settings.get("stampede_search", {})
    if not isinstance(given, Mapping):
        raise ValueError("stampede_search is no mapping")
    pace = _read_pace(given, int(number(settings.get("stampede_holders"))), problems.append)
    if problems:
        raise ValueError(problems[0])
    return pace


def _problems(text: str, pace: Pace) -> Iterator[str]:
    """Why a threshold cannot be judged of each level."""
    try:
        metric = thresholds.parse(text).metric
    except ValueError:
        return  # which is told elsewhere
    if extreme := {thresholds.MAX: "maximum", thresholds.MIN: "minimum"}.get(metric):
        yield (
            f"stampede_thresholds has {text!r}, but a search cannot judge the {extreme} of each level; it must be "
            "about a percentile, such as p99"
        )
    for key in ("hold", "confirm"):
        if metric == thresholds.THROUGHPUT and getattr(pace, key) < thresholds.LEAST_SECONDS:
            yield (
                f"stampede_search has {key}: {getattr(pace, key):g} s, but stampede_thresholds has {text!r}, and a "
                f"throughput is judged by {thresholds.LEAST_SECONDS:g} s at least"
            )


def _read_pace(given: Mapping[str, Any], most: int, complain: Callable[[str], None]) -> Pace:
    """``complain`` hears a sentence for each thing that is wrong."""
    pace = Pace(begin=max(1, most // 16))
    for key, value in given.items():
        try:
            pace = dataclasses.replace(pace, **{str(key): _value(str(key), value, most)})
        except KeyError:
            complain(f"stampede_search has {key!r}; it must have {', '.join(KEYS[:-1])} or {KEYS[-1]}")
        except ValueError as error:
            complain(f"stampede_search has {key}: {value!r}; it must be {error}")
    return pace


def _value(key: str, value: Any, most: int) -> Any:
    """Raises KeyError for an unknown key, ValueError with what is right."""
    if key in DURATIONS:
        try:
            return Duration(above_zero=True).read(value)
        except TooMuch:
            raise
        except ValueError:
            raise ValueError("a duration of more than 0, such as 30s or 2m") from None
    if key not in KEYS:
        raise KeyError(key)
    try:
        found = number(value.removesuffix("%") if isinstance(value, str) else value)
    except ValueError:
        found = 0.0
    if key == "begin":
        if not (found.is_integer() and 1 <= found <= most):
            raise ValueError(f"a whole number from 1 to stampede_holders, which is {most}")
        return int(found)
    share = found / 100 if isinstance(value, str) and value.endswith("%") else found
    if not 0.01 <= share <= 1:
        raise ValueError("a share from 1% to 100%, such as 10%")
    return share
