"""Messages by HTTP POST; what is for the phone comes back in the responses (Aries RFCs 0025, 0092)."""

from __future__ import annotations

import asyncio

import aiohttp

from controller.pickup.figures import Figures
from controller.pickup.link import ATTEMPT, LONGEST_MESSAGE, End, Link, LinkFailed, Payload

HEADERS = {"Content-Type": "application/ssi-agent-wire"}


class PostLink(Link):
    """Posts one message after the other."""

    __slots__ = ("_is_given_up", "_session", "_something_to_send")

    def __init__(self, url: str, end: End, figures: Figures, session: aiohttp.ClientSession) -> None:
        super().__init__(url, end, figures)
        self._session = session
        self._something_to_send = asyncio.Event()
        self._is_given_up = False

    def drop(self) -> None:
        """See Link."""
        self._figures.unanswered += 1
        self._is_given_up = True
        self._something_to_send.set()

    def _send_soon(self) -> None:
        self._something_to_send.set()

    async def _use(self) -> None:
        self._is_given_up = False
        if not self._unsent:
            self._opened()
        while not self._is_given_up:
            self._something_to_send.clear()  # before, not after: it may be given up while a message is being sent
            while self._unsent:
                answer = await self._post(self._unsent[0])
                self._unsent.popleft()
                if not self.is_open:
                    self._opened()
                if answer.strip():
                    self._end.arrived(answer)
            await self._something_to_send.wait()
        raise LinkFailed("it did not answer in time")

    async def _post(self, payload: Payload) -> bytes:
        async with asyncio.timeout(ATTEMPT), self._session.post(self.url, data=payload, headers=HEADERS) as response:
            answer = bytearray()
            async for part in response.content.iter_any():
                answer += part
                if len(answer) > LONGEST_MESSAGE:
                    raise LinkFailed(f"{self.url} answered more than {LONGEST_MESSAGE:,} bytes")
            if not 200 <= response.status <= 299:
                if response.status < 500:
                    self._unsent.popleft()  # it would be refused again
                raise LinkFailed(f"{self.url} answered {response.status}")
            return bytes(answer)
