"""Phones find out how their mediator hands messages over, keep their link to it, and get what is for them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest
import trustme
from pickup_mediator import (
    KEY,
    HoldersAgent,
    SmallMediator,
    all_phones,
    counts,
    joined,
    met,
    packed,
    small_mediator,
    until,
)

from controller.pickup import correspondence, link, phone
from controller.pickup import phones as phones_module
from controller.pickup.correspondence import DELIVERY, STATUS
from controller.pickup.link import LinkFailed
from controller.pickup.phone import PING, Handover


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(correspondence, "ANSWER", 1.0)
    monkeypatch.setattr(phone, "SILENCE", 0.0)
    monkeypatch.setattr(phone, "FREED", 0.3)


def texts(*found: str) -> list[str]:
    return [packed({"@type": "x/1.0/text", "@id": text, "text": text}, sender="someone") for text in found]


@pytest.mark.parametrize(
    ("mode", "kind", "handover"),
    [
        ("websocket", "live", Handover.LIVE),
        ("websocket", "queue", Handover.QUEUE),
        ("websocket", "implicit", Handover.IMPLICIT),
        ("http", "live", Handover.QUEUE),
        ("http", "implicit", Handover.IMPLICIT),
    ],
)
async def test_how_a_mediator_hands_over_is_found_out(mode: str, kind: str, handover: Handover) -> None:
    async with small_mediator(kind) as mediator, all_phones(mode) as phones:
        _, agent = await joined(phones, mediator)
        assert phones.state()["handover"] == [handover]
        assert (phones.state()["wanted"], phones.state()["open"]) == (1, 1)
        if handover == Handover.LIVE or (mode == "websocket" and kind == "implicit"):
            await mediator.push(*texts("one", "two"))
        else:
            mediator.kept += texts("one", "two")
        await until(lambda: len(agent.taken) == 2)
        assert agent.taken == ["one", "two"]
        asked_before = len(mediator.said)
        await joined(phones, mediator, "w2")
        assert "live-delivery-change" not in mediator.said[asked_before:] or handover == Handover.LIVE
        assert counts(phones.figures) == {"opened": 2}


@pytest.mark.parametrize("mode", ["websocket", "http"])
@pytest.mark.parametrize("kind", ["live", "implicit"])
async def test_what_waited_comes_after_the_app_was_away(mode: str, kind: str) -> None:
    async with small_mediator(kind) as mediator, all_phones(mode) as phones:
        phone, agent = await joined(phones, mediator)
        await phone.go()
        await until(lambda: not mediator.sockets)
        assert (phones.state()["wanted"], phones.state()["open"]) == (0, 0)
        mediator.kept += texts("one", "two", "three")
        await asyncio.wait_for(phone.come(), 20)
        await until(lambda: len(agent.taken) == 3)
        await until(lambda: phones.figures.waited == 3)
        assert counts(phones.figures) == {"opened": 1, "reconnected": 1, "waited": 3}


@pytest.mark.parametrize("kind", ["live", "implicit"])
@pytest.mark.parametrize("burst", [2, 5, 10])
async def test_what_a_mediator_holds_back_comes_when_it_is_poked(kind: str, burst: int) -> None:
    async with small_mediator(kind) as mediator, all_phones("websocket") as phones:
        phone, agent = await joined(phones, mediator)
        first, *rest = texts(*map(str, range(burst)))
        mediator.kept += rest
        await mediator.push(first)
        await until(lambda: len(agent.taken) == 1)
        await asyncio.sleep(0.05)
        assert len(agent.taken) == 1
        phone.poke()
        await until(lambda: len(agent.taken) == burst)
        await until(lambda: phones.figures.held_back == burst - 1)
        assert agent.taken == [str(number) for number in range(burst)]


def routed(thread: str, sender: str = KEY) -> str:
    kind = "https://didcomm.org/coordinate-mediation/1.0/keylist-update-response"
    return packed(
        {"@type": kind, "@id": "r", "text": "routed"} | ({"~thread": {"thid": thread}} if thread else {}), sender
    )


@pytest.mark.parametrize("thread", ["u1", ""])
async def test_what_is_for_others_waits_until_the_mediator_routes_the_answer(thread: str) -> None:
    async with small_mediator("implicit") as mediator, all_phones("websocket") as phones:
        phone, agent = await joined(phones, mediator)
        await phone.routed()
        phone.follow({"@id": "u1"})
        waiting = asyncio.create_task(phone.routed())
        await mediator.push(routed("u1", sender="someone"))
        await until(lambda: agent.taken == ["routed"])
        assert not waiting.done()
        await mediator.push(routed(thread))
        await asyncio.wait_for(waiting, 5)
        await until(lambda: agent.taken == ["routed", "routed"])


async def test_a_mediator_that_answers_no_keylist_update_holds_nothing_up_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(phone, "PATIENCE", 0.1)
    async with small_mediator("implicit") as mediator, all_phones("websocket") as phones:
        its_phone, _ = await joined(phones, mediator)
        for number in range(correspondence.MOST_ASKED + 2):
            its_phone.follow({"@id": f"u{number}"})
        await asyncio.wait_for(its_phone.routed(), 5)
        await asyncio.wait_for(its_phone.routed(), 0.05)


@pytest.mark.parametrize("mode", ["websocket", "http"])
async def test_a_grant_of_mediation_that_is_held_back_comes_when_it_is_poked(mode: str) -> None:
    async with small_mediator("implicit") as mediator, all_phones(mode) as phones:
        phone, agent = await met(phones, mediator)
        mediator.kept += texts("granted")
        phone.poke()
        await until(lambda: agent.taken == ["granted"])
        await until(lambda: phones.figures.held_back == 1)
        assert set(mediator.said) == {PING}


async def test_nothing_is_poked_while_messages_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone, "SILENCE", 60.0)
    async with small_mediator("implicit") as mediator, all_phones("websocket") as phones:
        its_phone, _ = await joined(phones, mediator)
        its_phone.poke()
        await asyncio.sleep(0.05)
        assert phones.figures.poked == 0


async def test_a_mediator_that_is_killed_and_comes_back() -> None:
    async with all_phones("websocket") as phones:
        mediator = SmallMediator("implicit")
        await mediator.start()
        holders = [await joined(phones, mediator, f"w{number}") for number in range(5)]
        await mediator.stop()
        await until(lambda: phones.state()["open"] == 0)
        assert (phones.state()["wanted"], phones.state()["problem"] != "") == (5, True)
        mediator.kept += texts("one")
        await mediator.start()
        await until(lambda: phones.state()["open"] == 5)
        await until(lambda: sum(len(agent.taken) for _, agent in holders) == 1)
        figures = counts(phones.figures)
        assert (figures["opened"], figures["dropped"], figures["reconnected"]) == (5, 5, 5)
        assert 0 < phones.figures.reconnect_longest < 20
        assert phones.state()["problem"] == ""
        await mediator.stop()


@pytest.mark.parametrize("mode", ["websocket", "http"])
async def test_a_mediator_that_takes_messages_before_it_can_answer(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correspondence, "ANSWER", 0.2)
    async with small_mediator("implicit") as mediator, all_phones(mode) as phones:
        phone, _ = await joined(phones, mediator)
        await phone.go()
        mediator.kind = "mute"
        coming = asyncio.create_task(phone.come())
        await until(lambda: phones.figures.unanswered >= 2)
        assert not coming.done() and phones.state()["open"] == 0
        mediator.kind = "implicit"
        await asyncio.wait_for(coming, 20)
        assert counts(phones.figures) | {"unanswered": 0} == {"opened": 1, "reconnected": 1, "unanswered": 0}


async def test_pickup_is_the_mediators_alone() -> None:
    async with small_mediator("live") as mediator, all_phones("websocket") as phones:
        _, agent = await joined(phones, mediator)
        (inner,) = texts("smuggled")
        attached = {"@type": DELIVERY, "@id": "d", "~attach": [{"@id": "1", "data": {"base64": "e30"}}]}
        nested = packed({"@type": STATUS, "@id": "n", "message_count": 3})
        delivery = {"@type": DELIVERY, "@id": "e", "~attach": [{"@id": "2", "data": {"json": nested_json(nested)}}]}
        await mediator.push(
            packed(attached, sender="someone"),
            inner.replace('"to": "the holder\'s key"', '"to": ""'),
            packed({"@type": STATUS, "@id": "s", "message_count": 1}, sender="someone"),
            packed(delivery),
            "no JSON",
            *texts("right"),
        )
        await until(lambda: agent.taken)
        assert agent.taken == ["right"]
        assert phones.figures.refused == 5
        assert "delivery-request" not in mediator.said


def nested_json(text: str) -> dict[str, object]:
    import json

    return dict(json.loads(text))


async def test_a_message_that_is_delivered_twice_is_taken_once() -> None:
    async with small_mediator("live") as mediator, all_phones("websocket") as phones:
        _, agent = await joined(phones, mediator)
        (one,) = texts("one")
        delivery = {"@type": DELIVERY, "@id": "e", "~attach": [{"@id": "7", "data": {"json": nested_json(one)}}]}
        await mediator.push(packed(delivery), packed(delivery), *texts("two"))
        await until(lambda: len(agent.taken) == 2)
        assert agent.taken == ["one", "two"]
        await until(lambda: mediator.said.count("messages-received") == 2)


async def test_a_mediator_that_forgets_nothing_is_not_asked_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with small_mediator("live") as mediator, all_phones("websocket") as phones:
        phone, agent = await joined(phones, mediator)
        await phone.go()
        mediator.kept += texts("one", "two")
        answers = mediator.answers

        def forgetting_nothing(question: dict[str, object]) -> list[str]:
            kept, answered = mediator.kept, answers(question)
            mediator.kept = kept
            return answered

        monkeypatch.setattr(mediator, "answers", forgetting_nothing)
        await asyncio.wait_for(phone.come(), 20)
        await until(lambda: mediator.said.count("messages-received") == 2)
        await until(lambda: "emptying" not in phone._tasks)
        assert (agent.taken, mediator.said.count("delivery-request")) == (["one", "two"], 2)


async def test_a_mediator_says_why_it_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "FIRST_PAUSE", 60.0)
    async with small_mediator("live") as mediator, all_phones("websocket") as phones:
        await joined(phones, mediator)
        for socket in list(mediator.sockets):
            await socket.close(code=1008, message=b"too many\x07 sockets")
        await until(lambda: phones.state()["problem"])
        assert phones.state()["problem"] == "it was closed by the mediator, with the code 1008 (too many sockets)"
        assert counts(phones.figures) == {"opened": 1, "dropped": 1}


@pytest.mark.parametrize("sent", [b"\x81\x02\xff\xff", b"\x82\x7f" + (2**40).to_bytes(8), b"\xff\xff"])
async def test_what_is_no_message_of_a_web_socket_ends_that_socket_alone(sent: bytes) -> None:
    async with small_mediator("live") as mediator, all_phones("websocket") as phones:
        await joined(phones, mediator)
        for socket in list(mediator.sockets):
            assert socket._req is not None and socket._req.transport is not None
            socket._req.transport.write(sent)
        await until(lambda: phones.figures.dropped == 1)
        await until(lambda: phones.state()["open"] == 1)


async def test_a_slow_answer_does_not_keep_an_http_link_from_being_opened_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(correspondence, "ANSWER", 0.2)
    async with small_mediator("live") as mediator, all_phones("http", polls_every=60) as phones:
        phone, _ = await joined(phones, mediator)
        await until(lambda: mediator.said.count("delivery-request") == 1)
        await phone.go()
        mediator.delay = 1.0
        coming = asyncio.create_task(phone.come())
        await until(lambda: phones.figures.unanswered == 1)
        mediator.delay = 0.0
        await asyncio.wait_for(coming, 20)


@pytest.mark.parametrize("mode", ["websocket", "http"])
async def test_a_phone_that_cannot_ask_asks_again(mode: str) -> None:
    async with small_mediator("queue") as mediator, all_phones(mode) as phones:
        _, agent = await joined(phones, mediator)
        send = agent.send

        async def failing(connection_id: str, message: dict[str, object]) -> None:
            agent.send = send  # type: ignore[method-assign]
            raise RuntimeError("the wallet is busy")

        agent.send = failing  # type: ignore[method-assign]
        await until(lambda: agent.send == send)
        mediator.kept += texts("one")
        await until(lambda: agent.taken == ["one"])


async def test_a_flood_and_a_message_without_end_drop_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correspondence, "MOST_WAITING", 20)
    async with small_mediator("implicit") as mediator, all_phones("websocket") as phones:
        _, agent = await joined(phones, mediator)
        gate = asyncio.Event()
        decipher = agent.decipher

        async def slow(payload: str | bytes) -> correspondence.Received:
            await gate.wait()
            return await decipher(payload)

        agent.decipher = slow  # type: ignore[method-assign]
        await mediator.push(*texts(*map(str, range(40))))
        await until(lambda: phones.figures.dropped == 1)
        gate.set()
        await until(lambda: phones.state()["open"] == 1)
        with contextlib.suppress(ConnectionError):  # the phone does not read it to its end
            await mediator.push("x" * (link.LONGEST_MESSAGE + 1))
        await until(lambda: phones.figures.dropped == 2)
        await until(lambda: phones.state()["open"] == 1)


async def test_more_than_a_hundred_sockets() -> None:
    async with small_mediator("live") as mediator, all_phones("websocket") as phones:
        await asyncio.gather(*(joined(phones, mediator, f"w{number}") for number in range(130)))
        assert len(mediator.sockets) == phones.state()["open"] == 130
        await phones.remove("w7")
        await until(lambda: len(mediator.sockets) == 129)
        assert phones.get("w7") is None and phones.state()["wanted"] == 129


async def test_a_wallet_that_is_removed_leaves_nothing_behind() -> None:
    async with small_mediator("queue") as mediator, all_phones("websocket") as phones:
        before = asyncio.all_tasks()
        for number in range(3):
            await joined(phones, mediator, f"w{number}")
        for number in range(3):
            await phones.remove(f"w{number}")
        await until(lambda: not mediator.sockets)
        left = {task for task in asyncio.all_tasks() - before if "pickup" in repr(task)}
        await until(lambda: all(task.done() for task in left if "SmallMediator" not in repr(task)))


@pytest.mark.parametrize("mode", ["websocket", "http"])
async def test_a_mediator_that_is_not_there_is_told(mode: str) -> None:
    async with all_phones(mode) as phones:
        mediator = SmallMediator("live")
        mediator.port = 1
        agent = HoldersAgent(("ws" if mode == "websocket" else "http") + mediator.url)
        phone = agent.phone = phones.add("w", agent)
        phone.meet("c", agent.url, frozenset({KEY}))
        phone.send("a request")
        with pytest.raises(LinkFailed, match=r"127\.0\.0\.1:1"):
            await asyncio.wait_for(phone.reached(), 20)
        assert phones.state()["wanted"] == 0
        with pytest.raises(LinkFailed, match="no mediator yet"):
            await phone.come()


async def test_after_a_restart_each_phone_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """One was away and stays so; the mediator of another cannot be found at first; one is needed before its turn."""
    monkeypatch.setattr(phones_module, "RETRIED", 0.1)
    async with small_mediator("live") as mediator, all_phones("websocket") as phones:
        failures = [RuntimeError("its DID cannot be resolved")]

        async def restore(wallet_id: str) -> None:
            if wallet_id == "lost" and failures:
                raise failures.pop()
            agent = HoldersAgent("ws" + mediator.url)
            agent.phone = phones.get(wallet_id) or phones.add(wallet_id, agent)
            agent.phone.restored("c", agent.url, frozenset({KEY}), is_away=wallet_id == "away")

        phones.restore(["lost", "away", "other", "removed"], restore)
        await phones.remove("removed")
        await phones.restored("other")
        assert phones.get("other") is not None
        await until(lambda: mediator.sockets and phones.state()["open"] == 2)
        away, removed = phones.get("away"), phones.get("removed")
        assert away is not None and removed is None and not failures
        assert counts(phones.figures) == {"reconnected": 2}
        await asyncio.wait_for(away.come(), 20)
        assert phones.state()["open"] == 3


async def test_what_cannot_be_sent_is_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    async with small_mediator("live") as mediator, all_phones("websocket") as phones:
        phone, _ = await joined(phones, mediator)
        await phone.go()
        for _ in range(link.MOST_UNSENT):
            phone.send("{}")
        with pytest.raises(LinkFailed, match="64 messages wait"):
            phone.send("{}")


async def test_wss_with_an_authority_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    mediator = SmallMediator("live")
    await mediator.start(context)
    async with all_phones("websocket") as phones:
        agent = HoldersAgent(f"wss://localhost:{mediator.port}/")
        its_phone = agent.phone = phones.add("w", agent)
        its_phone.meet("c", agent.url, frozenset({KEY}))
        with pytest.raises(LinkFailed, match="certificate"):
            await asyncio.wait_for(its_phone.reached(), 20)
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
        its_phone.meet("c", agent.url, frozenset({KEY}))
        await asyncio.wait_for(its_phone.reached(), 20)
        await asyncio.wait_for(its_phone.come(), 20)
    await mediator.stop()
