"""The patch ``schema_pool``: models are read and written as by a schema object of their own."""

from __future__ import annotations

import ast
import base64
import copy
import importlib
import inspect
import json
import pkgutil
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import acapy_agent
import pytest
from acapy_agent.messaging import agent_message
from acapy_agent.messaging.agent_message import AgentMessage, AgentMessageSchema
from acapy_agent.messaging.models.base import BaseModelError, BaseModelSchema
from acapy_agent.protocols.issue_credential.v2_0.formats.anoncreds.handler import AnonCredsCredFormatHandler
from acapy_agent.protocols.issue_credential.v2_0.message_types import CRED_20_ISSUE, CRED_20_OFFER, CRED_20_REQUEST
from acapy_agent.protocols.present_proof.v2_0.formats.anoncreds.handler import AnonCredsPresExchangeHandler
from acapy_agent.protocols.present_proof.v2_0.message_types import PRES_20, PRES_20_REQUEST
from acapy_agent.protocols.trustping.v1_0.messages.ping import Ping
from acapy_agent.utils.jwe import JweEnvelope
from acapy_models import MODELS, Change, one_of, outcome, plain, values
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import EXCLUDE, INCLUDE, RAISE, fields, pre_load
from marshmallow.fields import Field, Nested

from controller.acapy_patches.speed.schema_pool import SCHEMA_POOL, Shelf, is_own


@pytest.fixture(scope="module")
def pool() -> Change:
    """One pool for all examples: what one leaves behind, the next would find."""
    return Change(SCHEMA_POOL)


@pytest.fixture(scope="module", autouse=True)
def one_id() -> Iterator[None]:
    """For all messages that come without."""
    with pytest.MonkeyPatch.context() as context:
        context.setattr(agent_message, "uuid4", lambda: "the-id")
        yield


@st.composite
def readings(draw: st.DrawFn) -> tuple[Any, Any, dict[str, Any]]:
    """A class, what it is to read, which is wrong now and then, and how."""
    kind, made_of = draw(one_of(MODELS))
    match draw(st.sampled_from(["right", "right", "less", "other", "no mapping"])):
        case "less" if made_of:
            del made_of[draw(st.sampled_from(sorted(made_of)))]
        case "other" if made_of:
            made_of[draw(st.sampled_from(sorted(made_of)))] = draw(values)
        case "no mapping":
            made_of = draw(st.none() | st.booleans() | st.just("{") | st.just("[]") | st.lists(st.just({})))
    options = {"none2none": draw(st.booleans()), "unknown": draw(st.sampled_from([None, EXCLUDE, INCLUDE, RAISE]))}
    if isinstance(made_of, dict) and draw(st.booleans()):
        return kind, json.dumps(made_of), options
    return kind, made_of, options


@st.composite
def envelopes(draw: st.DrawFn) -> str | bytes:
    """A packed message, which is wrong now and then."""
    encoded = st.binary(max_size=12).map(lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="))
    part = encoded | encoded | encoded | values
    recipient = st.fixed_dictionaries({"encrypted_key": part}, optional={"header": st.just({"kid": "key"}) | values})
    protected = st.fixed_dictionaries(
        {"enc": st.just("xchacha20poly1305_ietf"), "alg": st.just("Authcrypt")},
        optional={"recipients": st.lists(recipient, max_size=2), "encrypted_key": part},
    ).map(lambda head: base64.urlsafe_b64encode(json.dumps(head, default=str).encode()).decode())
    whole = st.fixed_dictionaries(
        {"protected": protected | part, "iv": part, "ciphertext": part, "tag": part},
        optional={"recipients": st.lists(recipient, max_size=2), "header": values, "aad": part, "other": part},
    )
    text = draw(whole.map(lambda parts: json.dumps(parts, default=str)) | st.sampled_from(["{", "[]", "{}", "7"]))
    return text.encode() if draw(st.booleans()) else text


def attachments() -> st.SearchStrategy[Any]:
    """What comes with messages of the two protocols, with some of it changed or gone."""
    restricted = {"restrictions": [{"cred_def_id": "did:web:x/cred-def"}]}
    request = {
        "name": "proof",
        "version": "1.0",
        "nonce": "1234567890",
        "requested_attributes": {"a": {"name": "name", **restricted}},
        "requested_predicates": {"p": {"name": "age", "p_type": ">=", "p_value": 18, **restricted}},
        "non_revoked": {"from": 0, "to": 1},
    }
    offer = {
        "schema_id": "did:web:x/schema",
        "cred_def_id": "did:web:x/cred-def",
        "nonce": "1234567890",
        "key_correctness_proof": {"c": "1", "xz_cap": "2", "xr_cap": [["name", "3"]]},
    }
    credential = {
        "schema_id": "did:web:x/schema",
        "cred_def_id": "did:web:x/cred-def",
        "rev_reg_id": None,
        "values": {"name": {"raw": "Ada", "encoded": "5"}},
        "signature": {},
        "signature_correctness_proof": {},
        "rev_reg": None,
        "witness": None,
    }
    return st.sampled_from([request, offer, credential, {}]).flatmap(
        lambda made_of: st.fixed_dictionaries(
            {}, optional={name: st.just(value) | st.just(value) | values for name, value in made_of.items()}
        )
    )


KINDS: dict[Any, tuple[str, ...]] = {
    AnonCredsPresExchangeHandler: (PRES_20_REQUEST, PRES_20),
    AnonCredsCredFormatHandler: (CRED_20_OFFER, CRED_20_REQUEST, CRED_20_ISSUE),
}


@given(readings())
def test_a_model_is_read_as_before(pool: Change, reading: tuple[Any, Any, dict[str, Any]]) -> None:
    kind, made_of, options = reading
    before, after = copy.deepcopy(made_of), copy.deepcopy(made_of)
    expected = outcome(lambda: kind.deserialize(before, **options))
    with pool.made():
        found = outcome(lambda: kind.deserialize(after, **options))
    assert found == expected
    assert after == before, "what it was read from is left as before"


@given(one_of(MODELS), st.booleans(), st.sampled_from([None, EXCLUDE, RAISE]))
def test_a_model_is_written_as_before(
    pool: Change, reading: tuple[Any, dict[str, Any]], as_string: bool, unknown: str | None
) -> None:
    kind, made_of = reading
    try:
        model = kind.deserialize(made_of)
    except BaseModelError:
        return
    expected = outcome(lambda: model.serialize(as_string=as_string, unknown=unknown))
    with pool.made():
        assert outcome(lambda: model.serialize(as_string=as_string, unknown=unknown)) == expected
        again = kind.deserialize(model.serialize())
        assert plain(again.serialize()) == plain(model.serialize())


def test_messages_share_no_decorators(pool: Change) -> None:
    with pool.made():
        first, second = (Ping.deserialize({"@id": name, "~thread": {"thid": name}}) for name in "ab")
        assert (first._thread.thid, second._thread.thid) == ("a", "b")
        first._thread = {"thid": "c"}
        first._decorators.field("comment")["l10n"] = {"locale": "de"}
        third = Ping.deserialize({"@id": "d"})
        assert second.serialize()["~thread"] == {"thid": "b"}
        assert third._thread is None and not third._decorators.fields


def test_what_one_message_has_is_not_in_the_next(pool: Change) -> None:
    with pool.made():
        with_thread, without = Ping(comment="a"), Ping(comment="b")
        with_thread.assign_thread_id("t", "p")
        assert with_thread.serialize()["~thread"] == {"thid": "t", "pthid": "p"}
        assert "~thread" not in without.serialize()


def test_no_more_objects_are_made_than_are_used_at_once(pool: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    init = AgentMessageSchema.__init__
    monkeypatch.setattr(
        AgentMessageSchema, "__init__", lambda self, **kwargs: made.append(self) or init(self, **kwargs)
    )
    with pool.made():
        for _ in range(5):
            Ping.deserialize(Ping(comment="a").serialize())
    assert len(made) <= 1


@given(envelopes())
def test_an_envelope_is_read_as_before(pool: Change, envelope: Any) -> None:
    def read() -> dict[str, Any]:
        parts = vars(JweEnvelope.from_json(envelope))
        return parts | {"_recipients": [vars(recipient) for recipient in parts["_recipients"]]}

    expected = outcome(read)
    with pool.made():
        assert outcome(read) == expected


@pytest.mark.parametrize("handler", [AnonCredsPresExchangeHandler, AnonCredsCredFormatHandler])
@given(attached=attachments())
def test_an_attachment_is_checked_as_before(pool: Change, handler: Any, attached: Any) -> None:
    for kind in KINDS[handler]:
        expected = outcome(lambda kind=kind: handler.validate_fields(kind, copy.deepcopy(attached)))
        with pool.made():
            found = outcome(lambda kind=kind: handler.validate_fields(kind, copy.deepcopy(attached)))
        assert found == expected


def test_an_object_is_used_by_one_call_at_a_time() -> None:
    shelf = Shelf(object, None)
    outer = shelf.take()
    inner = shelf.take()
    assert inner is not outer
    shelf.give_back(inner)
    assert shelf.take() is inner


class Outer(AgentMessage):
    """A message that is written and read while another one of its class is."""

    class Meta:
        message_type = "test/1.0/outer"
        schema_class = "OuterSchema"

    def __init__(self, inner: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = inner


class Whole(fields.Field):
    """A message within a message, by its own ``serialize`` and ``deserialize``."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return value and value.serialize()

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return Outer.deserialize(value)


class OuterSchema(AgentMessageSchema):
    class Meta:
        model_class = Outer
        unknown = EXCLUDE

    inner = Whole(required=False, allow_none=True)


def test_messages_within_messages_of_the_same_class(pool: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.acapy_patches.speed.schema_pool.is_own", lambda schema_class: True)
    written: dict[str, Any] = {"@id": "0", "~thread": {"thid": "t0"}}
    for depth in range(1, 5):
        written = {"@id": str(depth), "~thread": {"thid": f"t{depth}"}, "inner": written}
    expected = plain(Outer.deserialize(copy.deepcopy(written)).serialize())
    with pool.made():
        for _ in range(3):
            assert plain(Outer.deserialize(copy.deepcopy(written)).serialize()) == expected


def test_threads_do_not_get_in_each_others_way(pool: Change) -> None:
    together = threading.Barrier(8)

    def work(name: str) -> set[tuple[Any, Any]]:
        together.wait(30)
        found = set()
        for _ in range(50):
            ping = Ping.deserialize({"@id": name, "~thread": {"thid": name}, "comment": name})
            written = ping.serialize()
            found.add((written["@id"], written["~thread"]["thid"]))
        return found

    with pool.made(), ThreadPoolExecutor(8) as threads:
        names = [str(number) for number in range(8)]
        assert list(threads.map(work, names)) == [{(name, name)} for name in names]


class Minding(AgentMessage):
    """A plugin's message whose schema keeps something that it should not."""

    class Meta:
        message_type = "test/1.0/minding"
        schema_class = "MindingSchema"

    def __init__(self, seen: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seen = seen


class MindingSchema(AgentMessageSchema):
    class Meta:
        model_class = Minding
        unknown = EXCLUDE

    seen = fields.Int(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.count = 0

    @pre_load
    def count_up(self, data: Any, **_: Any) -> Any:
        self.count += 1
        return {**data, "seen": self.count}


def test_schemas_of_plugins_are_made_anew(pool: Change) -> None:
    assert not is_own(MindingSchema)
    with pool.made():
        assert [Minding.deserialize({"@id": "a"}).seen for _ in range(3)] == [1, 1, 1]


def test_an_error_leaves_nothing_behind(pool: Change) -> None:
    with pool.made():
        with pytest.raises(BaseModelError):
            Ping.deserialize({"@id": "a", "~thread": {"thid": "t"}, "response_requested": "neither"})
        assert Ping.deserialize({"@id": "b"})._thread is None


def own_schemas() -> Iterator[Any]:
    """Every schema class of ACA-Py."""
    for module in pkgutil.walk_packages(acapy_agent.__path__, "acapy_agent."):
        if ".tests" not in module.name and not module.name.startswith("acapy_agent.kanon"):
            try:
                importlib.import_module(module.name)
            except ImportError:  # of an extra that is not installed
                continue
    pending, seen = [BaseModelSchema], set()
    while pending:
        schema = pending.pop()
        if schema not in seen:
            seen.add(schema)
            pending += schema.__subclasses__()
            if is_own(schema):
                yield schema


@pytest.mark.slow
def test_acapys_own_schemas_keep_nothing_between_two_uses() -> None:
    """Else they must not be used again. Fails after an upgrade that changes this."""
    schemas = list(own_schemas())
    assert len(schemas) > 200
    keeping = {schema for schema in schemas if assigned(schema)}
    assert keeping == {AgentMessageSchema}
    assert assigned(AgentMessageSchema) == {"_decorators", "_decorators_dict", "_signatures"}
    nesting = {
        (schema, name)
        for schema in schemas
        for name, field in schema._declared_fields.items()
        for nested in nested_classes(field)
        if issubclass(nested, AgentMessageSchema)
    }
    assert nesting == set(), "a message's schema within one that is used again would keep its decorators"


def assigned(schema: Any) -> set[str]:
    """The attributes of its own that a class's methods set."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(schema)))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def nested_classes(field: Any) -> Iterator[type]:
    """The schema classes, not objects, that a field is declared with."""
    if isinstance(field, Nested) and isinstance(field.nested, type):
        yield field.nested
    for inner in vars(field).values():
        if isinstance(inner, Field):
            yield from nested_classes(inner)
