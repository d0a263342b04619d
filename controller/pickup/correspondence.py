"""What a phone and its mediator say to each other, and the messages of others that come the same way."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

from controller.pickup.figures import Figures
from controller.pickup.link import LinkFailed, Payload

LOGGER = logging.getLogger(__name__)

PICKUP = "https://didcomm.org/messagepickup/2.0/"
STATUS, DELIVERY = PICKUP + "status", PICKUP + "delivery"
DELIVERY_REQUEST = PICKUP + "delivery-request"
ANSWER = 5.0
"""Seconds within which the mediator must answer; a link on which it does not answer a greeting is opened anew."""
MOST_WAITING = 500
"""Messages that have come and are not taken yet; together they may have LARGEST_WAITING bytes."""
LARGEST_WAITING = 32 * 1024 * 1024
MOST_ASKED = 16
"""Messages to the mediator whose answers are awaited."""
REMEMBERED = 64
"""Delivered messages that are known should they be delivered again."""

type Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Received:
    """A message that was deciphered. ``sender`` and ``recipient`` are keys, empty when the message was not packed."""

    message: Json
    sender: str
    recipient: str
    thread: str
    token: Any = None
    """What the agent needs to take it."""

    @property
    def kind(self) -> str:
        """Its type; empty when it has none."""
        found = self.message.get("@type")
        return found if isinstance(found, str) else ""


class Agent(Protocol):
    """The agent of the phone's wallet."""

    async def send(self, connection_id: str, message: Json) -> None:
        """Send a message over a connection."""

    async def decipher(self, payload: Payload) -> Received:
        """Unpack a message for one of the wallet's keys. Raises when that cannot be done."""

    def take(self, received: Received) -> None:
        """Have a message handled, as if it had come to a port."""


class Correspondence:
    """One wallet's. Everything that comes is taken one after the other, in the order in which it came."""

    __slots__ = (
        "_agent", "_asked", "_delivered", "_figures", "_incoming", "_incoming_size", "_routes", "_taking", "arrivals",
        "connection_id", "last_arrival", "mediator_keys", "message_came", "messages",
    )  # fmt: skip

    def __init__(self, agent: Agent, figures: Figures) -> None:
        self._agent = agent
        self._figures = figures
        self._asked: dict[str, tuple[str, asyncio.Future[Json]]] = {}
        self._routes: dict[str, asyncio.Future[None]] = {}
        self._delivered: deque[str] = deque(maxlen=REMEMBERED)
        self._incoming: deque[Payload] = deque()
        self._incoming_size = 0
        self._taking: asyncio.Task[None] | None = None
        self.connection_id = ""
        """Of the connection to the mediator."""
        self.mediator_keys: frozenset[str] = frozenset()
        """By which the mediator packs what it says itself."""
        self.arrivals = 0
        """Messages taken, of whomever."""
        self.last_arrival = 0.0
        """When the last one was; ``time.monotonic``."""
        self.message_came = asyncio.Event()
        """Set with each message that is no answer of the mediator; to be cleared by who waits."""
        self.messages = 0
        """How many of those there were."""

    async def say(self, kind: str, **fields: Any) -> None:
        """Send the mediator a message."""
        await self._agent.send(self.connection_id, _message(kind, fields))

    async def ask(self, kind: str, **fields: Any) -> Json | None:
        """Send the mediator a message and return its answer; None when none comes in time."""
        return await self.ask_by(_message(kind, fields), ANSWER)

    async def ask_by(self, message: Json, within: float) -> Json | None:
        """As ``ask``, by a message that is there already; the answer must come ``within`` seconds."""
        message_id, answered = message["@id"], asyncio.get_running_loop().create_future()
        self._asked[message_id] = message["@type"], answered
        if len(self._asked) > MOST_ASKED:
            del self._asked[next(iter(self._asked))]
        try:
            async with asyncio.timeout(within):
                await self._agent.send(self.connection_id, message)
                answer: Json = await answered
                return answer
        except TimeoutError:
            return None
        finally:
            self._asked.pop(message_id, None)

    def follow(self, update: Json) -> None:
        """Await the answer to a keylist update (RFC 0211) that the agent sends by itself."""
        self._routes[update["@id"]] = asyncio.get_running_loop().create_future()
        if len(self._routes) > MOST_ASKED:
            self._routes.pop(next(iter(self._routes))).cancel()

    async def routed(self, within: float) -> None:
        """Return when the mediator has answered every keylist update, or after ``within`` seconds."""
        if not (asked := dict(self._routes)):
            return
        await asyncio.wait(asked.values(), timeout=within)
        for message_id, answered in asked.items():
            if not answered.done():
                LOGGER.warning("the mediator did not answer a keylist update within %g s", within)
                self._routes.pop(message_id, answered).cancel()

    def arrived(self, payload: Payload) -> None:
        """Take a message soon. Raises LinkFailed when too many wait already."""
        if len(self._incoming) >= MOST_WAITING or self._incoming_size + len(payload) > LARGEST_WAITING:
            raise LinkFailed("messages came faster than they could be taken")
        self._incoming.append(payload)
        self._incoming_size += len(payload)
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take_all())

    async def end(self) -> None:
        """Take no more."""
        self._incoming.clear()
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)

    async def take_delivery(self, attachments: Any) -> int:
        """Take the messages in a delivery (RFC 0685), tell the mediator so, and return how many were new."""
        ids, new = [], 0
        for attachment in attachments if isinstance(attachments, list) else []:
            identifier = str(attachment.get("@id")) if isinstance(attachment, dict) else ""
            ids += [identifier] if identifier else []  # an odd one, too: it would be delivered again and again
            if identifier not in self._delivered:
                self._delivered += [identifier] if identifier else []
                new += bool(identifier)
                await self._take(_attached(attachment), is_delivered=True)
        if ids:
            await self.say(PICKUP + "messages-received", message_id_list=ids)
        return new

    async def _take_all(self) -> None:
        while self._incoming:
            payload = self._incoming.popleft()
            self._incoming_size -= len(payload)
            await self._take(payload)

    async def _take(self, payload: Payload, is_delivered: bool = False) -> None:
        """Take a message; what is wrong with one must not keep the next from coming."""
        try:
            received = await self._agent.decipher(payload)
            if not received.recipient:
                raise ValueError("it is not encrypted")
            is_of_mediator = received.sender in self.mediator_keys
            if received.kind.startswith(PICKUP) and (is_delivered or not is_of_mediator):
                raise ValueError(f"it is a {received.kind} of someone else than the mediator")
            question = self._question_of(received) if is_of_mediator else None
            if is_of_mediator and received.kind.endswith("/keylist-update-response"):
                self._note_routed(received.thread)
            self.arrivals += 1
            self.last_arrival = time.monotonic()
            if question is not None:
                question.set_result(received.message)
            elif received.kind == DELIVERY:
                await self.take_delivery(received.message.get("~attach"))
            elif not received.kind.startswith(PICKUP):
                self.messages += 1
                self.message_came.set()
                self._agent.take(received)
        except Exception as error:
            self._figures.refused += 1
            LOGGER.warning("a message that came over the link to the mediator was not taken: %r", error)

    def _note_routed(self, thread: str) -> None:
        """An update is answered: that of the thread, else the first. Some mediators answer without a thread."""
        message_id = thread if thread in self._routes else next(iter(self._routes), "")
        answered = self._routes.pop(message_id, None)
        if answered is not None and not answered.done():
            answered.set_result(None)

    def _question_of(self, received: Received) -> asyncio.Future[Json] | None:
        """What a message of the mediator answers; None when nothing. Some mediators answer without a thread."""
        by_thread = self._asked.get(received.thread)
        fitting = [by_thread] if by_thread else []
        if received.kind == STATUS:
            fitting += [asked for asked in self._asked.values() if asked[0].startswith(PICKUP)]
        elif received.kind == DELIVERY:
            fitting += [asked for asked in self._asked.values() if asked[0] == DELIVERY_REQUEST]
        return next((answer for _, answer in fitting if not answer.done()), None)


def _message(kind: str, fields: Json) -> Json:
    return {"@type": kind, "@id": f"{random.getrandbits(128):032x}", **fields}


def _attached(attachment: Any) -> Payload:
    """The message in an attachment; empty when there is none. RFC 0685 has it in base64, Credo sends it as JSON."""
    data = attachment.get("data") if isinstance(attachment, dict) else None
    if not isinstance(data, dict):
        return ""
    if "json" in data:
        return json.dumps(data["json"])
    text = str(data.get("base64", "")).replace("+", "-").replace("/", "_")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return ""
