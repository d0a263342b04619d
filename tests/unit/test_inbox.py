"""Events are matched by topic and values, whether they come before or after one asks."""

from __future__ import annotations

import asyncio

import pytest

from controller.agents.inbox import BACKLOG, Inbox
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
    inbox = Inbox()
    for number in range(1000):
        inbox.deliver("connections", {"connection_id": str(number), "state": "active"})
        inbox.deliver("unknown_topic", {"x": number})
        inbox.deliver("issue_credential_v2_0", {"state": "deleted"})
    assert len(inbox._backlog) == BACKLOG
