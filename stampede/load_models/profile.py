"""How a level develops over the time of a run: so many holders, or so many arrivals a second.

A level is piecewise linear. Two questions are asked of it: how much has come together at a moment (the integral of a
rate is a number of arrivals), and at which moment it has come to so much.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from stampede.load_models.interface import INSTANT, EndOfRun, SettingReader, Stage, StageNow
from stampede.schema import plain_numbers
from stampede.schema.settings.durations import number, seconds
from stampede.schema.settings.shapes import LONGEST_DURATION, Duration, TooMuch

VARIABLE = "stampede_stages"
LOOK = 0.5
"""Seconds after which who waits looks whether the run has gone on to another stage."""
RIGHT = "{%s: 5, over: 2m} to get there evenly, or {%s: 5, for: 10m} to be there at once and stay"
POISSON = "poisson"
"""``stampede_arrivals``, where it is not ``constant``."""
MOST = 10_000_000
"""Most arrivals or rounds of a run (100/s for a day), and per second."""
MOST_HOLDERS = 1_000_000
"""Who come by stages, each with a wallet of its own: as many as ``stampede_holders`` may be."""
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
"""Seconds of the units that a rate can have: ``5/s``, ``300/min``, ``1000/h``."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of time in which the level goes from ``begin`` to ``end`` evenly."""

    seconds: float
    begin: float
    end: float
    jumps: bool = field(default=False, compare=False)
    """Whether ``begin`` is there at once, from whatever the level was before."""

    @property
    def amount(self) -> float:
        """What comes together in it."""
        return self.seconds * (self.begin + self.end) / 2

    def moment_of(self, amount: float) -> float:
        """Seconds from its beginning until so much, at most ``amount``, has come together."""
        slope = (self.end - self.begin) / self.seconds
        root = math.sqrt(max(0.0, self.begin**2 + 2 * slope * amount))
        levels = self.begin + root
        return 2 * amount / levels if levels else 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """Pieces one after the other, from a level of 0."""

    pieces: tuple[Piece, ...]
    is_staged: bool = field(default=False, compare=False)
    """Whether the pieces are stages that the user wrote."""

    @classmethod
    def rising(cls, level: float, over: float, until: float) -> Self:
        """From 0 to a level ``over`` so many seconds, and on it until as many have passed as ``until``, no fewer."""
        pieces = Piece(over, 0.0, level), Piece(until - over, level, level)
        return cls(tuple(piece for piece in pieces if piece.seconds))

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return sum(piece.seconds for piece in self.pieces)

    @property
    def amount(self) -> float:
        """What comes together in all."""
        return math.fsum(piece.amount for piece in self.pieces)

    @property
    def count(self) -> int:
        """How many come one after the other, evenly, of which the first is there at once."""
        return math.ceil(self.amount - _slack(self.amount))

    @property
    def highest(self) -> float:
        """The highest level."""
        return max((max(piece.begin, piece.end) for piece in self.pieces), default=0.0)

    @property
    def highest_after(self) -> float:
        """Seconds until the highest level is reached for the first time."""
        passed = 0.0
        for piece in self.pieces:
            if piece.begin == self.highest:
                break
            passed += piece.seconds
            if piece.end == self.highest:
                break
        return passed

    def collected(self, moment: float) -> float:
        """What has come together ``moment`` seconds after the start."""
        amount = 0.0
        for piece in self.pieces:
            if moment <= piece.seconds:
                level = piece.begin + (piece.end - piece.begin) * moment / piece.seconds
                return amount + moment * (piece.begin + level) / 2 if moment > 0 else amount
            moment -= piece.seconds
            amount += piece.amount
        return amount

    def most_within(self, span: float) -> float:
        """The most that comes together in any stretch of ``span`` seconds: of a rate, by Little's law, as many as are
        there at a time if each stays so long."""
        end = self.busiest(span)
        return self.collected(end) - self.collected(end - span)

    def busiest(self, span: float) -> float:
        """When the stretch of ``span`` seconds ends in which the most comes together."""
        bounds = [0.0, *itertools.accumulate(piece.seconds for piece in self.pieces)]
        ends = {end for bound in bounds for end in (bound, bound + span)}
        ends |= {self.seconds * part / 500 for part in range(500)}
        return max(sorted(ends), key=lambda end: self.collected(end) - self.collected(end - span))

    def moment_of(self, amount: float) -> float | None:
        """When so much has come together, in seconds from the start; None where that is not before the end."""
        return next(self.moments([amount]), None)

    def stage_at(self, moment: float) -> StageNow | None:
        """The stage that is under way; None where there are none, and before the first and after the last."""
        passed = 0.0
        for place, piece in enumerate(self.pieces, 1):
            if self.is_staged and -INSTANT < moment < passed + piece.seconds - INSTANT:
                return StageNow(place, len(self.pieces), passed + piece.seconds)
            passed += piece.seconds
        return None

    def cut(self, moment: float) -> Self:
        """The same, but the stage that is under way at ``moment`` ends then, and the next one begins. One whose level
        is reached evenly begins at the level of that moment. Itself where there is none to go on to."""
        now = self.stage_at(moment)
        if now is None or now.number == now.stages:
            return self
        before, piece = self.pieces[: now.number - 1], self.pieces[now.number - 1]
        following, *after = self.pieces[now.number :]
        long = moment - (now.ends - piece.seconds)
        if long < INSTANT:  # it has not begun
            return self
        level = piece.begin + (piece.end - piece.begin) * long / piece.seconds
        if not following.jumps:
            following = replace(following, begin=level)
        pieces = (*before, replace(piece, seconds=long, end=level), following, *after)
        return replace(self, pieces=pieces)

    def cut_at(self, moments: Iterable[float]) -> Self:
        """Cut at each of these, one after the other."""
        return functools.reduce(lambda profile, moment: profile.cut(moment), moments, self)

    def moments(self, amounts: Iterable[float]) -> Iterator[float]:
        """When so much has come together, for each of a series of amounts that does not fall: seconds from the start.
        Ends with the profile, before what comes together at its very end: 5/s for 10 s are 50, the first at once."""
        passed = collected = 0.0
        pieces = iter(self.pieces)
        piece = next(pieces, None)
        for amount in amounts:
            while piece is not None and amount >= collected + piece.amount - _slack(collected + piece.amount):
                passed, collected = passed + piece.seconds, collected + piece.amount
                piece = next(pieces, None)
            if piece is None:
                return
            yield passed + piece.moment_of(max(0.0, amount - collected))


def _slack(amount: float) -> float:
    """What makes no difference to an amount, for sums of products are rounded: 31/min for a minute is 31, not
    31.000000000000004, of which the last would begin another one."""
    return 1e-12 * max(1.0, amount)


def read_profile(reader: SettingReader, key: str, *, whole: bool = False) -> Profile | None:
    """The profile of ``stampede_stages``, of which each has a level under ``key``; None when there are no stages.
    ``whole``: levels are whole numbers. What is wrong is left with the reader."""
    try:
        return profile_of(reader.read("stages"), key, whole=whole)
    except ValueError as error:
        reader.complain(str(error))
        return None


def read_rates(reader: SettingReader, *, begin: float = 0.0, over: float) -> Profile:
    """The profile of ``stampede_stages`` with rates, in 1/s. Without stages it is ``stampede_rate``, reached evenly
    ``over`` so many seconds and kept until ``stampede_duration``, which counts from ``begin`` seconds before. What is
    wrong is left with the reader."""
    if profile := read_profile(reader, "rate"):
        return _countable(profile, reader)
    if reader.read("stages"):
        return _ANY  # they are wrong
    written, duration = reader.read("rate"), reader.duration("duration")
    try:
        found = rate(written)
    except ValueError:
        found = 0.0
    if not 0 < found <= MOST:
        reader.complain(
            f"stampede_rate is {written!r}; it must be a rate of more than 0, such as 5/s, 300/min or 1000/h, and at "
            f"most {MOST:,}/s"
        )
        found = 0.0
    if duration <= begin:
        than = f"no longer than stampede_ramp_up, {begin:g} s" if duration else "0, but a rate has no end of its own"
        reader.complain(
            f"stampede_duration is {than}; it must be longer, or stampede_stages must say how long each lasts"
        )
    elif over > duration:
        too_long(reader, over, duration, "the rate would not be reached")
    elif found:
        return _countable(Profile.rising(found, over, duration - begin), reader)
    return _ANY


_ANY = Profile((Piece(1.0, 1.0, 1.0),))
"""What stands in for a profile that is wrong."""


def too_long(reader: SettingReader, ramp_up: float, duration: float, outcome: str) -> None:
    """Note that the ramp-up is longer than the run."""
    reader.complain(
        f"stampede_ramp_up is {ramp_up:g} s, but stampede_duration is {duration:g} s, so that {outcome}; "
        f"stampede_ramp_up must be at most {duration:g} s"
    )


def _countable(profile: Profile, reader: SettingReader) -> Profile:
    """The profile, or one of 1/s, with a sentence for the reader, when more comes together than a run can count, or
    nothing does."""
    variable = VARIABLE if reader.read("stages") else "stampede_rate"
    if profile.amount > MOST:
        reader.complain(f"{variable} comes to {profile.amount:,.0f} in all; it must come to at most {MOST:,}")
        return _ANY
    arrivals, seed = reader.read("arrivals"), reader.integer("seed")
    if next(profile.moments(amounts(arrivals, seed)), None) is None:
        reader.complain(
            f"{variable} comes to {profile.amount:.3g} in all, and by chance (stampede_arrivals {arrivals}, "
            f"stampede_seed {seed}) to none; it must come to more"
        )
        return _ANY
    return profile


def profile_of(stages: Any, key: str, *, whole: bool = False) -> Profile | None:
    """See ``read_profile``. Raises ValueError with a sentence about the first stage that is wrong."""
    if not isinstance(stages, list | tuple) or not all(isinstance(stage, Mapping) for stage in stages):
        raise ValueError(f"{VARIABLE} is no list of stages, each such as {RIGHT % (key, key)}")
    pieces: list[Piece] = []
    level = come = 0.0
    for place, stage in enumerate(stages):
        try:
            to, time, is_even = _read_stage(stage, key, whole=whole)
        except ValueError as error:
            raise ValueError(
                f"{VARIABLE}[{place}] {error}; each stage must be such as {RIGHT % (key, key)}"
            ) from None
        pieces.append(Piece(time, level if is_even else to, to, jumps=not is_even))
        come += max(0.0, to - level)
        level = to
    if whole and come > MOST_HOLDERS:
        raise ValueError(f"{VARIABLE} has {come:,.0f} {key} come in all; it must have at most {MOST_HOLDERS:,}")
    profile = Profile(tuple(pieces), is_staged=True)
    if profile.seconds > LONGEST_DURATION:
        hours = profile.seconds / 3600
        raise ValueError(f"{VARIABLE} lasts {hours:,.1f} h in all; it must last at most a year, 8784h")
    if pieces and not profile.highest:
        raise ValueError(f"{VARIABLE} goes nowhere: {key} is 0 in all of them; one must have more")
    return profile if pieces else None


def recorded_seconds(settings: Mapping[str, Any], name: str) -> float:
    """A duration of a run's recorded settings, 0 where there is none. Raises ValueError with a sentence."""
    value = settings.get(f"stampede_{name}", settings.get(name))
    try:
        return seconds(value or 0)
    except ValueError:
        raise ValueError(f"The {name} {value!r} of the settings was ignored: it is not a duration.") from None


def _read_stage(stage: Mapping[str, Any], key: str, *, whole: bool) -> tuple[float, float, bool]:
    """Level, seconds, and whether it is reached evenly over these. Raises ValueError with what is wrong."""
    if unknown := sorted(map(str, stage.keys() - {key, "over", "for", "scripts"})):
        raise ValueError(f"has {unknown[0]!r}")
    if key not in stage:
        raise ValueError(f"has no {key!r}")
    if ("over" in stage) == ("for" in stage):
        raise ValueError("has both 'over' and 'for'" if "over" in stage else "has neither 'over' nor 'for'")
    is_even = "over" in stage
    time_key = "over" if is_even else "for"
    try:
        time = Duration(above_zero=True).read(stage[time_key])
    except TooMuch as error:
        raise ValueError(f"has {time_key}: {stage[time_key]!r}, which must be {error}") from None
    except ValueError:
        raise ValueError(f"has {time_key}: {stage[time_key]!r}, which is no duration of more than 0") from None
    try:
        level = number(stage[key]) if whole else rate(stage[key])
        if whole and not level.is_integer():
            raise ValueError
    except ValueError:
        raise ValueError(f"has {key}: {stage[key]!r}, which is no {'whole number' if whole else 'rate'}") from None
    if level < 0:
        raise ValueError(f"has {key}: {stage[key]!r}, which is less than 0")
    if not whole and level > MOST:
        raise ValueError(f"has {key}: {stage[key]!r}, which is more than {MOST:,}/s")
    return level, time, is_even


def rate(value: object) -> float:
    """Read a rate, in 1/s: a number, or text such as ``5/s``, ``300/min`` or ``1000/h``.

    >>> rate("300/min"), rate(2)
    (5.0, 2.0)

    Raises ValueError for anything else, negative rates included.
    """
    text, slash, unit = value.partition("/") if isinstance(value, str) else (value, "", "")
    if slash and unit.strip() not in UNITS:
        raise ValueError(value)
    found = number(text.strip() if isinstance(text, str) else text) / (UNITS[unit.strip()] if slash else 1.0)
    if found < 0:
        raise ValueError(value)
    return found


def crossings(profile: Profile) -> Iterator[tuple[float, int, bool]]:
    """When a level of holders lets one more in, or one go: seconds, the holder's rank from 0, and whether it comes.

    A holder of rank k is there while the level is more than k, so that who came last goes first.
    """
    passed = level = 0.0
    for piece in profile.pieces:
        for rank in _between(level, piece.begin):
            yield passed, rank, piece.begin > level
        ranks = _between(piece.begin, piece.end)
        for rank in ranks:
            share = (rank - piece.begin) / (piece.end - piece.begin)
            yield passed + piece.seconds * share, rank, piece.end > piece.begin
        passed, level = passed + piece.seconds, piece.end


def _between(before: float, after: float) -> Iterable[int]:
    """The ranks whose holders come, or go, when a level changes; those that go in the order in which they go."""
    low, high = math.ceil(min(before, after)), math.ceil(max(before, after))
    return range(low, high) if after > before else range(high - 1, low - 1, -1)


async def until_collected(stage: Stage, amount: float, rates: Callable[[], Profile], begin: float = 0.0) -> float:
    """Wait until so much has come together; returns when that was due. ``rates`` are the present ones: they change
    when the run goes on to a next stage before its time. They count from ``begin`` seconds after the start. Raises
    EndOfRun when the run ends before that, or so much will not come together."""
    while True:
        profile = rates()
        moment = profile.moment_of(amount)
        if moment is None:
            raise EndOfRun
        due, now = stage.start + begin + moment, stage.now()
        if due <= now:
            return due
        await stage.until(min(due, now + LOOK) if profile.is_staged else due)


def amounts(arrivals: str, seed: int) -> Iterator[float]:
    """How much has come together when what comes is due, without an end; ``arrivals`` as ``stampede_arrivals``."""
    return at_random(seed) if arrivals == POISSON else evenly()


def due_moments(profile: Profile, arrivals: str, seed: int, span: float, most: int) -> tuple[float, Iterator[float]]:
    """See ``LoadModel.due``."""
    first = 0.0
    if profile.amount > most:
        before = profile.collected(profile.busiest(span)) - 0.75 * most
        first = float(int(max(0.0, min(before, profile.amount - most))))
    coming = profile.moments(first + amount for amount in amounts(arrivals, seed))
    return profile.most_within(span), itertools.islice(coming, most)


def in_words(profile: Profile, arrivals: str, what: str) -> str:
    """What comes by a profile of rates, such as ``50 arrivals, up to 5/s, evenly, in 10 s``. ``what``: one."""
    count, how = plain_numbers.number(profile.count, what), "evenly"
    if arrivals == POISSON:
        count, how = f"about {count}", "at random intervals (Poisson)"
    return f"{count}, up to {profile.highest:g}/s, {how}, in {profile.seconds:g} s"


def evenly() -> Iterator[float]:
    """Amounts 0, 1, 2 ...: what comes one after the other, evenly."""
    return itertools.count(0.0, 1.0)


def at_random(seed: int) -> Iterator[float]:
    """Amounts of a Poisson process of rate 1: what comes independently of each other."""
    chance, amount = random.Random(f"{seed}:arrivals"), 0.0
    while True:
        amount += chance.expovariate(1.0)
        yield amount
