"""A holder's wallet in an ACA-Py agent: each protocol is one method that acts, then awaits the event that answers."""

from __future__ import annotations

import contextlib

from controller.agents.protocols.credentials import Credentials
from controller.agents.protocols.dialogue import Dialogue
from controller.agents.protocols.messages import Messages
from controller.agents.protocols.presentations import Presentations
from controller.agents.protocols.topics import IGNORED_TOPICS as IGNORED_TOPICS
from controller.agents.protocols.topics import TOPICS as TOPICS
from controller.agents.protocols.topics import Topics as Topics
from stampede.schema.errors import AgentError, StepError


class AcapyWallet(Credentials, Presentations, Messages, Dialogue):
    """A Wallet that is a tenant of a multi-tenant ACA-Py agent."""

    __slots__ = ()

    def cut_off(self) -> StepError | None:
        """See Wallet."""
        reason, self._cut_off = self._cut_off, None
        return reason

    async def ready(self) -> None:
        """See Wallet."""
        await self._agent_up()

    async def remove(self) -> None:
        """See Wallet."""
        if self._phone:
            with contextlib.suppress(AgentError):  # then it ends with the agent
                await self._phone.end()
        await self._admin.call("POST", f"/multitenancy/wallet/{self.wallet_id}/remove", body={})
