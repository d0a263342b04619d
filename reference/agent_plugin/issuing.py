"""Makes issuing and the publication of revocations take turns, and issuing survive a registry's rollover.

ACA-Py 1.7.0 publishes revocations by reading a registry's record, computing the new accumulator, and writing
the record back if nobody changed it meanwhile. Every issued credential changes it, so under steady issuing the
publication gives up ("Repeated conflict attempting to update registry"). Its last step even writes back a record
that was read before, without a check: the index of a credential issued in between is then given to the next one
too. Issuing itself gives up after 8 s without an active registry.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from acapy_agent.anoncreds.revocation.manager import RevocationManager
from acapy_agent.anoncreds.revocation.revocation import AnonCredsRevocation, AnonCredsRevocationError
from acapy_agent.core.profile import Profile
from acapy_agent.protocols.revocation_notification.v2_0.models.rev_notification_record import (
    RevNotificationRecord,
)

from controller.acapy_patches.patch import Patch

LOGGER = logging.getLogger(__name__)
REGISTRY_TIMEOUT = 90.0  # seconds that issuing waits for a registry that is not full
RETRY_INTERVAL = 0.2
REVOCATION = "acapy_agent.anoncreds.revocation.revocation:AnonCredsRevocation"


class IssuingGate:
    """Admits any number of credentials at once, or one publication, never both."""

    def __init__(self) -> None:
        """Open."""
        self._issuing = 0
        self._idle = asyncio.Condition()
        self._publishing = asyncio.Lock()

    @asynccontextmanager
    async def issue(self) -> AsyncIterator[None]:
        """Held while a credential gets its index and is created."""
        async with self._publishing:
            self._issuing += 1
        try:
            yield
        finally:
            self._issuing -= 1
            async with self._idle:
                self._idle.notify_all()

    @asynccontextmanager
    async def publish(self) -> AsyncIterator[None]:
        """Held while revocations are published."""
        async with self._publishing:
            async with self._idle:
                await self._idle.wait_for(lambda: not self._issuing)
            yield

    async def revoke(self, profile: Profile, credentials: Sequence[dict[str, Any]]) -> dict[str, list[int]]:
        """Revoke and publish all of these at once; the holders are notified on their connections.

        Each of `credentials` has rev_reg_id, cred_rev_id, connection_id. Returns what was published.
        """
        by_registry: dict[str, list[int]] = {}
        for credential in credentials:
            await self._prepare_notification(profile, credential)
            by_registry.setdefault(credential["rev_reg_id"], []).append(int(credential["cred_rev_id"]))
        async with self.publish():
            revocation = AnonCredsRevocation(profile)
            for rev_reg_id, cred_rev_ids in by_registry.items():
                await self._wait_for_next_second(revocation, rev_reg_id)
                await revocation.mark_pending_revocations(rev_reg_id, *cred_rev_ids)
            published = await RevocationManager(profile).publish_pending_revocations(by_registry)
        return {rev_reg_id: list(ids) for rev_reg_id, ids in published.items()}

    @staticmethod
    async def _wait_for_next_second(revocation: AnonCredsRevocation, rev_reg_id: str) -> None:
        """Status lists are identified by their second: wait until the last list's is over."""
        last = await revocation.get_created_revocation_list(rev_reg_id)
        while last is not None and int(time.time()) <= (last.timestamp or 0):
            await asyncio.sleep(0.05)

    @staticmethod
    async def _prepare_notification(profile: Profile, credential: dict[str, Any]) -> None:
        if not credential.get("connection_id"):
            return
        rev_reg_id, cred_rev_id = credential["rev_reg_id"], str(credential["cred_rev_id"])
        record = RevNotificationRecord(
            rev_reg_id=rev_reg_id,
            cred_rev_id=cred_rev_id,
            thread_id=f"indy::{rev_reg_id}::{cred_rev_id}",
            connection_id=credential["connection_id"],
            version="v2_0",
        )
        async with profile.session() as session:
            await record.save(session, reason="revocation requested")

    def install(self) -> None:
        """Route ACA-Py's issuing through the gate, unless it is other code than the patch was written for."""
        if reason := ISSUING.why_not():
            LOGGER.warning("issuing does not wait for the publication of revocations: %s", reason)
        else:
            ISSUING.apply(self)


def route_issuing(gate: IssuingGate) -> None:
    """Make ACA-Py's issuing take turns with publications, and wait for a registry that is not full."""
    create, create_once = AnonCredsRevocation._create_credential, AnonCredsRevocation._create_credential_helper
    announce_full = AnonCredsRevocation.emit_full_registry_event
    announced: set[str] = set()

    async def create_in_turn(revocation: AnonCredsRevocation, *args: Any, **kwargs: Any) -> Any:
        async with gate.issue():
            return await create(revocation, *args, **kwargs)

    async def create_with_retries(revocation: AnonCredsRevocation, *args: Any, retries: int = 5) -> Any:
        deadline = asyncio.get_running_loop().time() + REGISTRY_TIMEOUT
        while True:
            try:
                return await create_once(revocation, *args, retries=1)
            except AnonCredsRevocationError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(RETRY_INTERVAL)

    async def announce_full_once(revocation: AnonCredsRevocation, rev_reg_def_id: str, cred_def_id: str) -> None:
        if rev_reg_def_id not in announced:
            announced.add(rev_reg_def_id)
            await announce_full(revocation, rev_reg_def_id, cred_def_id)

    AnonCredsRevocation._create_credential = create_in_turn
    AnonCredsRevocation._create_credential_helper = create_with_retries
    AnonCredsRevocation.emit_full_registry_event = announce_full_once


ISSUING = Patch(
    name="issuing",
    reason="The publication of revocations fails beside issuing, and issuing fails while a registry is replaced.",
    upstream="not reported upstream; related: https://github.com/openwallet-foundation/acapy/issues/3819 (closed)",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        f"{REVOCATION}._create_credential": "e248562c0c005b49",
        f"{REVOCATION}._create_credential_helper": "62e528064a2c623e",
        f"{REVOCATION}.emit_full_registry_event": "0240431cd571bcef",
    },
    apply=route_issuing,
)
