"""What ACA-Py needs as transports: an inbound one that listens nowhere, and one that goes to mediators."""

from __future__ import annotations

from typing import Any

from acapy_agent.core.profile import Profile
from acapy_agent.transport.error import TransportError
from acapy_agent.transport.inbound.base import BaseInboundTransport
from acapy_agent.transport.outbound.base import BaseOutboundTransport

from controller.pickup.agent import SCHEME
from controller.pickup.link import LinkFailed
from controller.pickup.phones import Phones


class Nowhere(BaseInboundTransport):  # type: ignore[misc]  # ACA-Py has no types
    """ACA-Py insists on an inbound transport, and on its host and port for a banner."""

    def __init__(self, host: str, port: int, create_session: Any, **kwargs: Any) -> None:
        super().__init__("none", create_session, **kwargs)
        self.host = host
        self.port = port

    async def start(self) -> None:
        """Open no port."""

    async def stop(self) -> None:
        """See ``start``."""


class ToMediator(BaseOutboundTransport):  # type: ignore[misc]  # ACA-Py has no types
    """Sends what ``agent.send_to_mediators_by_link`` directs here over the link of the wallet's phone."""

    schemes = (SCHEME,)
    is_external = False

    async def start(self) -> None:
        """Called by ACA-Py at its start."""
        await self.root_profile.inject(Phones).start()

    async def stop(self) -> None:
        """Called by ACA-Py at its end."""
        await self.root_profile.inject(Phones).stop()

    async def handle_message(
        self, profile: Profile, payload: Any, endpoint: str, metadata: Any = None, api_key: Any = None
    ) -> None:
        """Hand a packed message to the link; ACA-Py tries again later after a TransportError."""
        phone = self.root_profile.inject(Phones).get(profile.settings.get("wallet.id"))
        try:
            if phone is None:
                raise LinkFailed("the wallet was removed")
            phone.send(payload)
        except LinkFailed as error:
            raise TransportError(str(error)) from error
