"""What the issuer says over its connections: its menu, a question, and answers to messages."""

import logging
from collections.abc import Callable
from typing import Any

from .agent import Agent, AgentError

LOGGER = logging.getLogger(__name__)
ASKED_FOR_MENU = "actionmenu::get-active-menu"
EVENTS = f"{ASKED_FOR_MENU} actionmenu::perform-menu-action questionanswer::answered basicmessage::received"
MENU = {
    "title": "Your membership",
    "description": "What the issuer can do for you",
    "options": [
        {
            "name": "renew",
            "title": "Renew your card",
            "form": {
                "title": "Renew your card",
                "params": [{"name": "name", "title": "Name on the card", "type": "text", "required": True}],
                "submit-label": "Renew",
            },
        },
        {"name": "call", "title": "Have us call you"},
    ],
}
QUESTION = {"text": "Are you on the phone with us?", "answers": ["Yes", "No"]}


class Conversation:
    """Answers over connections."""

    def __init__(self, agent: Agent, renew: Callable[[str, str], None]) -> None:
        """`renew` is called with the connection's id and the name that the new credential is to have."""
        self._agent = agent
        self._renew = renew

    async def on_event(self, topic: str, payload: dict[str, Any]) -> None:
        """Answer what a holder has said."""
        connection_id = payload.get("connection_id", "")
        try:
            match topic:
                case "actionmenu::get-active-menu":
                    await self.send_menu(connection_id)
                case "actionmenu::perform-menu-action":
                    await self._perform(connection_id, payload["action_name"], payload["action_params"])
                case "questionanswer::answered":
                    await self._say(connection_id, f"You answered: {payload['response']}")
                case "basicmessage::received":
                    await self._say(connection_id, f"You said: {payload['content']}")
        except AgentError as err:
            LOGGER.warning("%s of connection %s was not answered: %s", topic, connection_id, err)

    async def send_menu(self, connection_id: str) -> None:
        """Send the menu."""
        await self._agent.post(f"/action-menu/{connection_id}/send-menu", {"menu": MENU})

    async def _perform(self, connection_id: str, action: str, values: dict[str, str]) -> None:
        match action:
            case "renew":
                self._renew(connection_id, values.get("name", ""))
            case "call":
                await self._agent.post(f"/reference/question/{connection_id}", QUESTION)
            case _:
                LOGGER.warning("connection %s chose %r, which the menu does not have", connection_id, action)

    async def _say(self, connection_id: str, text: str) -> None:
        await self._agent.post(f"/connections/{connection_id}/send-message", {"content": text})
