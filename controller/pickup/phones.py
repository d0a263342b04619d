"""All phones of an agent."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import aiohttp

from controller.pickup.correspondence import Agent
from controller.pickup.figures import Figures
from controller.pickup.link import End, Link
from controller.pickup.phone import Handover, Phone
from controller.pickup.posts import PostLink
from controller.pickup.web_socket import WebSocketLink

LOGGER = logging.getLogger(__name__)

RESTORED_EACH = 0.02
"""Seconds between two phones that turn to their mediators again after the agent was started anew, on average."""
RETRIED = 5.0
"""Seconds after which those are tried again that could not, such as while the mediator's DID cannot be resolved."""


class Phones:
    """Kept in ACA-Py's root context, by the ids of the wallets."""

    def __init__(self, mode: str, polls_every: float) -> None:
        """``mode``: ``websocket`` or ``http``; ``polls_every``: seconds between two fetches, where phones fetch."""
        self.mode = mode
        self.figures = Figures()
        self._polls_every = polls_every
        self._known: dict[str, Handover] = {}
        self._phones: dict[str, Phone] = {}
        self._session: aiohttp.ClientSession | None = None
        self._to_restore: set[str] = set()
        self._restore: Callable[[str], Awaitable[None]] | None = None
        self._restoring: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make ready for links. The usual connector has room for 100; the next one would wait for ever."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def stop(self) -> None:
        """Switch all phones off."""
        if self._restoring is not None:
            self._restoring.cancel()
        phones, self._phones = list(self._phones.values()), {}
        await asyncio.gather(*(phone.end() for phone in phones), return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def __iter__(self) -> Iterator[Phone]:
        return iter(self._phones.values())

    def get(self, wallet_id: str) -> Phone | None:
        """The phone of a wallet; None when it has none."""
        return self._phones.get(wallet_id)

    def add(self, wallet_id: str, agent: Agent) -> Phone:
        """A new phone for a wallet."""
        phone = self._phones[wallet_id] = Phone(
            agent,
            self._link,
            self.figures,
            self._known,
            pushes=self.mode == "websocket",
            polls_every=self._polls_every,
        )
        return phone

    async def remove(self, wallet_id: str) -> None:
        """Switch a wallet's phone off for good."""
        self._to_restore.discard(wallet_id)
        if phone := self._phones.pop(wallet_id, None):
            await phone.end()

    def restore(self, wallet_ids: Iterable[str], restore: Callable[[str], Awaitable[None]]) -> None:
        """Have the phones of wallets be as they were before the agent was started anew: in the background, or when
        they are needed. ``restore`` does so with one of them."""
        self._to_restore, self._restore = set(wallet_ids), restore
        self._restoring = asyncio.create_task(self._restore_all())

    async def restored(self, wallet_id: str) -> None:
        """Return when the phone of a wallet is as it was before the agent was started anew, or cannot be so yet."""
        if wallet_id not in self._to_restore or self._restore is None:
            return
        try:
            await self._restore(wallet_id)
            self._to_restore.discard(wallet_id)
        except Exception as error:
            LOGGER.warning("the phone of wallet %s could not turn to its mediator again: %r", wallet_id, error)

    async def _restore_all(self) -> None:
        while self._to_restore:
            for wallet_id in list(self._to_restore):
                await self.restored(wallet_id)
                await asyncio.sleep(random.uniform(0, 2 * RESTORED_EACH))  # not all at once
            await asyncio.sleep(RETRIED)

    def state(self) -> dict[str, Any]:
        """Links now (wanted: they should be up), and what has happened to them."""
        links = [phone.link for phone in self if phone.link is not None and phone.link.is_wanted]
        down = [link for link in links if not link.is_up]
        return {
            "wanted": len(links),
            "open": len(links) - len(down),
            "problem": next((link.problem for link in down if link.problem), ""),
            "handover": sorted(set(self._known.values())),
            **asdict(self.figures),
        }

    def _link(self, url: str, end: End) -> Link:
        if self._session is None:
            raise RuntimeError("no link before the transport was started")
        kind = WebSocketLink if self.mode == "websocket" else PostLink
        return kind(url, end, self.figures, self._session)
