"""Events are matched by topic and values, whether they come before or after one asks."""

from __future__ import annotations

import asyncio

import pytest

from controller.agents.acapy_wallet import TOPICS
from controller.agents.inbox import ASIDE, Inbox, Overflow, Topic
from stampede.schema.errors import AgentDied


async def test_an_event_may_come_before_or_after() -> None:
    inbox = Inbox()
    inbox.deliver("connections", {"connection_id": "1", "state": "active", "big": "x" * 10_000})
    assert await inbox.expect("connections", "active", connection_id="1") == {"connection_id": "1", "state": "active"}
    waiting = asyncio.create_task(inbox.expect("connections", "active", connection_id="2"))
    await asyncio.sleep(0)
    inbox.deliver("connections", {"connection_id": "1", "state": "active"})
    inbox.deliver("connections", {"connection_id": "2", "state": "response"})
    inbox.deliver("connections", {"connection_id": "2", "state": "active"})
    assert (await waiting)["connection_id"] == "2"


async def test_each_event_is_taken_once() -> None:
    inbox = Inbox()
    inbox.deliver("revocation-notification-v2", {"credential_id": "a"})
    inbox.deliver("revocation-notification-v2", {"credential_id": "b"})
    taken = [(await inbox.expect("revocation-notification-v2"))["credential_id"] for _ in range(2)]
    assert taken == ["a", "b"]


async def test_a_cut_off_wait_tells_the_state_last_seen() -> None:
    inbox = Inbox()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            waiting = asyncio.ensure_future(inbox.expect("present_proof_v2_0", "done", thread_id="t"))
            await asyncio.sleep(0)
            inbox.deliver("present_proof_v2_0", {"thread_id": "t", "state": "presentation-sent"})
            await waiting
    assert inbox.cut_off == "waited for present_proof_v2_0 done, last saw presentation-sent"


async def test_states_seen_before_asking_are_told_too() -> None:
    inbox = Inbox()
    inbox.deliver("connections", {"connection_id": "1", "state": "request"})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await inbox.expect("connections", "active", connection_id="1")
    assert inbox.cut_off.endswith("last saw request")


async def test_a_dead_agent_fails_all_who_wait() -> None:
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.expect("connections"))
    await asyncio.sleep(0)
    inbox.fail(AgentDied("agent-0 ended with signal 9"))
    with pytest.raises(AgentDied, match="signal 9"):
        await waiting


async def test_what_nobody_asks_for_does_not_pile_up() -> None:
    inbox = Inbox(limit=24)
    for number in range(1000):
        inbox.deliver("connections", {"connection_id": str(number), "state": "active"})
        inbox.deliver("unknown_topic", {"x": number})
        inbox.deliver("issue_credential_v2_0", {"state": "deleted"})
    assert sum(map(len, inbox._kept.values())) == 24


async def taken(inbox: Inbox, topic: str, *states: str, **values: object) -> dict[str, object]:
    """What is there already."""
    async with asyncio.timeout(0.01):
        return await inbox.expect(topic, *states, **values)


class TestNothingIsLost:
    async def test_behind_a_hundred_others(self) -> None:
        inbox = Inbox(TOPICS)
        inbox.deliver("revocation-notification-v2", {"credential_id": "registry::7"})
        for number in range(100):
            for state in ("request", "response", "active", "completed"):
                inbox.deliver("connections", {"connection_id": f"c{number}", "state": state})
        assert await taken(inbox, "revocation-notification-v2", credential_id={"registry::7"})
        assert (await taken(inbox, "connections", "active", connection_id="c0"))["connection_id"] == "c0"

    async def test_of_one_kind_by_another_even_when_it_is_full(self) -> None:
        inbox = Inbox(TOPICS, limit=4)
        inbox.deliver("revocation-notification-v2", {"credential_id": "registry::7"})
        for number in range(20):
            inbox.deliver("connections", {"connection_id": f"c{number}", "state": "active"})
        assert await taken(inbox, "revocation-notification-v2", credential_id={"registry::7"})
        assert (await taken(inbox, "connections", "active", connection_id="c19"))["connection_id"] == "c19"

    async def test_when_its_waiter_is_cancelled_in_the_same_moment(self) -> None:
        for topics in ({}, TOPICS):
            inbox = Inbox(topics)
            waiting = asyncio.create_task(inbox.expect("connections", "active", connection_id="1"))
            await asyncio.sleep(0)
            inbox.deliver("connections", {"connection_id": "1", "state": "active"})
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (await taken(inbox, "connections", "active", connection_id="1"))["state"] == "active"

    async def test_but_goes_to_another_waiter_when_one_is_cancelled_in_the_same_moment(self) -> None:
        inbox = Inbox(TOPICS)
        offers = [
            asyncio.create_task(inbox.expect("issue_credential_v2_0", "offer-received", connection_id="1"))
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        inbox.deliver("issue_credential_v2_0", {"connection_id": "1", "cred_ex_id": "a", "state": "offer-received"})
        offers[0].cancel()
        assert (await asyncio.wait_for(offers[1], 1))["cred_ex_id"] == "a"

    async def test_for_a_step_that_asks_again_after_its_timeout(self) -> None:
        inbox = Inbox(TOPICS)
        with pytest.raises(TimeoutError):
            await taken(inbox, "connections", "active", connection_id="1")
        inbox.deliver("connections", {"connection_id": "1", "state": "active"})
        assert await taken(inbox, "connections", "active", connection_id="1")


class TestExchanges:
    async def test_what_ends_one_is_not_taken_for_the_next(self) -> None:
        """An exchange that a step gave up is abandoned later: the step that awaits the next offer does not see it."""
        inbox = Inbox(TOPICS)
        topic = "issue_credential_v2_0"
        inbox.deliver(topic, {"connection_id": "1", "cred_ex_id": "a", "state": "offer-received"})
        await taken(inbox, topic, "offer-received", "abandoned", connection_id="1")
        with pytest.raises(TimeoutError):
            await taken(inbox, topic, "done", "abandoned", cred_ex_id="a")
        inbox.deliver(topic, {"connection_id": "1", "cred_ex_id": "a", "state": "abandoned"})
        waiting = asyncio.create_task(inbox.expect(topic, "offer-received", "abandoned", connection_id="1"))
        await asyncio.sleep(0)
        inbox.deliver(topic, {"connection_id": "1", "cred_ex_id": "a", "state": "abandoned"})
        inbox.deliver(topic, {"connection_id": "1", "cred_ex_id": "b", "state": "offer-received"})
        assert (await asyncio.wait_for(waiting, 1))["cred_ex_id"] == "b"

    async def test_the_waiter_of_an_exchange_comes_before_that_of_its_connection(self) -> None:
        inbox = Inbox(TOPICS)
        topic = "issue_credential_v2_0"
        next_offer = asyncio.create_task(inbox.expect(topic, "offer-received", "abandoned", connection_id="1"))
        await asyncio.sleep(0)
        end = asyncio.create_task(inbox.expect(topic, "done", "abandoned", cred_ex_id="a"))
        await asyncio.sleep(0)
        inbox.deliver(topic, {"connection_id": "1", "cred_ex_id": "a", "state": "abandoned"})
        assert (await asyncio.wait_for(end, 1))["state"] == "abandoned"
        assert not next_offer.done()
        next_offer.cancel()

    async def test_what_is_over_leaves_nothing_that_fills_the_inbox(self) -> None:
        """Connections that tell `completed` after `active`, requests that an invitation brought."""
        lost: list[str] = []
        overflow = Overflow(lost.append)
        inbox = Inbox(TOPICS, limit=10, overflow=overflow)
        for number in range(1000):
            inbox.deliver("connections", {"connection_id": f"c{number}", "state": "active"})
            await taken(inbox, "connections", "active", "completed", connection_id=f"c{number}")
            inbox.deliver("connections", {"connection_id": f"c{number}", "state": "completed"})
            inbox.deliver("present_proof_v2_0", {"thread_id": f"t{number}", "state": "request-received"})
            inbox.deliver("present_proof_v2_0", {"thread_id": f"t{number}", "state": "done"})
            await taken(inbox, "present_proof_v2_0", "done", thread_id=f"t{number}")
        assert (overflow.lost, lost) == (0, [])
        assert sum(map(len, inbox._kept.values())) == 0 and len(inbox._aside) <= ASIDE

    async def test_the_last_state_is_told_though_no_step_awaits_it(self) -> None:
        inbox = Inbox({"t": Topic("t", exchange="id", awaited=frozenset({"done"}))})
        inbox.deliver("t", {"id": "1", "state": "half-way"})
        with pytest.raises(TimeoutError):
            await taken(inbox, "t", "done", id="1")
        assert inbox.cut_off == "waited for t done, last saw half-way"


class TestOverflow:
    async def test_counts_once_a_step_awaits_what_was_dropped(self) -> None:
        told: list[str] = []
        overflow = Overflow(told.append)
        inbox = Inbox(TOPICS, limit=3, overflow=overflow)
        for number in range(5):
            inbox.deliver("revocation-notification-v2", {"credential_id": f"registry::{number}"})
        assert (overflow.lost, told) == (0, [])  # a script that never awaits any misses nothing
        assert await taken(inbox, "revocation-notification-v2", credential_id={"registry::4"})
        assert overflow.lost == 2
        (sentence,) = told
        assert "revocation-notification-v2" in sentence and "stampede_inbox_limit" in sentence
        for number in range(5, 9):
            inbox.deliver("revocation-notification-v2", {"credential_id": f"registry::{number}"})
        assert (overflow.lost, len(told)) == (5, 1)

    async def test_is_of_all_holders_of_a_host_together(self) -> None:
        overflow = Overflow()
        for _ in range(3):
            inbox = Inbox(TOPICS, limit=1, overflow=overflow)
            for number in range(2):
                inbox.deliver("connections", {"connection_id": f"{number}", "state": "active"})
        overflow.awaited("connections")
        assert overflow.lost == 3
