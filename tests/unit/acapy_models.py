"""ACA-Py's own models for tests of patches: what agents send each other, and what a patch changes, on and off."""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import nest_asyncio
from hypothesis import strategies as st

nest_asyncio.apply = lambda loop=None: None  # ACA-Py calls it when it is imported; tests need asyncio as it is

from acapy_agent.connections.models.conn_record import ConnRecord  # noqa: E402
from acapy_agent.messaging.decorators.base import BaseDecoratorSet  # noqa: E402
from acapy_agent.messaging.decorators.service_decorator import ServiceDecorator  # noqa: E402
from acapy_agent.messaging.decorators.thread_decorator import ThreadDecorator  # noqa: E402
from acapy_agent.messaging.models.base import BaseModel  # noqa: E402
from acapy_agent.protocols.didexchange.v1_0.messages.request import DIDXRequest  # noqa: E402
from acapy_agent.protocols.issue_credential.v2_0.messages.cred_issue import V20CredIssue  # noqa: E402
from acapy_agent.protocols.issue_credential.v2_0.messages.cred_offer import V20CredOffer  # noqa: E402
from acapy_agent.protocols.issue_credential.v2_0.models.cred_ex_record import V20CredExRecord  # noqa: E402
from acapy_agent.protocols.out_of_band.v1_0.messages.invitation import InvitationMessage  # noqa: E402
from acapy_agent.protocols.out_of_band.v1_0.models.oob_record import OobRecord  # noqa: E402
from acapy_agent.protocols.present_proof.v2_0.messages.pres import V20Pres  # noqa: E402
from acapy_agent.protocols.present_proof.v2_0.messages.pres_request import V20PresRequest  # noqa: E402
from acapy_agent.protocols.present_proof.v2_0.models.pres_exchange import V20PresExRecord  # noqa: E402
from acapy_agent.protocols.trustping.v1_0.messages.ping import Ping  # noqa: E402

from controller.acapy_patches.patch import Patch  # noqa: E402

ABSENT = object()


class Change:
    """What a patch changes, made and taken back as often as a test likes."""

    def __init__(self, patch: Patch) -> None:
        owners = [owner for original in patch.originals for owner in _owners(original)]
        before = {owner: dict(vars(owner)) for owner in owners}
        patch.apply()
        self._changes = [
            (owner, name, before[owner].get(name, ABSENT), value)
            for owner in before
            for name, value in dict(vars(owner)).items()
            if before[owner].get(name, ABSENT) is not value
        ]
        assert self._changes, f"{patch.name} changes no module or class that it names"
        self._set(made=False)

    @contextlib.contextmanager
    def made(self) -> Iterator[None]:
        """The patch is on for a while."""
        self._set(made=True)
        try:
            yield
        finally:
            self._set(made=False)

    def _set(self, *, made: bool) -> None:
        for owner, name, before, after in self._changes:
            value = after if made else before
            if value is ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


def _owners(original: str) -> Iterator[Any]:
    """The module that is named, and the class if one is."""
    name, _, qualified = original.partition(":")
    module = importlib.import_module(name)
    yield module
    found = getattr(module, qualified.partition(".")[0], None) if qualified else None
    if isinstance(found, type):
        yield found


def outcome(act: Callable[[], Any]) -> Any:
    """What comes of an act, so that it can be compared: a value in plain, or an error with its cause."""
    try:
        return plain(act())
    except Exception as error:
        cause = error.__cause__
        return type(error), str(error), type(cause), str(cause)


def plain(value: Any) -> Any:
    """A model with all that it keeps, as values that can be compared."""
    if isinstance(value, BaseDecoratorSet):
        return "decorators", list(value.items()) and plain(list(value.items())), plain(dict(value._fields))
    if isinstance(value, BaseModel):
        return type(value).__name__, plain(vars(value))
    if isinstance(value, dict):
        return [(name, plain(item)) for name, item in value.items()]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
ids = st.uuids().map(str)
scalars = st.none() | st.booleans() | st.integers(-9, 9) | words
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6
)
KEY = "3Dn1SJNPaCXcvvJvSbsFWP2xaCjMom3can8CQNhWrTRx"
service = st.fixed_dictionaries(
    {"recipientKeys": st.just([KEY]), "serviceEndpoint": st.just("http://agent.example.org")},
    optional={"routingKeys": st.just([KEY])},
)
thread = st.fixed_dictionaries(
    {},
    optional={
        "thid": ids,
        "pthid": ids,
        "sender_order": st.integers(0, 9),
        "received_orders": st.dictionaries(words, st.integers(0, 9), max_size=2),
    },
)
right_decorators = {
    "~thread": thread,
    "~timing": st.fixed_dictionaries({}, optional={"delay_milli": st.integers(0, 9)}),
    "~transport": st.fixed_dictionaries({"return_route": st.sampled_from(["all", "none", "thread"])}),
    "~service": service,
    "~l10n": st.fixed_dictionaries({"locale": st.just("de")}),
    "~unknown": values,
    "comment~l10n": st.fixed_dictionaries({"locale": st.just("fr")}),
    "more": values,
}
odd_decorators = right_decorators | {"~thread": thread | values, "comment~sig": values}


def attachment(ident: str, content: Any) -> dict[str, Any]:
    """A JSON value as agents attach it."""
    data = base64.b64encode(json.dumps(content).encode()).decode()
    return {"@id": ident, "mime-type": "application/json", "data": {"base64": data}}


def message(
    kind: str, fields: dict[str, st.SearchStrategy[Any]], decorators: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    """A message of a type, with some of those decorators."""
    head = {"@type": st.just(f"https://didcomm.org/{kind}"), "@id": ids}
    return st.fixed_dictionaries(head | fields, optional=decorators)


preview = st.fixed_dictionaries(
    {
        "@type": st.just("https://didcomm.org/issue-credential/2.0/credential-preview"),
        "attributes": st.lists(
            st.fixed_dictionaries({"name": words, "value": words}, optional={"mime-type": words}), max_size=2
        ),
    }
)


def messages(decorators: dict[str, st.SearchStrategy[Any]]) -> dict[Any, st.SearchStrategy[dict[str, Any]]]:
    """Classes of messages, and what they are read from."""

    def with_attachment(kind: str, name: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        """One attachment, of a format that no handler looks into."""
        formats = st.just([{"attach_id": "a", "format": "other/format@v1.0"}])
        attached = values.map(lambda content: [attachment("a", content)])
        return message(kind, {"comment": words, "formats": formats, f"{name}~attach": attached} | fields, decorators)

    return {
        V20PresRequest: with_attachment(
            "present-proof/2.0/request-presentation", "request_presentations", will_confirm=st.booleans()
        ),
        V20Pres: with_attachment("present-proof/2.0/presentation", "presentations"),
        V20CredOffer: with_attachment("issue-credential/2.0/offer-credential", "offers", credential_preview=preview),
        V20CredIssue: with_attachment("issue-credential/2.0/issue-credential", "credentials"),
        InvitationMessage: message(
            "out-of-band/1.1/invitation",
            {
                "label": words,
                "handshake_protocols": st.just(["https://didcomm.org/didexchange/1.1"]),
                "services": st.lists(st.just("did:sov:WgWxqztrNooG92RXvxSTWv"), max_size=1),
            },
            decorators,
        ),
        Ping: message("trust_ping/1.0/ping", {"comment": words, "response_requested": st.booleans()}, decorators),
        DIDXRequest: message(
            "didexchange/1.1/request",
            {"label": words, "did": st.just("did:sov:WgWxqztrNooG92RXvxSTWv")},
            decorators,
        ),
    }


MODELS: dict[Any, st.SearchStrategy[dict[str, Any]]] = messages(odd_decorators) | {
    ThreadDecorator: thread,
    ServiceDecorator: service,
    ConnRecord: st.fixed_dictionaries(
        {"connection_id": ids}, optional={"state": st.sampled_from(["active", "request"]), "error_msg": words}
    ),
}
"""Classes of messages and other models, and what they are read from: now and then it is wrong."""
MESSAGES = messages(right_decorators)
"""Messages that can be read."""
requests, presentations = MESSAGES[V20PresRequest], MESSAGES[V20Pres]
offers, credentials = MESSAGES[V20CredOffer], MESSAGES[V20CredIssue]
invitations = MESSAGES[InvitationMessage]

texts = st.none() | words
RECORDS: dict[Any, st.SearchStrategy[dict[str, Any]]] = {
    V20PresExRecord: st.fixed_dictionaries(
        {"thread_id": ids, "state": st.sampled_from(["request-received", "done", "abandoned"])},
        optional={
            "connection_id": ids,
            "role": st.just("prover"),
            "initiator": st.just("external"),
            "pres_request": requests,
            "pres": presentations,
            "verified": st.sampled_from(["true", "false"]),
            "verified_msgs": st.lists(words, max_size=2),
            "auto_present": st.booleans(),
            "auto_verify": st.booleans(),
            "auto_remove": st.booleans(),
            "error_msg": texts,
            "trace": st.booleans(),
            "created_at": st.just("2026-11-01T10:00:00Z"),
        },
    ),
    V20CredExRecord: st.fixed_dictionaries(
        {"thread_id": ids, "state": st.sampled_from(["offer-received", "done"])},
        optional={
            "connection_id": ids,
            "role": st.just("holder"),
            "parent_thread_id": ids,
            "verification_method": texts,
            "cred_offer": offers,
            "cred_issue": credentials,
            "auto_issue": st.booleans(),
            "auto_remove": st.booleans(),
            "error_msg": texts,
            "trace": st.booleans(),
        },
    ),
    OobRecord: st.fixed_dictionaries(
        {
            "state": st.sampled_from(["initial", "done"]),
            "invi_msg_id": ids,
            "role": st.just("receiver"),
            "invitation": invitations,
        },
        optional={
            "their_service": st.none() | service,
            "our_service": st.none() | service,
            "connection_id": ids,
            "multi_use": st.booleans(),
        },
    ),
    ConnRecord: st.fixed_dictionaries(
        {"state": st.sampled_from(["active", "request", "abandoned"])},
        optional={"their_did": ids, "their_label": texts, "alias": texts, "error_msg": texts},
    ),
}
"""Classes of records, and what they are stored with."""


def one_of(strategies: dict[Any, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    """A class, and what one of its objects is made of."""
    return st.one_of([st.tuples(st.just(kind), made_of) for kind, made_of in strategies.items()])
