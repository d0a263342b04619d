"""Connections: to mediators and services, made anew or gone on with (Aries RFCs 0434, 0023, 0160, 0211)."""

from __future__ import annotations

import contextlib
import re

from controller.agents.admin import check_not_abandoned
from controller.agents.protocols.tenant import Tenant
from controller.agents.protocols.topics import Topics
from controller.agents.remote_phone import RemotePhone
from controller.agents.wallet import Connection
from controller.services.invitation import Json
from controller.services.out_of_band import SCHEMES, for_agent, needs_connections_plugin
from stampede.schema.errors import AgentError, BadInvitation, NoConnection

READY = ("active", "completed")
"""States of a connection over which messages are exchanged."""
REUSED = "reuse-accepted"
"""State of an invitation whose sender has agreed to go on with the connection that there is (Aries RFC 0434)."""
PLUGIN_HINT = (
    "the invitation connects by Aries RFC 0160, for which the agents need ACA-Py's plugin connections "
    "(stampede_agent_packages installs it, stampede_agent_plugins loads it)"
)


class Connections(Tenant):
    """How a wallet comes by its connections."""

    __slots__ = ()

    async def connect_to_mediator(self, mediator: str | Json) -> None:
        """See Wallet."""
        if isinstance(mediator, str):
            async with self._meeting(mediator):
                path = "/didexchange/create-request"
                request = await self._post(path, their_public_did=mediator, auto_accept="true")
            connection_id, name = request["connection_id"], mediator
            await self._connected(connection_id)
        else:
            ready = for_agent(mediator, self._phone.schemes if self._phone else SCHEMES)
            async with self._meeting(str(ready.get("@id"))):
                received = await self._hand_over(ready)
            connection = await self._connection_of(received, "mediator")
            connection_id, name = connection.connection_id, str(mediator.get("label") or "of the invitation")
        asked = await self._post(f"/mediation/request/{connection_id}")
        answer = await self._expect(Topics.mediation, "granted", "denied", mediation_id=asked["mediation_id"])
        if answer["state"] == "denied":
            raise BadInvitation(f"mediator {name} denied mediation")
        self._mediation_id = asked["mediation_id"]
        if self._phone:
            await self._phone.come()

    async def disconnect(self) -> None:
        """See Wallet."""
        await self._mediated_phone().go()

    async def reconnect(self) -> None:
        """See Wallet."""
        await self._mediated_phone().come()

    def _meeting(self, known_by: str) -> contextlib.AbstractAsyncContextManager[None]:
        return self._phone.meets(known_by) if self._phone else contextlib.nullcontext()

    def _mediated_phone(self) -> RemotePhone:
        if self._phone is None or not self._mediation_id:
            raise NoConnection(
                "phones are reached through their mediator only, and this holder has none; the script must call "
                "connect_to_mediator() before"
            )
        return self._phone

    async def accept_invitation(self, invitation: Json, name: str) -> Connection:
        """See Wallet."""
        ready = for_agent(invitation)
        if ready.get("requests~attach") and not ready.get("handshake_protocols"):
            raise BadInvitation(
                "the invitation offers no connection, for it carries a message and no handshake_protocols; a script "
                "takes what it carries by receive_credential or present_proof with the service's name"
            )
        return await self._connection_of(await self._receive(ready), name)

    async def _connection_of(self, received: Json, name: str) -> Connection:
        """The connection to which an invitation leads, once it is there."""
        connection_id = received.get("connection_id")
        if not connection_id:
            raise BadInvitation("the invitation offers no connection (no handshake_protocols in it)")
        reused = received.get("state") == REUSED or connection_id in self._connections
        self._connections.add(connection_id)
        found: Json = {}
        if reused:  # the connection is there already: no event tells that it is made
            found = await self._get(f"/connections/{connection_id}")
        if found.get("state", READY[0] if reused else "") not in READY:
            found = await self._connected(connection_id)
        return Connection(
            name,
            connection_id,
            found.get("my_did", ""),
            found.get("their_did", ""),
            received.get("invi_msg_id") or found.get("invitation_msg_id", ""),
            reused=reused,
        )

    async def _receive(self, invitation: Json) -> Json:
        """Hand an invitation to the agent, when there can be an answer to it."""
        if self._phone:
            self._mediated_phone()
        return await self._hand_over(invitation)

    async def _hand_over(self, invitation: Json) -> Json:
        """Hand an invitation to the agent, as ``for_agent`` has made it. One of RFC 0160 needs ACA-Py's plugin
        ``connections``."""
        legacy = "/connections/" in str(invitation.get("@type", ""))
        path = "/connections/receive-invitation" if legacy else "/out-of-band/receive-invitation"
        mediation = {"mediation_id": self._mediation_id} if self._mediation_id else {}
        try:
            return await self._post(path, body=invitation, auto_accept="true", **mediation)
        except AgentError as error:
            # ACA-Py answers 500 to invitations that it cannot make sense of; 503 and 504 are its own troubles.
            if re.search(rf" {path} answered (4|500)", error.detail):
                plugin_lacks = needs_connections_plugin(invitation)
                why = PLUGIN_HINT if plugin_lacks else "the holder's agent did not take the invitation"
                raise BadInvitation(f"{why}: {error.detail}") from error
            raise

    async def _connected(self, connection_id: str) -> Json:
        event = await self._expect(Topics.connection, *READY, "abandoned", "error", connection_id=connection_id)
        check_not_abandoned(event, "the connection")
        return event
