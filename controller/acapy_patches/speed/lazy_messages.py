"""Reads the messages that a stored exchange holds when somebody asks for them, and not with each of its records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.acapy_patches.patch import Patch

BASE = "acapy_agent.messaging.models.base:BaseModel"
BASE_RECORD = "acapy_agent.messaging.models.base_record:BaseRecord"
OOB = "acapy_agent.protocols.out_of_band.v1_0.models.oob_record:OobRecord"
CREDENTIAL = "acapy_agent.protocols.issue_credential.v2_0.models.cred_ex_record:V20CredExRecord"
PRESENTATION = "acapy_agent.protocols.present_proof.v2_0.models.pres_exchange:V20PresExRecord"


class Stored:
    """A message as a record was stored with it."""

    __slots__ = ("message",)

    def __init__(self, message: Mapping[str, Any]) -> None:
        self.message = message


class LazySerDe:
    """ACA-Py's ``SerDe``, whose ``de`` is made when it is first asked for.

    A stored message that cannot be read is an error then, and not when its record is read.
    """

    __slots__ = ("_de", "_model", "ser")

    def __init__(self, model: Any, ser: Mapping[str, Any]) -> None:
        self._model = model
        self._de: Any = None
        self.ser = ser

    @property
    def de(self) -> Any:
        """The message."""
        if self._de is None:
            self._de = self._model.deserialize(self.ser)
        return self._de


def read_when_asked_for() -> None:
    """Mark stored messages in ``from_storage``, keep marked ones unread in ``serde``, and let ``record_value`` look
    at what is stored without reading it."""
    from acapy_agent.messaging.models.base import BaseModel
    from acapy_agent.messaging.models.base_record import BaseRecord
    from acapy_agent.protocols.issue_credential.v2_0.models.cred_ex_record import V20CredExRecord
    from acapy_agent.protocols.out_of_band.v1_0.models.oob_record import OobRecord
    from acapy_agent.protocols.present_proof.v2_0.models.pres_exchange import V20PresExRecord

    serde, from_storage = BaseModel.serde.__func__, BaseRecord.from_storage.__func__

    def lazy_serde(cls: Any, obj: Any) -> Any:
        return LazySerDe(cls, obj.message) if type(obj) is Stored else serde(cls, obj)

    BaseModel.serde = classmethod(lazy_serde)

    def keep_unread(record_class: Any, values: tuple[str, ...], messages: tuple[str, ...]) -> None:
        def from_stored(cls: Any, record_id: str, record: Mapping[str, Any]) -> Any:
            if cls is not record_class:
                return from_storage(cls, record_id, record)
            marked = {name: Stored(record[name]) for name in messages if isinstance(record.get(name), dict)}
            return from_storage(cls, record_id, {**record, **marked})

        def record_value(self: Any) -> dict[str, Any]:
            value = {name: None if name in messages else getattr(self, name) for name in values}
            for name in messages:
                message = getattr(self, f"_{name}")
                if message is not None:
                    value[name] = message.ser
            return value

        record_class.from_storage = classmethod(from_stored)
        record_class.record_value = property(record_value)

    keep_unread(
        V20PresExRecord,
        (
            *("connection_id", "initiator", "role", "state", "verified", "verified_msgs", "auto_present"),
            *("auto_verify", "error_msg", "trace", "auto_remove", "auto_remove_on_failure"),
        ),
        ("pres_proposal", "pres_request", "pres"),
    )
    keep_unread(
        V20CredExRecord,
        (
            *("connection_id", "verification_method", "parent_thread_id", "initiator", "role", "state"),
            *("auto_offer", "auto_issue", "auto_remove", "auto_remove_on_failure", "error_msg", "trace"),
        ),
        ("cred_proposal", "cred_offer", "cred_request", "cred_issue"),
    )
    keep_unread(
        OobRecord,
        ("state", "their_service", "connection_id", "role", "invi_msg_id", "multi_use"),
        ("invitation", "our_service", "their_service"),
    )


LAZY_MESSAGES = Patch(
    name="lazy_messages",
    reason=(
        "Whoever reads the record of an exchange, if only for its state, has all messages that it holds read and "
        "checked, and again at each save."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        f"{BASE}.serde": "54c611f82014d429",
        f"{BASE_RECORD}.from_storage": "12ca31a2166f7a09",
        f"{OOB}.__init__": "0d33637e8095b5ee",
        f"{OOB}.record_value": "36051b6e84fe5b1b",
        f"{CREDENTIAL}.__init__": "906e14f5f9af951a",
        f"{CREDENTIAL}.record_value": "528aac280f671906",
        f"{PRESENTATION}.__init__": "34d459ff038a4751",
        f"{PRESENTATION}.record_value": "5450e8221cea3ea3",
    },
    apply=read_when_asked_for,
)
