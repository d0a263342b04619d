"""Simulated wallets and services, for the dry run and pacing tests. They measure nothing real."""

from __future__ import annotations

import asyncio
import copy
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controller.agents.menu import Menu, MenuOption
from controller.agents.question import Question
from controller.agents.wallet import Connection, Credential, Presentation
from controller.services.interface import Answered, Result, Verdict
from controller.services.invitation import Json
from stampede.schema.errors import StepError
from stampede.schema.settings.request_settings import ScriptRequest
from stampede.schema.settings.service_settings import Service

ASSUMED_SECONDS = {
    "connect_to_mediator": 0.5,
    "disconnect": 0.02,
    "reconnect": 0.2,
    "accept_invitation": 0.4,
    "propose_credential": 0.05,
    "receive_credential": 0.6,
    "propose_presentation": 0.05,
    "present_proof": 0.6,
    "receive_revocation_notification": 0.3,
    "delete_credential": 0.05,
    "ping": 0.1,
    "send_message": 0.02,
    "receive_message": 0.2,
    "request_menu": 0.02,
    "receive_menu": 0.2,
    "choose_action": 0.02,
    "receive_question": 0.2,
    "answer_question": 0.02,
    "discover_features": 0.1,
    "request": 0.05,
}
"""Assumed mean duration of each action in seconds, roughly that of unloaded services."""


class SimulatedWallet:
    """A Wallet in which everything succeeds after a random time (exponential about the assumed mean)."""

    self_attested: Mapping[str, str] = {}

    def __init__(self, seed: str, scale: float = 1.0) -> None:
        self._random = random.Random(seed)
        self._scale = scale
        self._numbers = itertools.count(1)
        self._issued: list[Credential] = []

    async def _takes(self, action: str) -> None:
        await asyncio.sleep(self._random.expovariate(1 / ASSUMED_SECONDS[action]) * self._scale)

    async def connect_to_mediator(self, mediator: str | Json) -> None:
        """See Wallet."""
        await self._takes("connect_to_mediator")

    async def disconnect(self) -> None:
        """See Wallet."""
        await self._takes("disconnect")

    async def reconnect(self) -> None:
        """See Wallet."""
        await self._takes("reconnect")

    async def accept_invitation(self, invitation: Json, name: str) -> Connection:
        """See Wallet."""
        await self._takes("accept_invitation")
        return Connection(name, f"connection-{next(self._numbers)}")

    async def propose_credential(
        self, connection: Connection, attributes: Mapping[str, str], filters: Mapping[str, str], comment: str
    ) -> None:
        """See Wallet."""
        await self._takes("propose_credential")

    async def receive_credential(self, connection: Connection) -> Credential:
        """See Wallet."""
        await self._takes("receive_credential")
        number = str(next(self._numbers))
        self._issued.append(Credential(number, number, number, "registry", number))
        return self._issued[-1]

    async def accept_offer(self, invitation: Json, name: str) -> tuple[Connection, Credential]:
        """See Wallet."""
        connection = Connection(name, "")
        return connection, await self.receive_credential(connection)

    async def propose_presentation(self, connection: Connection, request: Json, comment: str) -> None:
        """See Wallet."""
        await self._takes("propose_presentation")

    async def present_proof(self, invitation: Json) -> Presentation:
        """See Wallet."""
        await self._takes("present_proof")
        return Presentation("presentation", "thread")

    async def present_proof_to(self, connection: Connection) -> Presentation:
        """See Wallet."""
        await self._takes("present_proof")
        return Presentation("presentation", "thread")

    async def send_proof(self, invitation: Json) -> Presentation:
        """See Wallet."""
        return await self.present_proof(invitation)

    async def send_proof_to(self, connection: Connection) -> Presentation:
        """See Wallet."""
        return await self.present_proof_to(connection)

    async def receive_revocation_notification(self, credentials: Sequence[Credential]) -> Credential:
        """See Wallet."""
        await self._takes("receive_revocation_notification")
        return credentials[-1]  # which one was revoked is not known here

    async def delete_credential(self, credential: Credential) -> None:
        """See Wallet."""
        await self._takes("delete_credential")
        if credential in self._issued:
            self._issued.remove(credential)

    async def credential_ids(self) -> list[str]:
        """See Wallet."""
        return [credential.credential_id for credential in self._issued]

    async def ping(self, connection: Connection) -> None:
        """See Wallet."""
        await self._takes("ping")

    async def send_message(self, connection: Connection, text: str) -> None:
        """See Wallet."""
        await self._takes("send_message")

    async def receive_message(self, connection: Connection) -> str:
        """See Wallet."""
        await self._takes("receive_message")
        return "simulated"

    async def request_menu(self, connection: Connection) -> None:
        """See Wallet."""
        await self._takes("request_menu")

    async def receive_menu(self, connection: Connection) -> Menu:
        """See Wallet."""
        await self._takes("receive_menu")
        return AnyMenu((MenuOption("simulated"),), "simulated")

    async def choose_action(self, connection: Connection, menu: Menu, name: str, values: Mapping[str, str]) -> None:
        """See Wallet."""
        await self._takes("choose_action")

    async def receive_question(self, connection: Connection) -> Question:
        """See Wallet."""
        await self._takes("receive_question")
        return AnyQuestion(connection, "thread", "simulated", ("simulated",))

    async def answer_question(self, question: Question, answer: str) -> None:
        """See Wallet."""
        await self._takes("answer_question")

    async def discover_features(self, connection: Connection, match: str) -> list[str]:
        """See Wallet."""
        await self._takes("discover_features")
        return [match.replace("*", "1.0")]

    def cut_off(self) -> StepError | None:
        """See Wallet."""
        return None

    async def ready(self) -> None:
        """See Wallet."""

    async def remove(self) -> None:
        """See Wallet."""


class AnyMenu(Menu):
    """A menu that offers whatever is asked of it: what the real one has is not known here."""

    def __contains__(self, name: object) -> bool:
        return True

    def option(self, name: str) -> MenuOption:
        """See Menu."""
        return MenuOption(name)

    def filled(self, name: str, values: Mapping[str, str]) -> dict[str, str]:
        """See Menu."""
        return dict(values)


class AnyQuestion(Question):
    """A question that allows every answer."""

    def check(self, answer: str) -> None:
        """See Question."""


class SimulatedWallets:
    """As many simulated wallets as asked for."""

    def __init__(self, seed: int, scale: float = 1.0) -> None:
        self._seed = seed
        self._scale = scale

    def get(self, number: int) -> SimulatedWallet:
        """See Wallets."""
        return SimulatedWallet(f"simulated:{self._seed}:{number}", self._scale)

    async def make(self, number: int) -> None:
        """See Wallets."""

    async def replace(self, number: int) -> SimulatedWallet:
        """See Wallets."""
        return self.get(number)

    async def remove(self, number: int) -> None:
        """See Wallets."""


class Assumed(dict[str, Any]):
    """An answer in which everything is found, to go on with."""

    def __missing__(self, key: object) -> Assumed:
        return Assumed()


class SimulatedServices:
    """Services that answer every request with a meaningless invitation, or with its configured example."""

    def __init__(
        self, services: Mapping[str, Service] | None = None, on_request: Callable[[str], None] = lambda service: None
    ) -> None:
        """``on_request`` is told the service of each request."""
        self._services = services or {}
        self._on_request = on_request

    async def _is_asked(self, service: str) -> None:
        self._on_request(service)
        await asyncio.sleep(ASSUMED_SECONDS["request"])

    async def request_invitation(self, service: str, values: Mapping[str, Any]) -> Json:
        """See Services."""
        await self._is_asked(service)
        return {"@type": "https://didcomm.org/out-of-band/1.1/invitation", "@id": "simulated"}

    async def request_revocation(self, service: str, values: Mapping[str, Any]) -> None:
        """See Services."""
        await self._is_asked(service)

    async def request_result(self, service: str, values: Mapping[str, Any]) -> Result:
        """See Services."""
        await self._is_asked(service)
        return Result(Verdict.VERIFIED, "simulated")

    async def request(self, service: str, name: str, values: Mapping[str, Any]) -> Answered:
        """See Services."""
        await self._is_asked(service)
        configured = self._services[service].requests[name]
        example = configured.example if isinstance(configured, ScriptRequest) else None
        return Answered(Assumed() if example is None else copy.deepcopy(example))
