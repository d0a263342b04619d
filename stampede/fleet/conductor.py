"""Conducts a search: judges each level over all hosts while it lasts, and orders the next one of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from stampede import wording
from stampede.fleet.enough import absent
from stampede.fleet.host_view import HostView
from stampede.fleet.standings import Standing, standing_of, tallies
from stampede.load_models import catalog, ladder
from stampede.load_models.ladder import Level, Tried
from stampede.load_models.search import Search
from stampede.schema.errors import BadInput
from stampede.schema.orders import LevelOrder, as_text
from stampede.schema.phases import Phase
from stampede.schema.settings import thresholds
from stampede.schema.settings.variable_reader import VariableReader
from stampede.schema.tally import Tally

LEAD = 3.0
"""Seconds from an order until it is due, so that all hosts have it by then."""
PER_HOST = 0.1
"""Seconds more for each host."""
LAG = 1.5
"""Seconds by which what is known of the hosts may be late."""

type Tell = Callable[[str, str], None]


def conductor_of(
    variables: Mapping[str, Any], hosts: Sequence[HostView], order: Callable[[str], None], tell: Tell
) -> Conductor | None:
    """The conductor of a run with these ``stampede_*`` variables; None when it is no search. Raises BadInput."""
    if catalog.recorded_model(variables) is not Search:
        return None
    reader = VariableReader(variables)
    load = Search.read(reader)
    if reader.problems:
        raise BadInput(*reader.problems)
    return Conductor(load, hosts, order, tell)


@dataclass(frozen=True)
class _Counted:
    """What all hosts together had counted at a moment."""

    tallies: Mapping[str, Tally]
    """By the threshold's text."""
    failed: int


class Conductor:
    """To be asked often; see ``check``."""

    def __init__(self, load: Search, hosts: Sequence[HostView], order: Callable[[str], None], tell: Tell) -> None:
        """``order`` gives all hosts the text of an order, without waiting for it for long."""
        self.tried: list[Tried] = []
        self._load, self._hosts, self._order, self._tell = load, hosts, order, tell
        self._level = Level(load.pace.begin)
        self._number = 0
        self._due = 0.0
        self._before: _Counted | None = None
        self._there: list[int] = []
        """How many holders were there each time that was looked while the level is judged."""
        self._over = False

    def check(self, now: float) -> None:
        """Judge the present level when its time is over, and order the next. ``now`` in epoch seconds."""
        if self._over or not any(host.phase == Phase.RUNNING for host in self._hosts):
            return
        if not self._due:
            self._begin(max(host.state.start_at or 0.0 for host in self._hosts if host.state))
            return
        if lost := [host for host in self._hosts if host.over or host.lost]:
            self._end(now, f"{lost[0].name} takes no part any more")
            return
        settled = self._due + self._load.pace.settle
        if self._before is None:
            if now >= settled + LAG:
                if late := [host.name for host in self._hosts if host.state and host.state.order < self._number]:
                    self._end(now, f"{late[0]} did not take the order")
                    return
                self._before, self._there = counted(self._hosts), []
            return
        self._there.append(
            sum(host.state.holders.active for host in self._hosts if host.state and host.state.holders)
        )
        if now >= settled + self._load.pace.judged(confirms=self._level.confirms) + LAG:
            self._judge(now, self._before)

    def _begin(self, due: float) -> None:
        self._due, self._before = due, None
        again = "once more, " if self._level.confirms else ""
        pace = self._load.pace
        judged = pace.judged(confirms=self._level.confirms)
        holders = wording.number(self._level.holders, "holder")
        self._tell(f"{holders}, {again}judged for {judged:g} s after {pace.settle:g} s.", "")

    def _judge(self, now: float, before: _Counted) -> None:
        seconds = self._load.pace.judged(confirms=self._level.confirms)
        missing = absent(self._level.holders, fmean(self._there))
        held, why = judged(before, counted(self._hosts), seconds, missing)
        self.tried.append(Tried(self._level.holders, held, self._level.confirms))
        words = {True: "hold", False: "do not hold", None: "cannot be judged"}[held]
        colour = {True: "green", False: "red", None: "yellow"}[held]
        self._tell(f"{wording.number(self._level.holders, 'holder')} {words}: {why}.", colour)
        following = self._load.ladder.next(self.tried)
        if following is None:
            self._end(now, "")
            return
        self._level = following
        self._send(now, following.holders)
        self._begin(self._due)

    def _send(self, now: float, holders: int) -> None:
        self._number += 1
        self._due = now + LEAD + PER_HOST * len(self._hosts)
        self._order(as_text(LevelOrder(self._number, holders, self._due)))

    def _end(self, now: float, why: str) -> None:
        self._over = True
        found = ladder.found(self.tried)
        if why:
            self._tell(f"The search ends, because {why}.", "red")
        elif found is None:
            self._tell("The search ends without a load of which it is confirmed that it holds.", "yellow")
        else:
            self._tell(f"The highest load that holds is {wording.number(found, 'holder')}.", "green")
        self._send(now, 0)


def counted(hosts: Sequence[HostView]) -> _Counted:
    """What the hosts have counted so far."""
    failed = sum(host.state.steps.failed for host in hosts if host.state and host.state.steps)
    return _Counted(tallies(hosts), failed)


def judged(before: _Counted, after: _Counted, seconds: float, missing: str = "") -> tuple[bool | None, str]:
    """Whether a level held in the ``seconds`` between two counts, and why. It holds when all thresholds are met, and
    no step failed unless a threshold on errors says how many may. ``missing`` says that holders were not there: a
    level that broke without them is broken, unless they made too few steps."""
    standings: list[Standing] = []
    for text, tally in after.tallies.items():
        grown = tally.since(before.tallies[text]) if text in before.tallies else tally
        standings.append(standing_of(grown, seconds))
    crossed = [
        standing.sentence
        for standing in standings
        if standing.crossed and not (missing and standing.threshold.metric == thresholds.THROUGHPUT)
    ]
    failed = after.failed - before.failed
    if failed > 0 and not any(standing.threshold.metric == thresholds.ERRORS for standing in standings):
        crossed.append(wording.number(failed, "step failed", "steps failed"))
    if crossed:
        return False, "; ".join(crossed)
    if missing:
        return None, missing
    unknown = [standing.sentence for standing in standings if standing.value is None]
    if unknown or not standings:
        return None, "; ".join(unknown) or "the hosts tell nothing of the thresholds"
    return True, "; ".join(standing.sentence for standing in standings)
