"""The patches ``saves``, ``slim_events`` and ``lazy_messages``: records are stored, announced and read as before."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from acapy_agent.admin.server import EVENT_PATTERN_RECORD, AdminServer
from acapy_agent.config.injection_context import InjectionContext
from acapy_agent.connections.models.conn_record import ConnRecord
from acapy_agent.core.event_bus import EventBus
from acapy_agent.messaging.models import base_record
from acapy_agent.messaging.models.base import BaseModelError
from acapy_agent.messaging.models.base_record import BaseRecord
from acapy_agent.protocols.issue_credential.v2_0.models.cred_ex_record import V20CredExRecord
from acapy_agent.protocols.out_of_band.v1_0.models.oob_record import OobRecord
from acapy_agent.protocols.present_proof.v2_0.messages.pres import V20Pres
from acapy_agent.protocols.present_proof.v2_0.models.pres_exchange import V20PresExRecord
from acapy_agent.storage.base import BaseStorage
from acapy_models import RECORDS, Change, one_of, outcome, plain, presentations
from hypothesis import given
from hypothesis import strategies as st

from controller.acapy_patches.speed.lazy_messages import LAZY_MESSAGES, LazySerDe
from controller.acapy_patches.speed.saves import SAVES
from controller.acapy_patches.speed.slim_events import SLIM_EVENTS, UNHEARD


class Storage:
    """Notes what is stored; ``failing`` makes it fail."""

    def __init__(self, failing: bool = False) -> None:
        self.failing = failing
        self.calls: list[Any] = []

    async def add_record(self, record: Any) -> None:
        self._note("add", record)

    async def update_record(self, record: Any, value: str, tags: Any) -> None:
        self._note("update", record, value, tags)

    async def delete_record(self, record: Any) -> None:
        self._note("delete", record)

    async def delete_all_records(self, kind: str, query: Any) -> None:
        self._note("delete all", kind, query)

    def _note(self, *call: Any) -> None:
        if self.failing:
            raise OSError("the disk is full")
        self.calls.append(call)


class Session:
    """As much of a session with a wallet as records need; notes what they announce."""

    def __init__(self, settings: dict[str, Any], storage: Storage, bus: EventBus | None = None) -> None:
        self._context = InjectionContext(settings=settings)
        self._context.injector.bind_instance(BaseStorage, storage)
        self._context.injector.enforce_typing = False
        if bus:
            self._context.injector.bind_instance(EventBus, bus)
        self.storage = storage
        self.events: list[tuple[str, str]] = []
        self.profile = self._context

    @property
    def settings(self) -> Any:
        return self._context.settings

    def inject(self, kind: Any) -> Any:
        return self._context.inject(kind)

    def inject_or(self, kind: Any) -> Any:
        return self._context.inject_or(kind)

    async def emit_event(self, topic: str, payload: Any) -> None:
        self.events.append((topic, json.dumps(payload)))  # the order of the fields counts too


@pytest.fixture(scope="module", autouse=True)
def still() -> Iterator[None]:
    """The time stands still, and ids are counted, so that two lives of a record are the same."""
    with pytest.MonkeyPatch.context() as context:
        context.setattr(base_record, "time_now", lambda: "2026-11-27T10:00:00Z")
        context.setattr(base_record, "uuid4", lambda: "the-id")
        yield


@pytest.fixture(scope="module")
def saves(still: None) -> Change:
    return Change(SAVES)


@pytest.fixture(scope="module")
def slim(still: None) -> Change:
    with pytest.MonkeyPatch.context() as context:
        context.setenv(UNHEARD, "out_of_band keylist")
        return Change(SLIM_EVENTS)


@pytest.fixture(scope="module")
def lazy() -> Change:
    return Change(LAZY_MESSAGES)


def run(acts: Any) -> Any:
    """Run a coroutine that awaits nothing outside itself."""
    try:
        acts.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


acts = st.lists(
    st.sampled_from(["save", "save", "change state", "event", "no event", "fail", "delete", "override", "emit"]),
    min_size=1,
    max_size=5,
)


def live(kind: Any, made_of: dict[str, Any], doing: list[str], settings: dict[str, Any], bus: Any = None) -> Any:
    """What becomes of a record: all that is stored, announced and raised, and how it is in the end."""
    session = Session(settings, Storage(), bus)
    record = kind(**copy.deepcopy(made_of))
    outcomes = []
    for act in doing:
        session.storage.failing = act == "fail"
        options = {"event": {"event": True, "no event": False}.get(act), "log_override": act == "override"}
        if act == "change state":
            record.state = "abandoned" if kind is not OobRecord else "done"
        if act == "delete":
            outcomes.append(outcome(lambda: run(record.delete_record(session))))
        elif act == "emit":
            outcomes.append(outcome(lambda: run(record.emit_event(session))))
        else:
            saving = partial(record.save, session, reason="why", **options)
            outcomes.append(outcome(lambda saving=saving: run(saving())))
    return outcomes, plain(session.storage.calls), session.events, plain(vars(record))


flags = st.fixed_dictionaries(
    {},
    optional={
        "debug.webhooks": st.booleans(),
        "debug.connections": st.booleans(),
        "debug.presentations": st.booleans(),
    },
)


@given(one_of(RECORDS), acts, flags)
def test_a_record_is_saved_as_before(
    saves: Change, record: tuple[Any, Any], doing: list[str], settings: dict[str, Any]
) -> None:
    expected = live(*record, doing, settings)
    with saves.made():
        assert live(*record, doing, settings) == expected


def test_a_save_is_logged_where_the_log_is_on(saves: Change, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for made in (False, True):
        for settings, options in (
            ({ConnRecord.LOG_STATE_FLAG: True}, {}),
            ({}, {"log_override": True, "log_params": {"more": 1}}),
            ({}, {}),
        ):
            record, session = ConnRecord(state="active"), Session(settings, Storage())
            with saves.made() if made else pytest.MonkeyPatch.context():
                run(record.save(session, reason="because", **options))
            said.append(capsys.readouterr().err)
    assert said[:3] == said[3:]
    assert all("because" in text for text in said[:2]) and said[2] == ""


def test_a_record_with_a_log_of_its_own_has_its_lines(saves: Change) -> None:
    lines = []

    class Telling(ConnRecord):
        class Meta:
            schema_class = ConnRecord._get_schema_class()

        @classmethod
        def log_state(cls, msg: str, *args: Any, **kwargs: Any) -> None:
            lines.append(msg)

    with saves.made():
        run(Telling(state="active").save(Session({}, Storage()), reason="because"))
    assert lines == ["because"]


def test_a_save_serialises_a_record_once_for_its_event_and_never_for_a_log(
    saves: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    serialize = ConnRecord.serialize
    monkeypatch.setattr(ConnRecord, "serialize", lambda self: made.append(self) or serialize(self))
    with saves.made():
        run(ConnRecord(state="active").save(Session({}, Storage()), event=False))
        assert made == []
        run(ConnRecord(state="active").save(Session({}, Storage())))
        assert len(made) == 1


@given(one_of(RECORDS), acts, flags)
def test_events_are_as_before(
    slim: Change, record: tuple[Any, Any], doing: list[str], settings: dict[str, Any]
) -> None:
    """Without a bus, so that nothing is left out."""
    expected = live(*record, doing, settings)
    with slim.made():
        assert live(*record, doing, settings) == expected


def test_the_messages_of_an_exchange_are_not_serialised_for_its_events(
    slim: Change, saves: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serialize(self: Any, **_: Any) -> Any:
        raise AssertionError("it was serialised")

    monkeypatch.setattr(BaseRecord, "serialize", serialize)
    session = Session({}, Storage())
    with slim.made(), saves.made():
        for kind in (V20PresExRecord, V20CredExRecord):
            run(kind(thread_id="t", state="done").save(session))
    assert len(session.events) == 2


async def listener(profile: Any, event: Any) -> None:
    """A plugin's."""


def server(bus: EventBus, **queues: Any) -> AdminServer:
    """An admin server that sends webhooks, and has those clients by WebSocket."""
    made = AdminServer.__new__(AdminServer)
    made.websocket_queues = queues
    bus.subscribe(EVENT_PATTERN_RECORD, made._on_record_event)
    return made


def with_plugin(bus: EventBus) -> None:
    server(bus)
    bus.subscribe("^acapy::record::out_of_band", listener)


def with_another_plugin(bus: EventBus) -> None:
    server(bus)
    bus.subscribe("^acapy::record::out_of_band::initial$", listener)


@pytest.mark.parametrize(
    ("listens", "urls", "heard"),
    [
        (server, ["http://controller"], False),
        (with_another_plugin, ["http://controller"], False),
        (with_plugin, ["http://controller"], True),
        (lambda bus: server(bus, one=object()), ["http://controller"], True),
        (server, ["http://controller", "http://elsewhere"], True),
    ],
)
def test_an_event_that_nobody_hears_is_not_made(
    slim: Change, listens: Callable[[EventBus], Any], urls: list[str], heard: bool
) -> None:
    bus = EventBus()
    listens(bus)
    made_of = {"state": "done", "invi_msg_id": "i", "role": "receiver", "invitation": {"@id": "i", "label": "l"}}
    made_of["invitation"]["handshake_protocols"] = ["https://didcomm.org/didexchange/1.1"]  # type: ignore[index]
    doing, settings = ["save", "emit", "event", "delete"], {"admin.webhook_urls": urls}
    outcomes, calls, events, after = live(OobRecord, made_of, doing, settings, bus)
    assert len(events) == 4 and "out_of_band" in events[0][0]
    with slim.made():
        assert live(OobRecord, made_of, doing, settings, bus) == (outcomes, calls, events if heard else [], after)
        record = {"thread_id": "t", "state": "done"}
        assert live(V20PresExRecord, record, ["save"], settings, bus)[2], "a topic that the controller awaits"


def test_records_without_a_state_are_announced(slim: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the controller's environment is not set, as in the reference services' agents."""
    monkeypatch.delenv(UNHEARD, raising=False)
    for change in (slim, Change(SLIM_EVENTS)):
        bus = EventBus()
        server(bus)
        with change.made():
            made_of, settings = {"thread_id": "t", "state": None}, {"admin.webhook_urls": ["http://controller"]}
            _, _, events, _ = live(V20PresExRecord, made_of, ["save", "emit"], settings, bus)
        assert events


@pytest.mark.parametrize(("urls", "states"), [(["http://controller"], ["done"]), (["a", "b"], ["done", "deleted"])])
def test_the_removal_of_a_record_is_told_to_others_than_the_controller(
    slim: Change, urls: list[str], states: list[str]
) -> None:
    bus = EventBus()
    server(bus)
    with slim.made():
        made_of, settings = {"thread_id": "t", "state": "done"}, {"admin.webhook_urls": urls}
        _, _, events, _ = live(V20PresExRecord, made_of, ["save", "delete"], settings, bus)
    assert [json.loads(payload)["state"] for _, payload in events] == states


def stored(kind: Any, made_of: dict[str, Any]) -> dict[str, Any]:
    """What is in the wallet of such a record."""
    record = kind(**copy.deepcopy(made_of))
    record._id = "the-id"
    return json.loads(record.storage_record.value)


@given(one_of(RECORDS), st.lists(st.sampled_from(["pres", "cred_offer", "by_format", "invitation", "their_service"])))
def test_a_record_that_is_read_back_is_as_before(lazy: Change, record: tuple[Any, Any], looked_at: list[str]) -> None:
    kind, made_of = record
    value = stored(kind, made_of)

    def read() -> Any:
        found = kind.from_storage("the-id", copy.deepcopy(value))
        seen = [outcome(lambda name=name: getattr(found, name, None)) for name in looked_at]
        kept = found.storage_record
        return (
            seen,
            kept.value,
            plain(kept.tags),
            outcome(found.serialize),
            found == kind.from_storage("the-id", value),
        )

    expected = outcome(read)
    with lazy.made():
        assert outcome(read) == expected


@given(presentations, presentations)
def test_a_message_that_replaces_a_stored_one(lazy: Change, first: dict[str, Any], second: dict[str, Any]) -> None:
    value = stored(V20PresExRecord, {"thread_id": "t", "state": "done"}) | {"pres": first}

    def replace() -> Any:
        record = V20PresExRecord.from_storage("the-id", copy.deepcopy(value))
        record.pres = V20Pres.deserialize(copy.deepcopy(second))
        record.pres_request = None
        return record.storage_record.value, record.serialize()

    expected = outcome(replace)
    with lazy.made():
        assert outcome(replace) == expected


def test_a_stored_message_is_read_when_it_is_asked_for_and_once(
    lazy: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    monkeypatch.setattr(V20Pres, "deserialize", lambda obj: reads.append(obj) or object())
    value = {"thread_id": "t", "state": "done", "pres": {"@id": "p"}}
    with lazy.made():
        record = V20PresExRecord.from_storage("the-id", value)
        assert json.loads(record.storage_record.value)["pres"] == {"@id": "p"} and reads == []
        assert record.pres is record.pres
        assert reads == [{"@id": "p"}]


def test_a_stored_message_that_cannot_be_read_is_an_error_when_it_is_asked_for(lazy: Change) -> None:
    value = {"thread_id": "t", "state": "done", "pres": {"@id": 1}}
    with pytest.raises(BaseModelError, match="V20Pres schema validation failed"):
        V20PresExRecord.from_storage("the-id", copy.deepcopy(value))
    with lazy.made():
        record = V20PresExRecord.from_storage("the-id", copy.deepcopy(value))
        assert record.state == "done"
        with pytest.raises(BaseModelError, match="V20Pres schema validation failed"):
            _ = record.pres


def test_a_new_record_has_its_messages_read_at_once(lazy: Change) -> None:
    """They come from others, and what is wrong with them must be told to these."""
    with lazy.made(), pytest.raises(BaseModelError):
        V20PresExRecord(pres={"@id": 1})


def test_records_of_plugins_are_read_as_before(lazy: Change) -> None:
    class Own(V20PresExRecord):
        pass

    with lazy.made():
        record = Own.from_storage("the-id", {"thread_id": "t", "state": "done"})
        assert not isinstance(record._pres, LazySerDe)
        with pytest.raises(BaseModelError):
            Own.from_storage("the-id", {"thread_id": "t", "state": "done", "pres": {"@id": 1}})
