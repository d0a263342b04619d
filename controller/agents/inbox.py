"""What a wallet's agent announced, and who waits for it: events matched by topic and values, in one place."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

BACKLOG = 24
"""Events kept per wallet for those who will only ask for them later."""

KEPT_TOPICS = frozenset(
    {
        "connections",
        "issue_credential_v2_0",
        "issue_credential_v2_0_anoncreds",
        "issue_credential_v2_0_indy",
        "present_proof_v2_0",
        "revocation-notification",
        "revocation-notification-v2",
        "mediation",
        "ping",
        "problem_report",
    }
)
STORED_TOPICS = frozenset({"issue_credential_v2_0_anoncreds", "issue_credential_v2_0_indy"})
KEPT_FIELDS = (
    "connection_id",
    "state",
    "rfc23_state",
    "my_did",
    "their_did",
    "invitation_msg_id",
    "error_msg",
    "cred_ex_id",
    "thread_id",
    "cred_id_stored",
    "rev_reg_id",
    "cred_rev_id",
    "pres_ex_id",
    "verified",
    "credential_id",
    "mediation_id",
    "role",
)

type Event = dict[str, Any]


class _Waiter:
    __slots__ = ("future", "last_state", "states", "topic", "values")

    def __init__(self, topic: str, values: Mapping[str, Any], states: frozenset[str]) -> None:
        self.topic = topic
        self.values = values
        self.states = states
        self.last_state = ""
        self.future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

    def takes(self, topic: str, event: Event) -> bool:
        if topic != self.topic or any(event.get(key) != value for key, value in self.values.items()):
            return False
        state = str(event.get("state") or "")
        if self.states and state not in self.states:
            self.last_state = state
            return False
        return True


class Inbox:
    """The events of one wallet."""

    __slots__ = ("_backlog", "_waiters", "cut_off")

    def __init__(self) -> None:
        self._backlog: deque[tuple[str, Event]] = deque(maxlen=BACKLOG)
        self._waiters: list[_Waiter] = []
        self.cut_off = ""

    def deliver(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Hand an event to the first who waits for it, or keep it for who will."""
        if topic not in KEPT_TOPICS or payload.get("state") == "deleted":
            return
        if topic in STORED_TOPICS and not payload.get("cred_id_stored"):
            return  # comes with the request too, before there is a credential
        event = {key: payload[key] for key in KEPT_FIELDS if payload.get(key) is not None}
        for waiter in self._waiters:
            if not waiter.future.done() and waiter.takes(topic, event):
                waiter.future.set_result(event)
                return
        self._backlog.append((topic, event))

    async def expect(self, topic: str, *states: str, **values: Any) -> Event:
        """The next event of ``topic`` whose fields equal ``values`` and whose state is one of ``states``
        (any state when none is named). Events that came before the call count too.

        When a timeout cancels the wait, ``cut_off`` tells what was waited for and what was seen last.
        """
        waiter = _Waiter(topic, values, frozenset(states))
        for entry in self._backlog:
            if waiter.takes(*entry):
                self._backlog.remove(entry)
                return entry[1]
        self._waiters.append(waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            wanted = f"{topic} {states[0] if states else ''}".rstrip()
            self.cut_off = f"waited for {wanted}, last saw {waiter.last_state or 'nothing'}"
            raise
        finally:
            self._waiters.remove(waiter)

    def fail(self, error: Exception) -> None:
        """Fail all who wait, such as when the agent died."""
        for waiter in self._waiters:
            if not waiter.future.done():
                waiter.future.set_exception(error)
