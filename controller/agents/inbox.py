"""A wallet's events: matched by topic and values to the steps that await them."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BACKLOG = 24
"""Events kept per wallet until a step asks for them."""
LONGEST_TEXT = 1000
"""Characters; longer texts are whole messages, of which no wallet has room to keep many."""
UNUSED = frozenset({"created_at", "updated_at", "trace"})
"""Fields of every record of ACA-Py that no step has a use for."""

type Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of ACA-Py's webhooks, and what of its events is kept: texts, numbers and truth values."""

    name: str
    keeps: frozenset[str] = frozenset()
    """Further fields that are kept, whatever they hold."""
    needs: str = ""
    """A field without which an event says nothing yet, and is dropped."""

    def event(self, payload: Mapping[str, Any]) -> Event | None:
        """What is kept of an event; None when it is not to be delivered."""
        if payload.get("state") == "deleted" or (self.needs and not payload.get(self.needs)):
            return None
        return {
            sys.intern(name): value  # of each name there is one for all events of all wallets
            for name, value in payload.items()
            if name in self.keeps or (name not in UNUSED and _is_short(value))
        }


def _is_short(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= LONGEST_TEXT)


class _Waiter:
    __slots__ = ("future", "last_state", "states", "topic", "values")

    def __init__(self, topic: str, values: Mapping[str, Any], states: frozenset[str]) -> None:
        self.topic = topic
        self.values = values
        self.states = states
        self.last_state = ""
        self.future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

    def takes(self, topic: str, event: Event) -> bool:
        if topic != self.topic or any(event.get(key) != value for key, value in self.values.items()):
            return False
        state = str(event.get("state") or "")
        if self.states and state not in self.states:
            self.last_state = state
            return False
        return True


class Inbox:
    """The events of one wallet."""

    __slots__ = ("_backlog", "_topics", "_waiters", "cut_off")

    def __init__(self, topics: Mapping[str, Topic] | None = None) -> None:
        """``topics``: those that need more than a topic's usual handling, by name."""
        self._topics = topics or {}
        self._backlog: deque[tuple[str, Event]] = deque(maxlen=BACKLOG)
        self._waiters: list[_Waiter] = []
        self.cut_off = ""

    def deliver(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Hand an event to the first waiter that wants it, or keep it for a later one."""
        event = (self._topics.get(topic) or Topic(topic)).event(payload)
        if event is None:
            return
        for waiter in self._waiters:
            if not waiter.future.done() and waiter.takes(topic, event):
                waiter.future.set_result(event)
                return
        self._backlog.append((topic, event))

    async def expect(self, topic: str, *states: str, **values: Any) -> Event:
        """The next event of ``topic`` whose fields equal ``values`` and whose state is one of ``states``
        (any state when none is named). Events that came before the call count too.

        When a timeout cancels the wait, ``cut_off`` tells what was waited for and what was seen last.
        """
        waiter = _Waiter(topic, values, frozenset(states))
        for entry in self._backlog:
            if waiter.takes(*entry):
                self._backlog.remove(entry)
                return entry[1]
        self._waiters.append(waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            wanted = f"{topic} {states[0] if states else ''}".rstrip()
            self.cut_off = f"waited for {wanted}, last saw {waiter.last_state or 'nothing'}"
            raise
        finally:
            self._waiters.remove(waiter)

    def fail(self, error: Exception) -> None:
        """Fail all waiters, for example because the agent died."""
        for waiter in self._waiters:
            if not waiter.future.done():
                waiter.future.set_exception(error)
