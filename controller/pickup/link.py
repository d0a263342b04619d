"""What carries packed messages between a phone and its mediator. Nothing here knows of their content."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Protocol

from controller.pickup.figures import Figures

FIRST_PAUSE = 0.5
"""Seconds before a lost link is opened again; twice as many after each further failure, up to LONGEST_PAUSE. Each
pause varies by half, so that phones do not come back all at once."""
LONGEST_PAUSE = 30.0
ATTEMPT = 15.0
"""Seconds that opening a link, or sending a message, may take."""
LONGEST_MESSAGE = 4 * 1024 * 1024
"""Bytes; a link on which a longer message comes is dropped."""
MOST_UNSENT = 64
"""Messages that wait for a link to come up."""

type Payload = str | bytes


class LinkFailed(Exception):
    """The link could not be opened; the message says why."""


class End(Protocol):
    """The phone at the end of a link."""

    def link_opened(self) -> None:
        """The link is open; it is up once ``Link.confirm`` was called, because the mediator has answered."""

    def arrived(self, payload: Payload) -> None:
        """Take a message, without holding up the link. Raises LinkFailed when there are too many."""


class Link(ABC):
    """Is opened again whenever it is lost, until it is closed. ``open`` and ``close`` can alternate."""

    __slots__ = (
        "_attempted", "_confirmed", "_down_since", "_end", "_figures", "_task", "_unsent", "has_been_up", "is_open",
        "problem", "url",
    )  # fmt: skip

    def __init__(self, url: str, end: End, figures: Figures) -> None:
        self.url = url
        self._end = end
        self._figures = figures
        self._unsent: deque[Payload] = deque()
        self._task: asyncio.Task[None] | None = None
        self._attempted = asyncio.Event()
        self._confirmed = asyncio.Event()
        self._down_since: float | None = None
        self.has_been_up = False
        """Whether the mediator has ever answered."""
        self.is_open = False
        """Whether messages can be sent now."""
        self.problem = ""
        """Why the link is down; empty when it is not, or nothing was tried yet."""

    @property
    def is_wanted(self) -> bool:
        """Whether it has been opened and not closed."""
        return self._task is not None

    @property
    def is_up(self) -> bool:
        """Whether the mediator has answered since the link was opened last."""
        return self._confirmed.is_set()

    def open(self) -> None:
        """Open it, and keep it open."""
        if self._task is None:
            if self.has_been_up:
                self._down_since = time.monotonic()
            self._task = asyncio.create_task(self._keep_open())

    def is_missed(self) -> None:
        """It was up before this process began: once it is up, that is a reconnection."""
        self._down_since = time.monotonic()

    async def close(self) -> None:
        """Close it; what was not sent yet is sent when it is opened again."""
        task, self._task = self._task, None
        self._confirmed.clear()
        self._attempted.clear()
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def attempted(self) -> None:
        """Return once it is open. Raises LinkFailed when the first attempt to open it has failed."""
        await self._attempted.wait()
        if self.problem:
            raise LinkFailed(self.problem)

    async def confirmed(self) -> None:
        """Return once it is up."""
        await self._confirmed.wait()

    def confirm(self) -> None:
        """The mediator has answered."""
        if self.is_open and not self.is_up:
            self._confirmed.set()
            missed = None if self._down_since is None else time.monotonic() - self._down_since
            self._down_since, self.has_been_up = None, True
            self._figures.came_up(missed)

    def send(self, payload: Payload) -> None:
        """Send a message as soon as the link is open. Raises LinkFailed when too many wait for that."""
        if len(self._unsent) >= MOST_UNSENT:
            raise LinkFailed(f"{MOST_UNSENT} messages wait for {self.url}: {self.problem or 'it is closed'}")
        self._unsent.append(payload)
        self._send_soon()

    @abstractmethod
    def drop(self) -> None:
        """Give up what is open now: the mediator did not answer. It is opened anew."""

    @abstractmethod
    def _send_soon(self) -> None:
        """There is something in ``_unsent``."""

    @abstractmethod
    async def _use(self) -> None:
        """Open it, and return or raise when it is lost."""

    def _opened(self) -> None:
        self.problem, self.is_open = "", True
        self._attempted.set()
        self._end.link_opened()

    async def _keep_open(self) -> None:
        pause = FIRST_PAUSE
        while True:
            problem = "it was closed by the mediator"
            try:
                await self._use()
            except Exception as error:  # whatever it is, the link must be opened again
                problem = str(error) or type(error).__name__
            finally:
                self.is_open = False
            if self.is_up:
                pause = FIRST_PAUSE
                self._figures.dropped += 1
                self._down_since = time.monotonic()
                self._confirmed.clear()
            self.problem = problem
            self._attempted.set()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, LONGEST_PAUSE)


type LinkFactory = Callable[[str, End], Link]
"""Makes a link to a URL."""
