"""The patch ``leftovers``: what an invitation leaves in a wallet goes with the presentation that answered it."""

from __future__ import annotations

from typing import Any

import pytest
from acapy_agent.multitenant.route_manager import MultitenantRouteManager
from acapy_agent.protocols.coordinate_mediation.v1_0.route_manager import RouteManager
from acapy_agent.protocols.out_of_band.v1_0.messages.invitation import InvitationMessage
from acapy_agent.protocols.out_of_band.v1_0.models.oob_record import OobRecord
from acapy_agent.protocols.present_proof.v2_0.models.pres_exchange import V20PresExRecord
from acapy_agent.protocols.routing.v1_0.models.route_record import RouteRecord
from acapy_agent.utils.testing import create_test_profile
from acapy_agent.wallet.base import BaseWallet
from acapy_agent.wallet.key_type import ED25519
from acapy_models import Change

from controller.acapy_patches.speed.leftovers import LEFTOVERS


@pytest.fixture(scope="module")
def removal() -> Change:
    return Change(LEFTOVERS)


class Wallet:
    """A tenant's wallet that answered two invitations without a connection."""

    @classmethod
    async def create(cls) -> Wallet:
        """With the records that ACA-Py makes of them."""
        self = cls()
        self.root, self.tenant = await create_test_profile(), await create_test_profile()
        self.tenant.context.injector.bind_instance(RouteManager, MultitenantRouteManager(self.root))
        self.keys = [await self.answer(thread) for thread in ("first", "second")]
        return self

    async def answer(self, thread: str, connection_id: str | None = None) -> str:
        """Records of an invitation; returns the key that was made for it."""
        async with self.tenant.session() as session:
            key = (await session.inject(BaseWallet).create_signing_key(ED25519)).verkey
            await OobRecord(
                invi_msg_id=f"invitation {thread}",
                role=OobRecord.ROLE_RECEIVER,
                state=OobRecord.STATE_PREPARE_RESPONSE,
                invitation=InvitationMessage(handshake_protocols=["https://didcomm.org/didexchange/1.1"]),
                attach_thread_id=thread,
                our_recipient_key=key,
                connection_id=connection_id,
            ).save(session)
        async with self.root.session() as session:
            await RouteRecord(recipient_key=key, wallet_id="tenant").save(session)
        return str(key)

    async def end(self, thread: str, **how: Any) -> None:
        """A presentation of that thread ends, and is removed."""
        ended = {"role": V20PresExRecord.ROLE_PROVER, "state": V20PresExRecord.STATE_DONE} | how
        async with self.tenant.session() as session:
            record = V20PresExRecord(thread_id=thread, **ended)
            await record.save(session)
            await record.delete_record(session)
            assert await V20PresExRecord.query(session) == []

    async def left(self) -> tuple[list[str], list[str], list[str]]:
        """The invitations, keys and routes that are there."""
        async with self.tenant.session() as session:
            invitations = [record.attach_thread_id for record in await OobRecord.query(session)]
            keys = [entry.name for entry in await session.handle.fetch_all_keys()]
        async with self.root.session() as session:
            routes = [record.recipient_key for record in await RouteRecord.query(session)]
        return sorted(invitations), sorted(keys), sorted(routes)


async def test_one_that_was_answered_goes_and_others_stay(removal: Change) -> None:
    wallet = await Wallet.create()
    second = wallet.keys[1]
    assert await wallet.left() == (["first", "second"], sorted(wallet.keys), sorted(wallet.keys))
    with removal.made():
        await wallet.end("first")
        assert await wallet.left() == (["second"], [second], [second])
        await wallet.end("first")  # of which there is nothing left
        await wallet.end("second")
        assert await wallet.left() == ([], [], [])


@pytest.mark.parametrize(
    "how",
    [
        {"state": V20PresExRecord.STATE_ABANDONED},  # its problem report may still be on its way out
        {"role": V20PresExRecord.ROLE_VERIFIER},
        {"connection_id": "connection"},
    ],
)
async def test_what_is_not_over_stays(removal: Change, how: dict[str, str]) -> None:
    wallet = await Wallet.create()
    with removal.made():
        await wallet.end("first", **how)
    assert await wallet.left() == (["first", "second"], sorted(wallet.keys), sorted(wallet.keys))


async def test_the_key_of_a_connection_stays(removal: Change) -> None:
    wallet = await Wallet.create()
    third = await wallet.answer("third", "connection")
    with removal.made():
        await wallet.end("third")
    assert await wallet.left() == (["first", "second"], *(sorted([*wallet.keys, third]),) * 2)


async def test_without_the_patch_all_stays() -> None:
    wallet = await Wallet.create()
    await wallet.end("first")
    assert len((await wallet.left())[0]) == 2
