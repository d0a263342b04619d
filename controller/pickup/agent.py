"""Where phones meet ACA-Py: what it sends to mediators goes over their links, what comes is taken by the wallet."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from typing import Any

from acapy_agent.admin.server import AdminResponder
from acapy_agent.config.injection_context import InjectionContext
from acapy_agent.connections.base_manager import BaseConnectionManager
from acapy_agent.connections.models.conn_record import ConnRecord
from acapy_agent.core.profile import Profile
from acapy_agent.messaging.decorators.service_decorator import ServiceDecorator
from acapy_agent.messaging.responder import BaseResponder
from acapy_agent.multitenant.base import BaseMultitenantManager
from acapy_agent.protocols.coordinate_mediation.v1_0.manager import MediationManager
from acapy_agent.protocols.coordinate_mediation.v1_0.models.mediation_record import MediationRecord
from acapy_agent.protocols.coordinate_mediation.v1_0.normalization import normalize_from_did_key
from acapy_agent.transport.inbound.manager import InboundTransportManager
from acapy_agent.transport.inbound.session import InboundSession
from acapy_agent.transport.outbound.message import OutboundMessage
from acapy_agent.transport.wire_format import BaseWireFormat
from acapy_agent.wallet.models.wallet_record import WalletRecord
from aiohttp import web

from controller.acapy_patches.connectionless import CONNECTIONLESS
from controller.acapy_patches.outbound_messages import OUTBOUND_MESSAGES
from controller.pickup.correspondence import Json, Received
from controller.pickup.link import Payload
from controller.pickup.phone import Phone
from controller.pickup.phones import Phones

MODE = "STAMPEDE_MEDIATOR_PICKUP"
POLL_INTERVAL = "STAMPEDE_MEDIATOR_POLL_INTERVAL"
SCHEME = "mediator"
"""Of the endpoint that messages to a mediator get, so that ``transports.ToMediator`` has them."""
SCHEMES = {"websocket": ("ws:", "wss:"), "http": ("http:", "https:")}


class NoSuchEndpoint(web.HTTPConflict):
    """The mediator cannot be used as the mode wants; the admin request under way tells why."""


async def install(context: InjectionContext) -> None:
    """See ``controller.pickup.setup``."""
    for patch in (OUTBOUND_MESSAGES, CONNECTIONLESS):
        if reason := patch.why_not():
            raise RuntimeError(f"holders cannot be phones with this version of ACA-Py: {reason}")
    phones = Phones(os.environ[MODE], float(os.environ.get(POLL_INTERVAL, "2")))
    context.injector.bind_instance(Phones, phones)
    OUTBOUND_MESSAGES.apply(send_to_mediators_by_link)
    CONNECTIONLESS.apply(be_answered_through_mediator)


class TenantAgent:
    """See Agent."""

    def __init__(self, root: Profile, profile: Profile) -> None:
        self._root = root
        self._profile = profile
        self._send = root.inject(BaseResponder).send_fn
        profile.context.injector.bind_instance(BaseResponder, AdminResponder(profile, self._send))

    async def send(self, connection_id: str, message: Json) -> None:
        """See Agent."""
        await self._send(self._profile, OutboundMessage(connection_id=connection_id, payload=json.dumps(message)))

    async def decipher(self, payload: Payload) -> Received:
        """See Agent."""
        session = InboundSession(
            profile=self._profile,
            inbound_handler=self._root.inject(InboundTransportManager).receive_inbound,
            session_id="",  # nothing is answered by it
            wire_format=self._root.inject(BaseWireFormat),
            transport_type="ws",
        )
        message = await session.parse_inbound(payload)
        receipt = message.receipt
        return Received(
            message.payload if isinstance(message.payload, dict) else {},
            receipt.sender_verkey or "",
            receipt.recipient_verkey or "",
            receipt.thread_id or "",
            (session, message),
        )

    def take(self, received: Received) -> None:
        """See Agent."""
        session, message = received.token
        session.receive_inbound(message)


def phone_of(root: Profile, profile: Profile) -> Phone:
    """The phone of a tenant's wallet."""
    wallet_id = profile.settings["wallet.id"]
    phones: Phones = root.inject(Phones)
    return phones.get(wallet_id) or phones.add(wallet_id, TenantAgent(root, profile))


async def send_to_mediators_by_link(profile: Profile, outbound: OutboundMessage) -> None:
    """Called before ACA-Py chooses an outbound transport. What is for somebody else than the mediator stays as it is,
    but is sent when the mediator routes the answer; no return route is asked of an issuer."""
    phones: Phones = profile.inject(Phones)
    wallet_id = profile.settings.get("wallet.id") or ""
    await phones.restored(wallet_id)
    phone = phones.get(wallet_id)
    if phone is None or not outbound.connection_id or not outbound.payload or outbound.enc_payload:
        return
    if outbound.connection_id != phone.connection_id and not await _is_to(phone, profile, outbound.connection_id):
        await phone.routed()
        return
    targets = [outbound.target] if outbound.target else outbound.target_list
    former = phone.link.url if phone.link else ""
    target, url = await _address(profile, outbound.connection_id, targets, phones.mode, former)
    phone.meet(outbound.connection_id, url, frozenset(target.recipient_keys))
    message = json.loads(outbound.payload)
    if message["@type"].endswith("/keylist-update"):
        phone.follow(message)
    outbound.payload = json.dumps({**message, "~transport": {"return_route": "all"}})
    target.endpoint = f"{SCHEME}:{url}"
    outbound.target, outbound.target_list = target, []


async def _is_to(phone: Phone, profile: Profile, connection_id: str) -> bool:
    """Whether a connection is the one to the mediator that the phone is about to meet."""
    if not phone.known_by:
        return False
    async with profile.session() as session:
        record = await ConnRecord.retrieve_by_id(session, connection_id)
    if phone.known_by not in (record.their_public_did, record.invitation_msg_id):
        return False
    phone.known_by = ""
    return True


async def _address(
    profile: Profile, connection_id: str, targets: list[Any], mode: str, former: str
) -> tuple[Any, str]:
    """The target to pack for, and the URL to send to. ACA-Py takes one endpoint only of a DID that it is about to
    connect to, so the others are looked up; a mediator that names no fitting one once it is connected stays at the
    ``former``. Raises NoSuchEndpoint."""
    if fitting := _fitting(targets, mode):
        return fitting, fitting.endpoint
    if former and targets:
        return targets[0], former
    async with profile.session() as session:
        record = await ConnRecord.retrieve_by_id(session, connection_id)
    if record.their_public_did:
        manager, sender = BaseConnectionManager(profile), targets[0].sender_key if targets else ""
        every = await manager.resolve_connection_targets(record.their_public_did, sender, record.their_label)
        if fitting := _fitting(every, mode):
            return targets[0] if targets else fitting, fitting.endpoint
        targets = every
    found = " and ".join(str(target.endpoint) for target in targets) or "no endpoint"
    wanted = "a WebSocket (ws or wss)" if mode == "websocket" else "an http or https endpoint"
    sentence = f"the mediator has {found}; with stampede_mediator_pickup {mode} it must have {wanted}"
    raise NoSuchEndpoint(reason=sentence, text=sentence)


def _fitting(targets: list[Any], mode: str) -> Any | None:
    return next((target for target in targets if (target.endpoint or "").lower().startswith(SCHEMES[mode])), None)


async def be_answered_through_mediator(profile: Profile, record: Any) -> None:
    """Called before a message that came attached to an invitation is handled: where there is no connection, have the
    mediator route the key that was made for the exchange, and name the mediator to the other side."""
    key, phone = record.our_recipient_key, profile.inject(Phones).get(profile.settings.get("wallet.id") or "")
    if record.connection_id or not key or phone is None or not phone.is_mediated:
        return
    update = await MediationManager(profile).add_key(key)
    if await phone.ask(update.serialize()) is None:
        sentence = "the mediator did not say that it routes the key of an exchange without a connection"
        raise web.HTTPGatewayTimeout(reason=sentence, text=sentence)
    async with profile.session() as session:
        (mediation, *_) = await MediationRecord.query(session, {"state": MediationRecord.STATE_GRANTED})
        record.our_service = ServiceDecorator(
            recipient_keys=[key],
            endpoint=mediation.endpoint,
            routing_keys=[normalize_from_did_key(routing_key) for routing_key in mediation.routing_keys],
        ).serialize()
        await record.save(session)


async def restore_phones(root: Profile, away: Collection[str]) -> None:
    """The agent was started anew: whoever has a mediator turns to it again, but for the wallets that are ``away``."""
    manager, phones = root.inject(BaseMultitenantManager), root.inject(Phones)
    async with root.session() as session:
        wallets = {wallet.wallet_id: wallet for wallet in await WalletRecord.query(session)}

    async def restore(wallet_id: str) -> None:
        profile = await manager.get_wallet_profile(root.context, wallets[wallet_id])
        async with profile.session() as session:
            granted = await MediationRecord.query(session, {"state": MediationRecord.STATE_GRANTED})
        for record in granted[:1]:
            targets = await BaseConnectionManager(profile).get_connection_targets(connection_id=record.connection_id)
            target, url = await _address(profile, record.connection_id, targets, phones.mode, "")
            keys, is_away = frozenset(target.recipient_keys), wallet_id in away
            phone_of(root, profile).restored(record.connection_id, url, keys, is_away=is_away)

    phones.restore(wallets, restore)
