"""Agents' events over a WebSocket: in order, each once, many at a time, and nothing dropped without a word."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import aiohttp
import pytest
from acapy_agent.config import argparse as acapy_arguments
from acapy_models import Change
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.acapy_patches.speed import event_socket
from controller.acapy_patches.speed.event_socket import EVENT_SOCKET, SOCKET, EventSender
from controller.acapy_patches.speed.slim_events import UNHEARD
from controller.agents import webhooks
from controller.agents.flags import AgentIdentity, command_line, environment
from controller.agents.inbox import Inbox, Overflow
from controller.agents.webhooks import WebhookReceiver
from stampede.schema.settings.run_settings import Settings


class Wallet(Inbox):
    """Notes the numbers of its events."""

    __slots__ = ("numbers",)

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []

    def deliver(self, topic: str, payload: Any) -> None:
        self.numbers.append(payload["n"])


class Controller(WebhookReceiver):
    """Notes the sizes of batches; ``turns`` says what becomes of each: whether it is taken, and then answered.

    Without a turn it is both.
    """

    def __init__(self, turns: Iterable[tuple[bool, bool]] = ()) -> None:
        self.overflow = Overflow()
        super().__init__({"t"}, {"ignored"}, self.overflow)
        self.turns = iter(turns)
        self.batches: list[int] = []
        self.wallets = {name: Wallet() for name in "ab"}
        for name, wallet in self.wallets.items():
            self.register(name, wallet)

    def _take(self, sender: str, first: int, events: Any) -> int:
        taken, answered = next(self.turns, (True, True))
        if not taken:
            raise BreakOff
        self.batches.append(len(events))
        expected = super()._take(sender, first, events)
        if not answered:
            raise BreakOff
        return expected

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                await asyncio.sleep(0.001)


class BreakOff(web.HTTPException):
    """Ends a connection."""

    status_code = 500


def event(wallet: str, number: int, padding: int = 0) -> str:
    return json.dumps([wallet, "t", {"n": number, "x": "x" * padding}])


@pytest.fixture(scope="module", autouse=True)
def at_once() -> Iterator[None]:
    """No pause between two connections."""
    with pytest.MonkeyPatch.context() as context:
        context.setattr(event_socket, "LONGEST_PAUSE", 0.0)
        yield


async def end(sender: EventSender) -> None:
    """As ACA-Py ends its tasks."""
    if sender._sending:
        sender._sending.cancel()
        await asyncio.gather(sender._sending, return_exceptions=True)


async def test_what_comes_in_one_turn_goes_in_one_message_and_in_order() -> None:
    async with Controller() as controller:
        sender = EventSender(controller.url)
        for turn in range(3):
            for number in range(100):
                sender.put(event("ab"[number % 2], 100 * turn + number))
            await controller.until(lambda: not sender._waiting)
        await end(sender)
    assert controller.batches == [100, 100, 100]
    assert controller.wallets["a"].numbers == list(range(0, 300, 2))
    assert controller.wallets["b"].numbers == list(range(1, 300, 2))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([(True, True), (True, False), (False, False)]), max_size=8),
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), min_size=1, max_size=12),
)
def test_each_event_comes_once_and_in_order_however_connections_break(
    turns: list[tuple[bool, bool]], puts: list[tuple[str, int]]
) -> None:
    """``puts``: the wallet of each event, and how many turns of the loop pass before the next."""

    async def play() -> Controller:
        async with Controller(turns) as controller:
            sender = EventSender(controller.url)
            for number, (wallet, pause) in enumerate(puts):
                sender.put(event(wallet, number))
                for _ in range(pause):
                    await asyncio.sleep(0)
            await controller.until(lambda: not sender._waiting)
            await end(sender)
        return controller

    logging.disable(logging.CRITICAL)  # aiohttp logs what ended the connections
    try:
        controller = asyncio.run(play())
    finally:
        logging.disable(logging.NOTSET)
    for name, wallet in controller.wallets.items():
        assert wallet.numbers == [number for number, (of, _) in enumerate(puts) if of == name]
    assert controller.overflow.lost == 0


@given(st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 9), st.integers(0, 5)), max_size=12))
def test_what_comes_again_counts_once_and_what_is_missing_is_counted(batches: list[tuple[str, int, int]]) -> None:
    """``batches``: the sender of each, its first number, and how many events it has."""
    overflow = Overflow()
    receiver = WebhookReceiver({"t"}, overflow=overflow)
    wallets = {"x": Wallet(), "y": Wallet()}
    expected, taken, missing = {"x": 0, "y": 0}, {"x": [], "y": []}, 0
    for name, wallet in wallets.items():
        receiver.register(name, wallet)
    for sender, first, count in batches:
        missing += max(0, first - expected[sender])
        taken[sender] += range(max(first, expected[sender]), first + count)
        expected[sender] = max(expected[sender], first + count)
        events = [(sender, "t", {"n": number}) for number in range(first, first + count)]
        assert receiver._take(sender, first, events) == expected[sender]
    assert {name: wallet.numbers for name, wallet in wallets.items()} == taken
    assert overflow.lost == missing


async def test_a_slow_controller_gets_no_more_at_once_and_is_told_of_what_was_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    size = len(event("a", 10))
    monkeypatch.setattr(event_socket, "LARGEST", 4 * size)
    monkeypatch.setattr(event_socket, "KEPT", 10 * size)
    told: list[str] = []
    async with Controller() as controller:
        controller.overflow._announce = told.append
        sender = EventSender(controller.url)
        for number in range(10, 30):  # of which the last ten are kept
            sender.put(event("a", number))
        assert sender._size == 10 * size
        await controller.until(lambda: not sender._waiting)
        await end(sender)
    assert controller.wallets["a"].numbers == list(range(20, 30))
    assert controller.batches == [4, 4, 2]
    assert controller.overflow.lost == 10
    assert len(told) == 1
    assert caplog.messages == [
        "the controller is too slow in taking events: the oldest of those that wait are dropped"
    ]


async def test_events_dropped_on_the_way_are_not_counted_when_they_were_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = len(event("a", 10))
    monkeypatch.setattr(event_socket, "LARGEST", 2 * size)
    monkeypatch.setattr(event_socket, "KEPT", 4 * size)
    async with Controller() as controller:
        sender = EventSender(controller.url)
        take = controller._take

        def put_meanwhile(*batch: Any, **named: Any) -> int:
            controller._take = take  # type: ignore[method-assign]
            for number in range(14, 17):  # pushes out the two that were just sent, and one more
                sender.put(event("a", number))
            return take(*batch, **named)

        controller._take = put_meanwhile  # type: ignore[method-assign]
        for number in range(10, 14):
            sender.put(event("a", number))
        await controller.until(lambda: not sender._waiting)
        await end(sender)
    assert controller.wallets["a"].numbers == [10, 11, 13, 14, 15, 16]
    assert controller.overflow.lost == 1


async def test_events_are_given_up_in_the_end_and_the_next_ones_are_sent(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    connect = aiohttp.ClientSession.ws_connect
    monkeypatch.setattr(
        aiohttp.ClientSession, "ws_connect", lambda *a, **named: tries.append(a[1]) or connect(*a, **named)
    )
    async with Controller() as controller:
        sender = EventSender(f"{controller.url}x")
        for number in range(3):
            sender.put(event("a", number))
        await controller.until(lambda: not sender._waiting)
        assert len(tries) == event_socket.TRIES
        (said,) = caplog.messages
        assert said.startswith("the controller takes no events (401,") and said.endswith("): 3 are dropped")
        assert controller.url.split("#")[1] not in said
        sender._headers["x-api-key"] = controller.url.split("#")[1]
        sender.put(event("a", 3))
        await controller.until(lambda: not sender._waiting)
        await end(sender)
    assert controller.wallets["a"].numbers == [3]
    assert controller.overflow.lost == 3


async def test_only_failures_in_a_row_count(caplog: pytest.LogCaptureFixture) -> None:
    failures = [(False, False)] * (event_socket.TRIES - 1)
    async with Controller([*failures, (True, True), *failures]) as controller:
        sender = EventSender(controller.url)
        for number in range(2):
            sender.put(event("a", number))
            await controller.until(lambda: not sender._waiting)
        await end(sender)
    assert controller.wallets["a"].numbers == [0, 1]
    assert not [record for record in caplog.records if record.name == event_socket.__name__]


async def test_nobody_without_the_key_sends_events() -> None:
    async with Controller() as controller, aiohttp.ClientSession() as session:
        for headers in ({}, {"x-api-key": "guessed"}):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
                await session.ws_connect(f"{controller.url.split('#')[0]}/socket", headers=headers)


async def test_a_batch_that_is_too_large_ends_the_connection_before_it_is_read_whole() -> None:
    async with Controller() as controller, aiohttp.ClientSession() as session:
        url, key = controller.url.split("#")
        async with session.ws_connect(f"{url}/socket", headers={"x-api-key": key, "x-sender": "s"}) as socket:
            await socket.send_str("x" * (2 * event_socket.LARGEST + 1))
            assert (await socket.receive()).data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_the_receiver_takes_webhooks_too(caplog: pytest.LogCaptureFixture) -> None:
    async with Controller() as controller, aiohttp.ClientSession() as session:
        sender = EventSender(controller.url)
        sender.put(event("a", 1))
        for topic, payload in (("undeclared", {}), ("ignored", {}), ("t", None), ("t", ["n"])):
            sender.put(json.dumps(["a", topic, payload]))
        await controller.until(lambda: not sender._waiting)
        url, key = controller.url.split("#")
        for payload in ('{"n": 2}', "null"):
            headers = {"x-api-key": key, "x-wallet-id": "a"}
            async with session.post(f"{url}/topic/t/", data=payload, headers=headers) as response:
                assert response.status == 200
        await end(sender)
    assert controller.wallets["a"].numbers == [1, 2]
    assert [record.args for record in caplog.records if record.name == webhooks.__name__] == [("undeclared",)]


class TestInAnAgent:
    URL = "http://127.0.0.1:1/webhooks#key"

    @pytest.fixture
    def sent(self) -> list[str]:
        return []

    @pytest.fixture
    def change(self, sent: list[str], monkeypatch: pytest.MonkeyPatch) -> Change:
        monkeypatch.setenv(SOCKET, self.URL)
        monkeypatch.setenv(UNHEARD, "ignored")
        monkeypatch.setattr(EventSender, "put", lambda self, event: sent.append(event))
        return Change(EVENT_SOCKET)

    def test_only_what_the_controller_would_be_posted_goes_another_way(self, change: Change, sent: list[str]) -> None:
        from acapy_agent.transport.outbound.manager import OutboundTransportManager

        class Manager(OutboundTransportManager):
            def __init__(self) -> None:
                self.outbound_new: list[Any] = []

            def get_running_transport_for_endpoint(self, endpoint: str) -> str:
                return "http"

            def process_queued(self) -> None:
                pass

        manager = Manager()
        of_wallet = {"x-wallet-id": "w"}
        large = {"x": "x" * event_socket.LARGEST}
        with change.made():
            for endpoint in (self.URL, "http://elsewhere#key"):
                for topic in ("t", "ignored"):
                    manager.enqueue_webhook(topic, {"state": "done"}, endpoint, None, of_wallet)
            manager.enqueue_webhook("t", None, self.URL)
            manager.enqueue_webhook("large", large, self.URL, 2, of_wallet)
            with pytest.raises(TypeError, match="not JSON serializable"):  # as before
                manager.enqueue_webhook("t", object(), self.URL)  # type: ignore[arg-type]
        assert [json.loads(event) for event in sent] == [["w", "t", {"state": "done"}], ["", "t", None]]
        assert [(queued.endpoint, queued.api_key) for queued in manager.outbound_new] == [
            ("http://elsewhere/topic/t/", "key"),
            ("http://elsewhere/topic/ignored/", "key"),
            ("http://127.0.0.1:1/webhooks/topic/large/", "key"),
        ]
        assert (json.loads(manager.outbound_new[2].payload), manager.outbound_new[2].retries) == (large, 1)

    def test_a_users_webhook_url_is_there_besides_the_controllers(
        self, variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        arguments = {"stampede_agent_args": ["--webhook-url", "http://127.0.0.1:9/mine"]}
        chosen = Settings.from_variables(variables | arguments)
        agent = AgentIdentity(0, 21_000, tmp_path, tmp_path / "trust.pem", self.URL)
        for name, value in environment(chosen, agent, None).items():
            monkeypatch.setenv(name, value)
        parser = acapy_arguments.create_argument_parser(prog="test")
        get_settings = acapy_arguments.load_argument_groups(
            parser, *acapy_arguments.group.get_registered(acapy_arguments.CAT_START)
        )
        read = get_settings(parser.parse_args(command_line(chosen, agent)))
        assert read["admin.webhook_urls"] == ["http://127.0.0.1:9/mine", self.URL]
        assert self.URL not in " ".join(command_line(chosen, agent))
