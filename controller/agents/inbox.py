"""A wallet's events: matched by topic and values to the steps that await them, in whatever order they come."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

LIMIT = 500
"""Events that an inbox keeps for steps to come, unless it is told another number."""
ASIDE = 8
"""Further events that are kept aside: those that no step awaits. They tell what was seen last."""
REMEMBERED = 16
"""Exchanges of which an inbox remembers that a step has seen their end."""
LONGEST_TEXT = 1000
"""Characters; longer texts are whole messages, of which no wallet has room to keep many."""
UNUSED = frozenset({"created_at", "updated_at", "trace"})
"""Fields of every record of ACA-Py that no step has a use for."""

type Event = dict[str, Any]
type Exchange = tuple[str, str]
"""A topic, and what its events name their exchange by; that is empty where they name none."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of ACA-Py's webhooks, and what of its events is kept: texts, numbers and truth values."""

    name: str
    keeps: frozenset[str] = frozenset()
    """Further fields that are kept, whatever they hold."""
    needs: str = ""
    """A field without which an event says nothing yet, and is dropped."""
    exchange: str = ""
    """The field that names the exchange that an event is about."""
    awaited: frozenset[str] = frozenset()
    """The states that steps await; empty: all of them."""
    joins: Topic | None = None
    """The topic as whose events this one's are delivered: that of another version or format of the same protocol.
    What names the exchange is then called as there."""

    def event(self, payload: Mapping[str, Any]) -> Event | None:
        """What is kept of an event; None when it is not to be delivered."""
        if payload.get("state") == "deleted" or (self.needs and not payload.get(self.needs)):
            return None
        event = {
            sys.intern(name): value  # of each name there is one for all events of all wallets
            for name, value in payload.items()
            if name in self.keeps or (name not in UNUSED and _is_short(value))
        }
        if self.joins and self.exchange in event:
            event[self.joins.exchange] = event[self.exchange]
        return event

    def exchange_of(self, event: Mapping[str, Any]) -> Exchange:
        """The exchange that an event, or what a step awaits, is about."""
        named = event.get(self.exchange)
        return self.name, named if isinstance(named, str) else ""


def _is_short(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= LONGEST_TEXT)


class Overflow:
    """What the inboxes of a host had no room for. It counts as lost once a step awaits events of its topic."""

    def __init__(self, announce: Callable[[str], None] = lambda text: None) -> None:
        """``announce`` is called with a sentence when events of a topic are lost for the first time."""
        self._announce = announce
        self._awaited: set[str] = set()
        self._dropped: Counter[str] = Counter()
        self._told: set[str] = set()
        self._missing = 0

    @property
    def lost(self) -> int:
        """Events that a step may have awaited in vain."""
        return self._missing + sum(self._dropped[topic] for topic in self._told)

    def missing(self, count: int) -> None:
        """That many events did not come from an agent."""
        if not self._missing:
            self._announce(
                "messages to holders were dropped by an agent, because the controller did not take them in time"
            )
        self._missing += count

    def awaited(self, topic: str) -> None:
        """A step awaits events of a topic."""
        if topic not in self._awaited:
            self._awaited.add(topic)
            self._check(topic)

    def dropped(self, topic: str) -> None:
        """An event was dropped."""
        self._dropped[topic] += 1
        self._check(topic)

    def _check(self, topic: str) -> None:
        if topic in self._awaited and self._dropped[topic] and topic not in self._told:
            self._told.add(topic)
            self._announce(
                f"messages to holders ({topic}) were dropped, because more had come than stampede_inbox_limit allows "
                "before a step awaited them"
            )


class _Waiter:
    __slots__ = ("exchange", "future", "last_state", "states", "topic", "values")

    def __init__(self, topic: Topic, values: Mapping[str, Any], states: frozenset[str]) -> None:
        self.topic = topic.name
        self.exchange = topic.exchange_of(values)
        self.values = values
        self.states = states
        self.last_state = ""
        self.future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

    def takes(self, topic: str, event: Event) -> bool:
        if topic != self.topic or not all(_fits(event.get(key), value) for key, value in self.values.items()):
            return False
        state = str(event.get("state") or "")
        if self.states and state not in self.states:
            self.last_state = state
            return False
        return True


def _fits(found: Any, wanted: Any) -> bool:
    return found == wanted if isinstance(wanted, str) or not isinstance(wanted, Collection) else found in wanted


class Inbox:
    """The events of one wallet.

    An event that comes before it is awaited is kept until a step takes it. Two kinds are not kept but put aside,
    where newer ones push them out: states that no step awaits, and what still comes of an exchange whose end a step
    has seen. When an inbox is full, the topic that has most of it loses its oldest event.
    """

    __slots__ = ("_aside", "_failed", "_kept", "_limit", "_over", "_overflow", "_topics", "_waiters", "cut_off")

    def __init__(
        self, topics: Mapping[str, Topic] | None = None, limit: int = LIMIT, overflow: Overflow | None = None
    ) -> None:
        """``topics``: those that need more than a topic's usual handling, by name. ``limit``: events kept."""
        self._topics = topics or {}
        self._limit = limit
        self._overflow = overflow or Overflow()
        self._kept: dict[str, dict[object, Event]] = {}
        self._aside: dict[object, tuple[str, Event]] = {}
        self._over: dict[Exchange, None] = {}
        self._waiters: list[_Waiter] = []
        self._failed: Exception | None = None
        self.cut_off = ""

    def deliver(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Hand an event to the waiter that wants it, or keep it for a later one."""
        declared = self._topic(topic)
        event = declared.event(payload)
        if event is not None:
            self._hand_over(declared.joins or declared, event)

    def _hand_over(self, topic: Topic, event: Event) -> None:
        exchange = topic.exchange_of(event)
        wanting = [waiter for waiter in self._waiters if not waiter.future.done() and waiter.takes(topic.name, event)]
        # One that awaits just this exchange comes first; what is over concerns nobody else.
        for waiter in (*(each for each in wanting if each.exchange == exchange), *wanting):
            if exchange not in self._over or waiter.exchange == exchange:
                waiter.future.set_result(event)
                return
        self._keep(topic, event)

    async def expect(self, topic: str, *states: str, **values: Any) -> Event:
        """The next event of ``topic`` whose fields equal ``values``, or are among them where these are several, and
        whose state is one of ``states`` (any state when none is named). Events that came before the call count too.

        When a timeout cancels the wait, ``cut_off`` tells what was waited for and what was seen last.
        """
        if self._failed:
            raise self._failed
        declared = self._topic(topic)
        waiter = _Waiter(declared, values, frozenset(states))
        self._overflow.awaited(topic)
        found = self._take(waiter)
        if found is not None:
            self._end(waiter.exchange)
            return found
        self._waiters.append(waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and not waiter.future.exception():
                self._hand_over(declared, waiter.future.result())  # it came in the moment of the cancellation
            wanted = f"{topic} {states[0] if states else ''}".rstrip()
            self.cut_off = f"waited for {wanted}, last saw {waiter.last_state or 'nothing'}"
            raise
        finally:
            self._waiters.remove(waiter)
            self._end(waiter.exchange)

    def fail(self, error: Exception, *, for_good: bool = False) -> None:
        """Fail all waiters, for example because the agent died; ``for_good``: also all that are to come."""
        if for_good:
            self._failed = error
        for waiter in self._waiters:
            if not waiter.future.done():
                waiter.future.set_exception(error)

    def _topic(self, name: str) -> Topic:
        return self._topics.get(name) or Topic(name)

    def _take(self, waiter: _Waiter) -> Event | None:
        """What has come already of what a waiter wants."""
        kept = self._kept.get(waiter.topic, {})
        for key, event in kept.items():
            if waiter.takes(waiter.topic, event):
                return kept.pop(key)
        for key, (topic, event) in self._aside.items():
            if waiter.takes(topic, event) and waiter.exchange[1]:
                del self._aside[key]
                return event
        return None

    def _keep(self, topic: Topic, event: Event) -> None:
        exchange, state = topic.exchange_of(event), event.get("state")
        # An event that names its exchange is there once for each state; any other is one of its own.
        key = (exchange, state) if exchange[1] else (topic.name, id(event))
        if exchange in self._over or (topic.awaited and state not in topic.awaited):
            self._put_aside(key, topic.name, event)
            return
        self._kept.setdefault(topic.name, {})[key] = event
        if sum(map(len, self._kept.values())) > self._limit:
            fullest = max(self._kept, key=lambda name: len(self._kept[name]))
            del self._kept[fullest][next(iter(self._kept[fullest]))]
            self._overflow.dropped(fullest)

    def _put_aside(self, key: object, topic: str, event: Event) -> None:
        self._aside[key] = topic, event
        if len(self._aside) > ASIDE:
            del self._aside[next(iter(self._aside))]

    def _end(self, exchange: Exchange) -> None:
        """A step has seen the end of an exchange, or awaits it no longer."""
        topic, named = exchange
        if not named:
            return
        self._over[exchange] = None
        if len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]
        kept = self._kept.get(topic, {})
        declared = self._topic(topic)
        for key in [key for key, event in kept.items() if declared.exchange_of(event) == exchange]:
            self._put_aside(key, topic, kept.pop(key))
