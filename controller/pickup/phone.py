"""A holder's phone: it greets its mediator, picks up what is there, and takes what comes.

It finds out by itself how its mediator hands messages over:

- ``LIVE``: pickup 2.0 (Aries RFC 0685) with live delivery; the mediator delivers over the link as messages come.
- ``QUEUE``: pickup 2.0 without it; the phone asks again and again.
- ``IMPLICIT``: the mediator knows no pickup protocol. It returns messages over the route of the phone's last message
  (RFC 0092), as ACA-Py does. ACA-Py keeps what it cannot return at once until the phone sends something that needs no
  answer, and then returns one message.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Coroutine
from enum import StrEnum
from typing import Any

from controller.pickup.correspondence import DELIVERY, DELIVERY_REQUEST, PICKUP, STATUS, Agent, Correspondence
from controller.pickup.figures import Figures
from controller.pickup.link import Link, LinkFactory, LinkFailed, Payload

LOGGER = logging.getLogger(__name__)

PING = "https://didcomm.org/trust_ping/1.0/ping"
PATIENCE = 30.0
"""Seconds for an answer that a step needs: a mediator under load may be slow, which is no failure of its own."""
FREED = 0.5
"""Seconds within which a mediator without a pickup protocol returns what it kept, after something was sent to it."""
SILENCE = 1.0
"""A poke has no effect when something came within so many seconds."""
AT_ONCE = 10
"""Messages that a delivery may have."""


class Handover(StrEnum):
    """How a mediator hands messages over."""

    LIVE = "live"
    QUEUE = "queue"
    IMPLICIT = "implicit"


class Phone:
    """One wallet's phone."""

    __slots__ = (
        "_correspondence", "_figures", "_is_away", "_is_mediated", "_known", "_links", "_may_wait", "_polls_every",
        "_pushes", "_tasks", "known_by", "link",
    )  # fmt: skip

    def __init__(
        self,
        agent: Agent,
        links: LinkFactory,
        figures: Figures,
        known: dict[str, Handover],
        *,
        pushes: bool,
        polls_every: float,
    ) -> None:
        """``known``: what is known of mediators, by URL; shared by all phones. ``pushes``: whether the mediator can
        send over the link by itself; else, and from one with a mere queue, messages are fetched each so many
        seconds."""
        self._links = links
        self._figures = figures
        self._known = known
        self._pushes = pushes
        self._polls_every = polls_every
        self._correspondence = Correspondence(agent, figures)
        self._is_mediated = False
        self._is_away = False
        self._may_wait = False
        """Whether messages may have waited at the mediator since it was greeted last."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.known_by = ""
        """The DID or invitation by which the connection to the mediator will be known once it is made."""
        self.link: Link | None = None
        """The link to the mediator; None before the first message to it."""

    # ------------------------------------------------------------ for the wallet

    @property
    def is_mediated(self) -> bool:
        """Whether mediation was granted."""
        return self._is_mediated

    @property
    def connection_id(self) -> str:
        """Of the connection to the mediator; empty when there is none."""
        return self._correspondence.connection_id

    def meet(self, connection_id: str, url: str, keys: frozenset[str]) -> None:
        """The mediator is at ``url`` and packs its messages by one of ``keys``. Opens the link."""
        self._correspondence.connection_id = connection_id
        self._correspondence.mediator_keys = keys
        if self.link is None or self.link.url != url:
            if self.link is not None:
                self._do("closing", self.link.close())
            self.link = self._links(url, self)
        if not self._is_away:
            self.link.open()

    def send(self, payload: Payload) -> None:
        """Send a packed message to the mediator. Raises LinkFailed."""
        self._met().send(payload)

    async def reached(self) -> None:
        """Return once the link is open. Raises LinkFailed when it cannot be opened."""
        link = self._met()
        try:
            await link.attempted()
        except LinkFailed:
            await link.close()
            self.link = None
            raise

    async def come(self) -> None:
        """Mediation is granted, or the app comes to the foreground. Returns when the mediator has answered."""
        link = self._met()
        self._is_mediated, self._is_away = True, False
        link.open()
        if link.is_open and not link.is_up:
            self._do("greeting", self._greet(link))
        await link.confirmed()

    async def go(self) -> None:
        """The app goes to the background: nothing comes any more."""
        self._is_away = self._may_wait = True
        for task in (tasks := list(self._tasks.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.link is not None:
            await self.link.close()

    async def end(self) -> None:
        """The phone is switched off for good."""
        await self.go()
        await self._correspondence.end()

    def restored(self, connection_id: str, url: str, keys: frozenset[str], *, is_away: bool = False) -> None:
        """The agent was started anew, and this mediator had granted mediation before. ``is_away``: the app was in
        the background then, and stays there."""
        self._is_mediated = self._may_wait = True
        self._is_away |= is_away
        self.meet(connection_id, url, keys)
        self._met().is_missed()

    async def ask(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Send the mediator a message and return its answer; None when none comes within PATIENCE."""
        return await self._correspondence.ask_by(message, PATIENCE)

    def follow(self, update: dict[str, Any]) -> None:
        """The agent sends the mediator a keylist update."""
        self._correspondence.follow(update)

    async def routed(self) -> None:
        """Return when the mediator routes the keys that it was told of, or when PATIENCE has gone: what others answer
        to a key that it does not route yet is lost."""
        await self._correspondence.routed(PATIENCE)

    def poke(self) -> None:
        """Something is awaited and does not come: see whether the mediator holds it back."""
        link = self.link
        if link is None or time.monotonic() - self._correspondence.last_arrival <= SILENCE:
            return
        if not self._is_mediated and link.is_open:
            self._do("emptying", self._empty("held_back"))
        elif link.is_up and not self._must_fetch(link):
            self._do("emptying", self._poke(link))

    def _met(self) -> Link:
        if self.link is None:
            raise LinkFailed("the holder has no mediator yet")
        return self.link

    # -------------------------------------------------------------- for the link

    def link_opened(self) -> None:
        """See End."""
        if self._is_mediated and self.link is not None:
            self._may_wait |= self.link.has_been_up
            if former := self._tasks.pop("greeting", None):
                former.cancel()
            self._do("greeting", self._greet(self.link))

    def arrived(self, payload: Payload) -> None:
        """See End."""
        self._correspondence.arrived(payload)

    # ------------------------------------------------------------------ pickup

    async def _greet(self, link: Link) -> None:
        """Tell the mediator whose link this is; when it answers nothing, the link is no good."""
        if not await self._is_greeted(link):
            link.drop()

    async def _is_greeted(self, link: Link) -> bool:
        correspondence, may_wait = self._correspondence, self._may_wait
        before = correspondence.arrivals
        waiting = await self._ask_what_waits(link)
        if correspondence.arrivals == before and self._known.get(link.url) in (None, Handover.IMPLICIT):
            await correspondence.ask(PING, response_requested=True)
        if correspondence.arrivals == before:
            return False
        link.confirm()
        self._may_wait = False
        if self._must_fetch(link):
            self._do("fetching", self._fetch_each(link, may_wait))
        elif waiting:
            self._figures.waited += waiting if may_wait else 0
            self._do("emptying", self._collect())
        elif waiting is None and may_wait:
            self._do("emptying", self._empty("waited"))
        return True

    def _must_fetch(self, link: Link) -> bool:
        return not self._pushes or self._known.get(link.url) == Handover.QUEUE

    async def _ask_what_waits(self, link: Link) -> int | None:
        """Greet by pickup 2.0; returns how many messages wait, None when the mediator does not say so. What it does
        say is remembered."""
        known = self._known.get(link.url)
        if known == Handover.IMPLICIT:
            return None
        if self._must_fetch(link):
            handover, answer = Handover.QUEUE, await self._correspondence.ask(PICKUP + "status-request")
        else:
            wish = self._correspondence.ask(PICKUP + "live-delivery-change", live_delivery=True)
            handover, answer = Handover.LIVE, await wish
        if answer is None:
            return None
        if answer.get("@type") == STATUS:
            self._known.setdefault(link.url, handover)
            return _count(answer)
        refused_live = "live-mode-not-supported" in json.dumps(answer)  # a problem report of RFC 0685
        self._known[link.url] = Handover.QUEUE if refused_live else Handover.IMPLICIT
        return None

    async def _fetch_each(self, link: Link, may_wait: bool) -> None:
        """Fetch messages again and again; at once after some have come."""
        correspondence = self._correspondence
        while link.is_open:
            before = correspondence.messages
            correspondence.message_came.clear()
            if self._known.get(link.url) == Handover.QUEUE:
                await self._collect()
            else:
                await correspondence.say(PING, response_requested=False)
            if await self._something_comes(self._polls_every * random.uniform(0.9, 1.1)):
                self._figures.waited += correspondence.messages - before if may_wait else 0
            else:
                may_wait = False

    async def _poke(self, link: Link) -> None:
        if self._known.get(link.url) != Handover.LIVE:
            await self._empty("held_back")
            return
        self._figures.poked += 1
        answer = await self._correspondence.ask(PICKUP + "status-request")
        if answer and (count := _count(answer)):
            self._figures.held_back += count
            await self._collect()

    async def _collect(self) -> None:
        """Have all that waits delivered (pickup 2.0), until there is nothing new: some mediators forget nothing."""
        while answer := await self._correspondence.ask(DELIVERY_REQUEST, limit=AT_ONCE):
            if answer.get("@type") != DELIVERY or not await self._correspondence.take_delivery(answer.get("~attach")):
                return

    async def _empty(self, counted_as: str) -> None:
        """Have a mediator without a pickup protocol return what it keeps: one message each time."""
        correspondence = self._correspondence
        while True:
            before = correspondence.messages
            correspondence.message_came.clear()
            self._figures.poked += counted_as == "held_back"
            await correspondence.say(PING, response_requested=False)
            if not await self._something_comes(FREED):
                return
            came = getattr(self._figures, counted_as) + correspondence.messages - before
            setattr(self._figures, counted_as, came)

    async def _something_comes(self, limit: float) -> bool:
        try:
            async with asyncio.timeout(limit):
                return await self._correspondence.message_came.wait()
        except TimeoutError:
            return False

    # ------------------------------------------------------------------- tasks

    def _do(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background, unless that is under way. When it fails, the link is no good: whatever was
        under way begins anew with the next one."""
        if what in self._tasks:
            work.close()
            return
        task = self._tasks[what] = asyncio.create_task(work)
        task.add_done_callback(lambda done: self._forget(what, done))

    def _forget(self, what: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(what) is task:
            del self._tasks[what]
        if not task.cancelled() and (error := task.exception()):
            LOGGER.warning("%s, %s: %r", self.link and self.link.url, what, error)
            if self.link is not None:
                self.link.drop()


def _count(status: dict[str, Any]) -> int:
    """The messages that wait, by a status message (RFC 0685)."""
    count = status.get("message_count")
    return count if isinstance(count, int) and 0 < count < 1_000_000 else 0
