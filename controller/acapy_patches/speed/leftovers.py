"""Removes what an invitation with a proof request leaves in a wallet once it has been answered."""

from __future__ import annotations

from typing import Any

from controller.acapy_patches.patch import Patch

PRESENTATIONS = "acapy_agent.protocols.present_proof.v2_0"
INVITATIONS = "acapy_agent.protocols.out_of_band.v1_0"


def remove_leftovers() -> None:
    """Have ACA-Py remove, with a presentation that was acknowledged, all that was made for it without a connection:
    invitation, key and route."""
    from acapy_agent.protocols.coordinate_mediation.v1_0.route_manager import RouteManager
    from acapy_agent.protocols.out_of_band.v1_0.models.oob_record import OobRecord
    from acapy_agent.protocols.present_proof.v2_0.models.pres_exchange import V20PresExRecord
    from acapy_agent.protocols.routing.v1_0.models.route_record import RouteRecord

    delete_presentation = V20PresExRecord.delete_record

    async def delete_record(self: Any, session: Any) -> None:
        is_over = self.state == V20PresExRecord.STATE_DONE and self.role == V20PresExRecord.ROLE_PROVER
        await delete_presentation(self, session)
        if is_over and not self.connection_id:
            await forget_invitation(session, self.thread_id)

    async def forget_invitation(session: Any, thread_id: str) -> None:
        for invitation in await OobRecord.query(session, {"attach_thread_id": thread_id}):
            key = invitation.our_recipient_key
            await invitation.delete_record(session)
            if key and not invitation.connection_id:
                await session.handle.remove_key(key)
                await forget_route(session.inject(RouteManager), key)

    async def forget_route(routes: Any, key: str) -> None:
        if root := getattr(routes, "root_profile", None):
            async with root.session() as session:
                for route in await RouteRecord.query(session, {"recipient_key": key}):
                    await route.delete_record(session)

    V20PresExRecord.delete_record = delete_record


LEFTOVERS = Patch(
    name="leftovers",
    reason=(
        "An invitation with a proof request leaves its record, a key and a route in the wallet when it is answered "
        "without a connection: some 5 KB a presentation, for as long as the agent lives."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        "acapy_agent.messaging.models.base_record:BaseRecord.delete_record": "77fbc13741f32581",
        "acapy_agent.multitenant.route_manager:MultitenantRouteManager._route_for_key": "41db6efb214109f3",
        f"{INVITATIONS}.manager:OutOfBandManager.receive_invitation": "2deebf0272cfb11b",
        f"{INVITATIONS}.models.oob_record:OobRecord": "cb38c123427acd2c",
        f"{PRESENTATIONS}.manager:V20PresManager.receive_pres_ack": "25a5bc45622d5a35",
        f"{PRESENTATIONS}.models.pres_exchange:V20PresExRecord": "7713b31b65e5520a",
        "acapy_agent.protocols.routing.v1_0.models.route_record:RouteRecord": "7bd724af11075e31",
    },
    apply=remove_leftovers,
)
