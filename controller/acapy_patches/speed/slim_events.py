"""Makes of a record what its event carries, and no event that nobody hears."""

from __future__ import annotations

import os
from typing import Any

from controller.acapy_patches.patch import Patch

UNHEARD = "STAMPEDE_UNHEARD_TOPICS"
"""Environment variable with the topics of webhooks that the controller drops, in words. Where it is set, events of
records that are removed are dropped too."""
BASE_RECORD = "acapy_agent.messaging.models.base_record:BaseRecord"
CREDENTIAL = "acapy_agent.protocols.issue_credential.v2_0"
PRESENTATION = "acapy_agent.protocols.present_proof.v2_0"


def make_less() -> None:
    """Take the payload of an exchange's event from the record's own fields, without its messages, which ACA-Py
    serialises and leaves out; and emit no event that the controller drops, see UNHEARD, unless somebody
    besides it listens.

    A plugin that listens gets what it got. A record's serialised form is looked at for an event only, so that one
    that cannot be serialised is an error no longer where it is not part of the event.
    """
    from acapy_agent.messaging.models.base_record import BaseRecord
    from acapy_agent.protocols.issue_credential.v2_0.messages.cred_ex_record_webhook import V20CredExRecordWebhook
    from acapy_agent.protocols.issue_credential.v2_0.models.cred_ex_record import V20CredExRecord
    from acapy_agent.protocols.present_proof.v2_0.messages.pres_webhook import V20PresExRecordWebhook
    from acapy_agent.protocols.present_proof.v2_0.models.pres_exchange import V20PresExRecord
    from acapy_agent.storage.base import BaseStorage

    schemas = {
        V20CredExRecord: carried(V20CredExRecord, V20CredExRecordWebhook),
        V20PresExRecord: carried(V20PresExRecord, V20PresExRecordWebhook),
    }
    unheard = frozenset(os.environ.get(UNHEARD, "").split())
    unheard_states = {BaseRecord.STATE_DELETED} if UNHEARD in os.environ else set()
    emit_event = BaseRecord.emit_event

    def payload_of(record: Any, session: Any) -> Any:
        schema = schemas.get(type(record))
        if schema is None or session.profile.settings.get("debug.webhooks"):
            return record.serialize()
        return schema.dump(record)

    def is_heard(record: Any, session: Any) -> bool:
        is_for_controller = record.RECORD_TOPIC not in unheard and record.state not in unheard_states
        return is_for_controller or somebody_listens(record, session.profile)

    async def post_save(
        self: Any, session: Any, new_record: bool, last_state: str | None, event: bool | None = None
    ) -> None:
        if event is None:
            event = new_record or (last_state != self.state)
        if event and is_heard(self, session):
            await self.emit_event(session, payload_of(self, session))

    async def delete_record(self: Any, session: Any) -> None:
        if self._id:
            storage = session.inject(BaseStorage)
            if self.state:
                self._previous_state = self.state
                self.state = BaseRecord.STATE_DELETED
                if is_heard(self, session):
                    await self.emit_event(session, payload_of(self, session))
            await storage.delete_record(self.storage_record)

    async def emit_if_heard(self: Any, session: Any, payload: Any = None) -> None:
        if is_heard(self, session):
            await emit_event(self, session, payload)

    BaseRecord.post_save, BaseRecord.delete_record = post_save, delete_record
    BaseRecord.emit_event = emit_if_heard


def carried(record_class: Any, webhook_class: Any) -> Any:
    """A schema of a record's class with the fields that its event carries."""
    schema_class = record_class._get_schema_class()
    names = vars(webhook_class(**dict.fromkeys(schema_class._declared_fields, True)))
    return schema_class(only=tuple(names))


def somebody_listens(record: Any, profile: Any) -> bool:
    """Whether an event of a record reaches anybody besides the one receiver of webhooks, which drops it."""
    from acapy_agent.admin.server import AdminServer
    from acapy_agent.core.event_bus import EventBus

    bus = profile.inject_or(EventBus)
    if bus is None:
        return True  # ACA-Py warns of it
    topic = f"{record.EVENT_NAMESPACE}::{record.RECORD_TOPIC}" + (f"::{record.state}" if record.state else "")
    for pattern, subscribers in bus.topic_patterns_to_subscribers.items():
        for subscriber in subscribers if pattern.match(topic) else ():
            server = getattr(subscriber, "__self__", None)
            if not isinstance(server, AdminServer) or server.websocket_queues:
                return True
    return len(profile.settings.get("admin.webhook_urls") or ()) > 1


SLIM_EVENTS = Patch(
    name="slim_events",
    reason=(
        "ACA-Py serialises all messages of an exchange for each of its events, then leaves them out; and it makes "
        "events with whole invitations, and of all removals, that nobody listens to."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        f"{BASE_RECORD}.post_save": "f3db750160d9aae5",
        f"{BASE_RECORD}.delete_record": "77fbc13741f32581",
        f"{BASE_RECORD}.emit_event": "3e6db04c9366c8ba",
        f"{CREDENTIAL}.models.cred_ex_record:V20CredExRecord.emit_event": "fb2bdcddc25c1fb7",
        f"{CREDENTIAL}.messages.cred_ex_record_webhook": "58e8e252becc6c48",
        f"{PRESENTATION}.models.pres_exchange:V20PresExRecord.emit_event": "72af2f2272cced6d",
        f"{PRESENTATION}.messages.pres_webhook": "583b7487bc07f7dc",
        "acapy_agent.admin.server:AdminServer._on_record_event": "e62f97b22002f3f3",
        "acapy_agent.admin.server:AdminServer.send_webhook": "3800c25c8e07a606",
        "acapy_agent.core.event_bus:EventBus.notify": "237c2ed8685c5729",
    },
    apply=make_less,
)
