"""Revocations, published in batches, one publication at a time."""

import asyncio
import logging
import time
from dataclasses import dataclass

from .agent import Agent, AgentError
from .registry import Registry

LOGGER = logging.getLogger(__name__)


class UnknownCredential(Exception):
    """There is no such credential."""


class AlreadyRevoked(Exception):
    """The credential is revoked already, or is being revoked."""


@dataclass
class PendingRevocation:
    """One credential to revoke, and the future of the caller who waits for it."""

    credential: tuple[str, str]
    connection_id: str
    done: asyncio.Future[None]


class Revocations:
    """Revokes all credentials requested since the last publication together; callers wait for the publication.

    A registry's status lists are identified by their second, so there is at most one publication a second.
    """

    BATCH_WINDOW = 0.05  # seconds during which further requests join a batch

    def __init__(self, agent: Agent, registry: Registry) -> None:
        """`agent` publishes revocations, `registry` shows whether it did."""
        self._agent = agent
        self._registry = registry
        self._queue: asyncio.Queue[PendingRevocation] = asyncio.Queue()
        self._requested: set[tuple[str, str]] = set()
        self._last_second = 0  # second of the last publication

    async def revoke(self, credential: tuple[str, str], connection_id: str) -> None:
        """Revoke (rev_reg_id, cred_rev_id) and return once it is published."""
        rev_reg_id, cred_rev_id = credential
        state = self._registry.revocation_status(rev_reg_id, int(cred_rev_id))
        if state is None:
            raise UnknownCredential(f"The registry has no place {cred_rev_id} in {rev_reg_id}.")
        if state or credential in self._requested:
            raise AlreadyRevoked(f"The credential with cred_rev_id {cred_rev_id} of {rev_reg_id} is revoked already.")
        self._requested.add(credential)
        request = PendingRevocation(credential, connection_id, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(request)
        await asyncio.shield(request.done)

    async def run(self) -> None:
        """Publish batch after batch, until cancelled."""
        while True:
            batch = [await self._queue.get()]
            await asyncio.sleep(self.BATCH_WINDOW)
            await self._wait_for_next_second()
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._publish(batch)

    async def _wait_for_next_second(self) -> None:
        while int(time.time()) <= self._last_second:
            await asyncio.sleep(self._last_second + 1.005 - time.time())

    async def _publish(self, batch: list[PendingRevocation]) -> None:
        error: AgentError | None = None
        for attempt in range(3):
            open_requests = [request for request in batch if not self._is_published(request)]
            if not open_requests:
                break
            await self._wait_for_next_second()
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
                LOGGER.warning("revoking %d credentials, attempt %d: %s", len(batch), attempt + 1, err)
            self._last_second = int(time.time())
        for request in batch:
            self._answer(request, error)

    def _is_published(self, request: PendingRevocation) -> bool:
        rev_reg_id, cred_rev_id = request.credential
        return self._registry.revocation_status(rev_reg_id, int(cred_rev_id)) is True

    def _answer(self, request: PendingRevocation, error: AgentError | None) -> None:
        self._requested.discard(request.credential)
        if request.done.done():
            return
        if self._is_published(request):
            request.done.set_result(None)
        else:
            request.done.set_exception(error or AgentError("the agent did not publish the revocation"))
