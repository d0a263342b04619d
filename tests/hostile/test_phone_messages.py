"""Whatever comes over the link to a mediator, in whatever form: the next message is taken, and pickup is the
mediator's alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from controller.pickup.correspondence import DELIVERY, DELIVERY_REQUEST, PICKUP, STATUS, Correspondence, Received
from controller.pickup.figures import Figures
from controller.pickup.link import Payload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["@type", "@id", "~attach", "~thread", "message_count", "data", "base64", "json", "live_delivery"]
)
KINDS = st.sampled_from([STATUS, DELIVERY, PICKUP, PICKUP + "status-request", "https://didcomm.org/x/1.0/y", ""])
MESSAGES = st.dictionaries(NAMES, JSON, max_size=6).flatmap(
    lambda message: KINDS.map(lambda kind: {**message, "@type": kind}) | st.just(message)
)
ATTACHMENTS = st.lists(st.dictionaries(st.sampled_from(["@id", "data", "x"]), JSON, max_size=3), max_size=4) | JSON


class OddAgent:
    """An agent that unpacks JSON, and has it from whom the message says."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.sent: list[dict[str, Any]] = []

    async def send(self, connection_id: str, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def decipher(self, payload: Payload) -> Received:
        found = json.loads(payload)
        return Received(found["message"], found["from"], "the holder", str(found["message"].get("@id")))

    def take(self, received: Received) -> None:
        self.taken.append(received.message)


def took(*payloads: Payload, asks: str = "") -> tuple[OddAgent, Figures]:
    """What an agent has taken after these, and after a last one that is right."""
    agent, figures = OddAgent(), Figures()
    last = {"@type": "x/1.0/last", "@id": "last"}

    async def main() -> None:
        correspondence = Correspondence(agent, figures)
        correspondence.mediator_keys = frozenset({"mediator"})
        asking = asyncio.create_task(correspondence.ask(asks)) if asks else None
        await asyncio.sleep(0)
        for payload in (*payloads, json.dumps({"from": "someone", "message": last})):
            correspondence.arrived(payload)
        async with asyncio.timeout(10):
            while last not in agent.taken:
                await asyncio.sleep(0)
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(main())
    return agent, figures


@pytest.mark.fuzz
@given(MESSAGES, ATTACHMENTS, st.sampled_from(["mediator", "someone", ""]), st.sampled_from(["", DELIVERY_REQUEST]))
def test_the_next_message_is_taken(message: Any, attachments: Any, sender: str, asks: str) -> None:
    message = message | {"~attach": attachments} if isinstance(message, dict) else message
    agent, _ = took(json.dumps({"from": sender, "message": message}), asks=asks)
    if sender != "mediator":
        assert not [each for each in agent.sent if each["@type"] != asks]
        assert not [each for each in agent.taken if str(each.get("@type")).startswith(PICKUP)]


@pytest.mark.parametrize("payload", ["", "{", "[]", "null", b"\xff\xfe", '{"message": 7}', '{"from": "mediator"}'])
def test_what_is_no_message_is_counted(payload: Payload) -> None:
    agent, figures = took(payload)
    assert (len(agent.taken), figures.refused) == (1, 1)


@pytest.mark.parametrize(
    "attachment",
    [{}, {"@id": "1"}, {"@id": "1", "data": {}}, {"@id": "1", "data": {"base64": 7}}, {"@id": "1", "data": None}, 7],
)
def test_a_delivery_with_an_attachment_that_is_none(attachment: Any) -> None:
    right = {"@id": "2", "data": {"json": {"from": "someone", "message": {"@type": "x/1.0/y", "@id": "2"}}}}
    delivery = {"@type": DELIVERY, "@id": "d", "~attach": [attachment, right]}
    agent, figures = took(json.dumps({"from": "mediator", "message": delivery}))
    assert figures.refused == 1
    assert [message["@id"] for message in agent.taken] == ["2", "last"], "one that is odd does not spoil the others"
    (received,) = agent.sent
    assert "2" in received["message_id_list"]
