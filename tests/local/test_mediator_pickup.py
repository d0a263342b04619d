"""The reference mediator and phones: messages wait, come in bursts, and are given again until acknowledged."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from bare_phone import PICKUP, BarePhone, did_key
from reference_services import ReferenceServices

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
TEN = [f"message {number}" for number in range(10)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(reference: ReferenceServices) -> AsyncIterator[aiohttp.ClientSession]:
    tls = ssl.create_default_context(cafile=reference.settings["ca_file"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=0)) as session:
        yield session


@pytest_asyncio.fixture(loop_scope="module")
async def phone(reference: ReferenceServices, session: aiohttp.ClientSession) -> AsyncIterator[BarePhone]:
    """Connected, mediated, and with an open socket."""
    phone = BarePhone(session, reference.settings["mediator_did"])
    await phone.find_mediator()
    await phone.open()
    await phone.connect()
    yield phone
    await phone.close()


async def all_contents(phone: BarePhone, count: int) -> list[str]:
    """What the next deliveries hold, each acknowledged, in some order."""
    contents: list[str] = []
    while len(contents) < count:
        message = await phone.next()
        if message["@type"] == f"{PICKUP}delivery":
            opened = await phone.unpack(message)
            contents += [one["content"] for one in opened.values()]
            await phone.tell("messagepickup/2.0/messages-received", message_id_list=list(opened))
    return sorted(contents)


async def status_of(phone: BarePhone) -> dict[str, Any]:
    """The answer to a status request; what else was under way comes before it."""
    answer = await phone.ask("messagepickup/2.0/status-request")
    while answer["@type"] != f"{PICKUP}status":
        answer = await phone.next()
    return answer


async def until_kept(phone: BarePhone, count: int) -> None:
    """Return when the mediator keeps so many messages: it acts on what it is told when it comes to it."""
    for _ in range(100):
        kept = (await status_of(phone))["message_count"]
        if kept == count:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"the mediator keeps {kept} messages, not {count}")


async def test_public_did_names_https_first_and_a_socket(reference: ReferenceServices, phone: BarePhone) -> None:
    place = f"localhost:{reference.port}/mediator/didcomm"
    assert phone.endpoints == {"https": f"https://{place}", "wss": f"wss://{place}"}
    assert list(phone.endpoints) == ["https", "wss"]


async def test_burst_on_a_socket_comes_as_it_is(phone: BarePhone) -> None:
    await phone.is_sent(*TEN)
    assert sorted([(await phone.next())["content"] for _ in TEN]) == TEN


async def test_what_came_meanwhile_follows_the_first_word(phone: BarePhone) -> None:
    await phone.close()
    await phone.is_sent(*TEN)
    await phone.open()
    first = await phone.ask("trust_ping/1.0/ping")
    assert first["@type"].endswith("/ping_response")
    assert sorted([(await phone.next())["content"] for _ in TEN]) == TEN


async def test_live_delivery(phone: BarePhone) -> None:
    status = await phone.ask("messagepickup/2.0/live-delivery-change", live_delivery=True)
    assert (status["@type"], status["message_count"], status["live_delivery"]) == (f"{PICKUP}status", 0, True)
    await phone.is_sent(*TEN)
    assert await all_contents(phone, 10) == TEN
    await until_kept(phone, 0)


async def test_what_is_not_acknowledged_is_given_again(phone: BarePhone) -> None:
    await phone.ask("messagepickup/2.0/live-delivery-change", live_delivery=True)
    await phone.is_sent(*TEN)
    seen = [await phone.unpack(await phone.next()) for _ in TEN]
    await phone.tell("messagepickup/2.0/messages-received", message_id_list=[*seen[0], *seen[1]])
    await phone.close()

    await phone.open()
    await until_kept(phone, 8)
    status = await phone.ask("messagepickup/2.0/live-delivery-change", live_delivery=True)
    assert status["message_count"] == 8
    assert status["longest_waited_seconds"] >= 0 and status["total_bytes"] > 0
    await phone.tell("messagepickup/2.0/delivery-request", limit=5)
    assert await all_contents(phone, 5) == sorted(one["content"] for opened in seen[2:7] for one in opened.values())
    await until_kept(phone, 3)
    await phone.tell("messagepickup/2.0/delivery-request", limit=5)
    assert await all_contents(phone, 3) == sorted(one["content"] for opened in seen[7:] for one in opened.values())
    empty = await phone.ask("messagepickup/2.0/delivery-request", limit=5)
    while empty.get("message_count"):
        empty = await phone.next()
    assert empty["message_count"] == 0


async def test_without_live_delivery_nothing_comes_unasked(phone: BarePhone) -> None:
    assert (await status_of(phone))["live_delivery"] is False
    await phone.is_sent(*TEN)
    await until_kept(phone, 10)
    assert (await status_of(phone))["message_count"] == 10
    await phone.tell("messagepickup/2.0/delivery-request", limit=100)
    assert await all_contents(phone, 10) == TEN


async def test_messages_for_a_key_are_asked_for_by_this_key(phone: BarePhone) -> None:
    await status_of(phone)
    await phone.is_sent("one")
    await until_kept(phone, 1)
    for key, count in ((phone.pairwise, 1), (did_key(phone.pairwise), 1), ("did:key:zNothing", 0), (TEN[0], 0)):
        status = await phone.ask("messagepickup/2.0/status-request", recipient_key=key)
        assert (status["message_count"], status["recipient_key"]) == (count, key)
    delivered = await phone.ask("messagepickup/2.0/delivery-request", limit=1, recipient_key=phone.pairwise)
    assert [one["content"] for one in (await phone.unpack(delivered)).values()] == ["one"]


async def test_a_socket_that_is_dead_takes_no_messages_from_the_new_one(phone: BarePhone) -> None:
    phone.vanish()
    await phone.open()
    assert (await phone.ask("trust_ping/1.0/ping"))["@type"].endswith("/ping_response")
    await phone.is_sent(*TEN)
    assert sorted([(await phone.next())["content"] for _ in TEN]) == TEN


async def test_pickup_by_post(phone: BarePhone) -> None:
    await phone.close()
    refused = await phone.ask("messagepickup/2.0/live-delivery-change", live_delivery=True)
    assert refused["description"]["code"] == "e.m.live-mode-not-supported"
    await phone.is_sent(*TEN)
    await until_kept(phone, 10)
    first = await phone.unpack(await phone.ask("messagepickup/2.0/delivery-request", limit=3))
    again = await phone.unpack(await phone.ask("messagepickup/2.0/delivery-request", limit=3))
    assert list(first) == list(again), "messages were forgotten before they were acknowledged"
    status = await phone.ask("messagepickup/2.0/messages-received", message_id_list=[*first, "unknown"])
    assert status["message_count"] == 7
    rest = await phone.unpack(await phone.ask("messagepickup/2.0/delivery-request", limit=100))
    assert sorted(one["content"] for one in [*first.values(), *rest.values()]) == TEN
    await phone.open()


async def test_by_post_each_word_brings_one_message(phone: BarePhone) -> None:
    await phone.close()
    await phone.is_sent("one", "two")
    came: list[dict[str, Any]] = []
    while len(came) < 2:
        if message := await phone.tell("trust_ping/1.0/ping", response_requested=False):
            came.append(message)
    assert sorted(one["content"] for one in came) == ["one", "two"]
    await phone.open()


@pytest.mark.parametrize("fields", [{}, {"limit": 0}, {"limit": "x"}, {"limit": -1}])
async def test_a_request_that_is_none_is_answered_with_a_problem(phone: BarePhone, fields: dict[str, Any]) -> None:
    answer = await phone.ask("messagepickup/2.0/delivery-request", **fields)
    assert answer["@type"].endswith("/problem-report")
    assert (await status_of(phone))["message_count"] == 0


async def test_mediator_tells_sockets_and_messages_that_wait(reference: ReferenceServices, phone: BarePhone) -> None:
    def now() -> dict[str, Any]:
        return reference.get("/mediator/status")

    before = await asyncio.to_thread(now)
    assert before["sockets"] >= 1
    await status_of(phone)
    await phone.is_sent("one")
    await until_kept(phone, 1)
    after = await asyncio.to_thread(now)
    assert after["waiting"] == before["waiting"] + 1
    assert after["dropped"] == 0
    assert after["forwarded"] == before["forwarded"] + 1
