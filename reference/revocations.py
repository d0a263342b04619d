"""Revocations, collected and published in batches: one publication at a time."""

import asyncio
import logging
import time
from dataclasses import dataclass

from .agent import Agent, AgentError
from .registry import Registry

LOGGER = logging.getLogger(__name__)


class UnknownCredential(Exception):
    """There is no such credential."""


class Revoked(Exception):
    """The credential is revoked already, or is just being revoked."""


@dataclass
class Request:
    """One credential to revoke, and who waits for that."""

    credential: tuple[str, str]
    connection_id: str
    done: asyncio.Future[None]


class Revocations:
    """Revokes what is asked for in the meantime together; each caller is answered when it is published.

    A registry's status lists are told apart by their second, so there is one publication a second at most.
    """

    COLLECT = 0.05  # seconds during which further requests join a batch

    def __init__(self, agent: Agent, registry: Registry) -> None:
        """`agent` revokes, `registry` shows whether it did."""
        self._agent = agent
        self._registry = registry
        self._waiting: asyncio.Queue[Request] = asyncio.Queue()
        self._asked: set[tuple[str, str]] = set()
        self._published = 0  # the second of the last publication

    async def revoke(self, credential: tuple[str, str], connection_id: str) -> None:
        """Revoke (rev_reg_id, cred_rev_id) and come back when it is published."""
        rev_reg_id, cred_rev_id = credential
        state = self._registry.revocation_status(rev_reg_id, int(cred_rev_id))
        if state is None:
            raise UnknownCredential(f"The registry has no place {cred_rev_id} in {rev_reg_id}.")
        if state or credential in self._asked:
            raise Revoked(f"The credential with cred_rev_id {cred_rev_id} of {rev_reg_id} is revoked already.")
        self._asked.add(credential)
        request = Request(credential, connection_id, asyncio.get_running_loop().create_future())
        self._waiting.put_nowait(request)
        await asyncio.shield(request.done)

    async def run(self) -> None:
        """Publish batch after batch, until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            await asyncio.sleep(self.COLLECT)
            await self._new_second()
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._publish(batch)

    async def _new_second(self) -> None:
        while int(time.time()) <= self._published:
            await asyncio.sleep(self._published + 1.005 - time.time())

    async def _publish(self, batch: list[Request]) -> None:
        error: AgentError | None = None
        for attempt in range(3):
            open_requests = [request for request in batch if not self._is_published(request)]
            if not open_requests:
                break
            await self._new_second()
            try:
                await self._agent.post(
                    "/reference/revoke",
                    {
                        "credentials": [
                            {
                                "rev_reg_id": request.credential[0],
                                "cred_rev_id": request.credential[1],
                                "connection_id": request.connection_id,
                            }
                            for request in open_requests
                        ]
                    },
                )
            except AgentError as err:
                error = err
                LOGGER.warning("revocation of %d credentials, attempt %d: %s", len(batch), attempt + 1, err)
            self._published = int(time.time())
        for request in batch:
            self._answer(request, error)

    def _is_published(self, request: Request) -> bool:
        rev_reg_id, cred_rev_id = request.credential
        return self._registry.revocation_status(rev_reg_id, int(cred_rev_id)) is True

    def _answer(self, request: Request, error: AgentError | None) -> None:
        self._asked.discard(request.credential)
        if request.done.done():
            return
        if self._is_published(request):
            request.done.set_result(None)
        else:
            request.done.set_exception(error or AgentError("the agent did not publish the revocation"))
