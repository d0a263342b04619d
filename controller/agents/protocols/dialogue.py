"""What the other side says over a connection: texts, menus and questions (Aries RFCs 0095, 0509, 0113).

The plugin ``controller.dialogue`` in the agent tells of them, and sends what is chosen and answered.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.agents.inbox import Event, Topic
from controller.agents.menu import Menu, read_menu
from controller.agents.protocols.tenant import Tenant
from controller.agents.protocols.topics import Topics
from controller.agents.question import Question, read_question
from controller.agents.wallet import Connection
from stampede.schema.errors import BadMessage


class Dialogue(Tenant):
    """Answers to basic messages, menus, and questions."""

    __slots__ = ()

    async def receive_message(self, connection: Connection) -> str:
        """See Wallet."""
        return str((await self._heard(Topics.text, connection))["content"])

    async def request_menu(self, connection: Connection) -> None:
        """See Wallet."""
        await self._post(f"/action-menu/{connection.connection_id}/request")

    async def receive_menu(self, connection: Connection) -> Menu:
        """See Wallet."""
        event = await self._heard(Topics.menu, connection)
        return read_menu(event["menu"], event.get("thread_id", ""))

    async def choose_action(self, connection: Connection, menu: Menu, name: str, values: Mapping[str, str]) -> None:
        """See Wallet."""
        body = {"thread_id": menu.thread_id, "name": name, "params": dict(values)}
        await self._post(f"/dialogue/{connection.connection_id}/perform", body=body)

    async def receive_question(self, connection: Connection) -> Question:
        """See Wallet."""
        event = await self._heard(Topics.question, connection)
        return read_question(event["question"], connection, event.get("thread_id", ""))

    async def answer_question(self, question: Question, answer: str) -> None:
        """See Wallet."""
        body = {"thread_id": question.thread_id, "response": answer}
        await self._post(f"/dialogue/{question.connection.connection_id}/answer", body=body)

    async def _heard(self, topic: Topic, connection: Connection) -> Event:
        """The next event of a topic over a connection. Raises BadMessage when the agent cannot read the message."""
        event = await self._expect(topic, connection_id=connection.connection_id)
        if why := event.get("unreadable"):
            what = {Topics.menu: "menu", Topics.question: "question"}.get(topic, "basic message")
            raise BadMessage(f"a {what} of the other agent cannot be read: {why}")
        return event
