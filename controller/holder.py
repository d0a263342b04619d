"""The holder that scripts are written against: one method per general function, each a timed step."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from controller.agents.wallet import Connection, Credential, Wallet
from controller.services.client import string_values
from controller.services.invitation import Json, as_out_of_band
from stampede.load_models.interface import EndOfRun
from stampede.schema.errors import BadInput, NoConnection, NoCredential, StepError, StepTimeout
from stampede.schema.targets import invitation_urls

if TYPE_CHECKING:
    from controller.run import Run

FAILURE_PAUSE = 1.0
"""Seconds a holder pauses after a failed step, so that a failing service is not hammered."""
STEPS = frozenset(
    {
        "connect_to_mediator",
        "request_invitation",
        "connect",
        "receive_credential",
        "present_proof",
        "request_revocation",
        "receive_revocation_notification",
        "delete_credential",
        "ping",
        "send_message",
    }
)
"""All steps that there are; a script does some of them."""


class Holder:
    """One member of the public: a wallet, the connections it keeps, and its own random choices.

    What a step does when it fails is the setting ``stampede_on_failure``: with ``continue`` the method
    returns None and the script goes on; otherwise it raises a StepError, upon which the script is started
    anew with a fresh wallet (``restart``) or the holder stops (``stop``).
    """

    def __init__(self, run: Run, number: int, wallet: Wallet) -> None:
        self.number = number
        self.random = random.Random(f"{run.settings.seed}:{number}")
        self.rounds = 0
        self.attempt = 1
        self.due: float | None = None
        self._run = run
        self.start_over(wallet)

    def start_over(self, wallet: Wallet) -> None:
        """Begin with a fresh wallet: no connections, no credentials."""
        self.wallet = wallet
        self.connections: dict[str, Connection] = {}
        self.credentials: dict[str, list[Credential]] = {}

    # ------------------------------------------------------------------ steps

    async def connect_to_mediator(self) -> None:
        """Connect to the mediator by its public DID and have mediation granted (RFCs 0023, 0211).

        Nothing to do when ``stampede_mediator_did`` is empty. Connections made afterwards are routed
        through the mediator.
        """
        did = self._run.settings.mediator_did
        if did:
            await self._step("connect_to_mediator", lambda: self.wallet.connect_to_mediator(did))

    async def request_invitation(self, service: str) -> Json | None:
        """Request an out-of-band invitation (RFC 0434) from ``service`` by HTTPS; returns it."""
        self._known(service)
        values = string_values({"run_id": self._run.settings.run_id, "holder": self.number})
        return await self._step(
            "request_invitation", lambda: self._run.services.request_invitation(service, values), service
        )

    async def connect(self, service: str, name: str = "", invitation: Json | None = None) -> Connection | None:
        """Request an invitation from ``service``, process it, connect, and keep the connection.

        It is kept under ``name``, or else the service's name. An ``invitation`` that the script already
        has is processed as it is.
        """
        if invitation is None:
            invitation = await self.request_invitation(service)
            if invitation is None:
                return None
        self._look_at(invitation, service)
        offered, name = invitation, name or service
        connection = await self._step("connect", lambda: self.wallet.accept_invitation(offered, name), service)
        if connection is not None:
            self.connections[name] = connection
        return connection

    async def receive_credential(self, connection: Connection | str | None) -> Credential | None:
        """Receive a credential over ``connection``: offer, request, issue (RFC 0453), all automatic."""

        async def receive() -> Credential:
            kept = self._connection(connection)
            credential = await self.wallet.receive_credential(kept)
            self.credentials.setdefault(kept.name, []).append(credential)
            return credential

        return await self._step("receive_credential", receive, _name_of(connection))

    async def present_proof(self, verifier: Connection | str, invitation: Json | None = None) -> None:
        """Present a proof (RFC 0454) and await the verifier's word.

        ``verifier`` is a service's name: an invitation with a presentation request is requested by HTTPS
        and answered; or a kept Connection, over which the request comes.
        """
        if isinstance(verifier, Connection):
            connection = verifier
            await self._step("present_proof", lambda: self.wallet.present_proof_to(connection), connection.name)
            return
        if invitation is None:
            invitation = await self.request_invitation(verifier)
            if invitation is None:
                return
        self._look_at(invitation, verifier)
        offered = invitation
        await self._step("present_proof", lambda: self.wallet.present_proof(offered), verifier)

    async def request_revocation(self, service: str, connection: Connection | str | None = None) -> None:
        """Request from ``service``, by HTTPS, that the newest credential got over ``connection`` be revoked.

        ``connection`` is the one kept under the service's name unless another is given.
        """
        self._known(service)
        if self._run.settings.services[service].revocation is None:
            raise BadInput(
                f"the script requests a revocation from {service!r}, but stampede_services.{service} has no "
                "revocation; it must have one, such as revocation: {url: https://issuer.example.org/revocation}"
            )

        async def request() -> None:
            kept = self._connection(connection or service)
            credential = self._credential(kept)
            values = {
                "run_id": self._run.settings.run_id,
                "holder": self.number,
                "connection_id": kept.connection_id,
                "my_did": kept.my_did,
                "their_did": kept.their_did,
                "invitation_msg_id": kept.invitation_msg_id,
                "thread_id": credential.thread_id,
                "cred_ex_id": credential.cred_ex_id,
                "rev_reg_id": credential.rev_reg_id,
                "cred_rev_id": credential.cred_rev_id,
            }
            await self._run.services.request_revocation(service, string_values(values))

        await self._step("request_revocation", request, service)

    async def receive_revocation_notification(self, connection: Connection | str | None) -> None:
        """Await the revocation notification (RFC 0721) for a credential got over ``connection``, and delete
        that credential: two steps, the second is ``delete_credential``."""

        async def receive() -> Credential:
            kept = self._connection(connection)
            self._credential(kept)
            while True:
                revoked = await self.wallet.receive_revocation_notification()
                for credential in self.credentials[kept.name]:
                    if revoked == f"{credential.rev_reg_id}::{credential.cred_rev_id}":
                        return credential

        credential = await self._step("receive_revocation_notification", receive, _name_of(connection))
        if credential is not None:
            await self.delete_credential(credential)

    async def delete_credential(self, credential: Credential) -> None:
        """Delete a credential from the wallet."""

        async def delete() -> None:
            await self.wallet.delete_credential(credential)
            for kept in self.credentials.values():
                if credential in kept:
                    kept.remove(credential)

        await self._step("delete_credential", delete)

    async def ping(self, connection: Connection | str | None) -> None:
        """Send a trust ping over a kept connection and await the response (RFC 0048)."""

        async def ping() -> None:
            await self.wallet.ping(self._connection(connection))

        await self._step("ping", ping, _name_of(connection))

    async def send_message(self, connection: Connection | str | None, text: str) -> None:
        """Send a basic message (RFC 0095) over a kept connection; done when the agent has taken it."""

        async def send() -> None:
            await self.wallet.send_message(self._connection(connection), text)

        await self._step("send_message", send, _name_of(connection))

    # ----------------------------------------------------------------- pacing

    async def wait(self, least: float, most: float | None = None) -> None:
        """Think time: wait a random time from ``least`` to ``most`` seconds (exactly ``least`` without)."""
        pause = least if most is None else self.random.uniform(least, most)
        due = self._run.clock.now() + pause
        await self._run.pacer.until(due)
        self.due = due

    async def repeat(self, least: int, most: int | None = None) -> AsyncIterator[int]:
        """Go round a random number of times from ``least`` to ``most``: ``async for _ in holder.repeat(1, 10)``."""
        for turn in range(least if most is None else self.random.randint(least, most)):
            yield turn

    async def until_end_of_run(self) -> AsyncIterator[int]:
        """Go round until the run's duration is over, or ``stampede_iterations`` times when it has none."""
        while self._run.goes_on(self.rounds):
            self.rounds += 1
            yield self.rounds
            await asyncio.sleep(0)

    # ---------------------------------------------------------------- private

    async def _step[T](self, name: str, action: Callable[[], Awaitable[T]], service: str = "") -> T | None:
        """Time ``action``, journal how it ended, and apply ``stampede_on_failure``."""
        run, limit = self._run, self._run.settings.step_timeout
        if run.pacer.ended:
            raise EndOfRun
        start = run.clock.now()
        due, self.due = self.due if self.due is not None else start, None
        run.recorder.in_flight += 1
        try:
            async with asyncio.timeout(limit):
                result = await action()
        except TimeoutError:
            reason = self.wallet.cut_off() or StepTimeout("no answer came")
            failure: StepError = type(reason)(f"{reason.detail}, for {limit:g} s")
        except StepError as error:
            failure = error
        except asyncio.CancelledError:
            self._record(name, "interrupted", start, due, service)
            raise
        else:
            self._record(name, "ok", start, due, service)
            return result
        finally:
            run.recorder.in_flight -= 1
        self._record(name, "failed", start, due, service, failure)
        if run.settings.on_failure != "continue":
            raise failure
        await run.pacer.unless_over(self.wallet.ready())
        await run.pacer.until(run.clock.now() + FAILURE_PAUSE)
        return None

    def _record(
        self, name: str, outcome: str, start: float, due: float, service: str, error: StepError | None = None
    ) -> None:
        self._run.recorder.step(
            name,
            outcome,
            start=start,
            due=due,
            holder=self.number,
            iteration=self.rounds,
            attempt=self.attempt,
            service=service,
            error=error.error_class if error else "",
            detail=error.detail if error else "",
        )

    def _known(self, service: str) -> None:
        if service not in self._run.settings.services:
            raise unknown_service(service, self._run.settings.services)

    def _look_at(self, invitation: Json, service: str) -> None:
        """Raise BadInput when an invitation leads to a host that may not be loaded."""
        for url in invitation_urls(as_out_of_band(invitation)):
            self._run.targets.check(f"an invitation of {service} leads to {url}", url)

    def _connection(self, connection: Connection | str | None) -> Connection:
        if isinstance(connection, Connection):
            return connection
        kept = self.connections.get(connection or "")
        if kept is None:
            raise NoConnection(f"the holder has no connection {connection!r}" if connection else "not connected")
        return kept

    def _credential(self, connection: Connection) -> Credential:
        credentials = self.credentials.get(connection.name)
        if not credentials:
            raise NoCredential(f"the holder has no credential from {connection.name}")
        return credentials[-1]


def unknown_service(service: str, known: object) -> BadInput:
    """The error for a service name that ``stampede_services`` does not have."""
    import difflib

    names = sorted(str(name) for name in known)  # type: ignore[attr-defined]
    nearest = difflib.get_close_matches(service, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return BadInput(
        f"the script asks for the service {service!r}, but stampede_services has {', '.join(names)}{hint}"
    )


def _name_of(connection: Connection | str | None) -> str:
    return connection.name if isinstance(connection, Connection) else connection or ""
