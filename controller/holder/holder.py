"""The holder that scripts are written against: one method per general function, each a timed step."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from controller.agents.menu import Menu
from controller.agents.question import Question
from controller.agents.wallet import Connection, Credential, Presentation, Wallet
from controller.holder.context import HolderContext
from controller.holder.requests import (
    check_dict,
    check_given,
    check_invitation,
    check_measured,
    check_name,
    check_question,
    check_text,
    given_values,
    service_and_request,
    service_weights,
    unknown_service,
)
from controller.holder.step import GROUP, TimedStep, declared_steps, step
from controller.services.interface import Verdict, string_values
from controller.services.invitation import Json, answer_of, as_out_of_band
from stampede.schema import line_protocol
from stampede.schema.errors import (
    BadInput,
    BadInvitation,
    NoConnection,
    NoCredential,
    NothingToAnswer,
    PresentationRejected,
    StepTimeout,
)
from stampede.schema.known_values import HiddenText
from stampede.schema.masking import Mask
from stampede.schema.records import REUSED, SENT, VERIFIED, CheckRecord, MeasureRecord, Outcome
from stampede.schema.settings.placeholders import DATA
from stampede.schema.settings.service_settings import MEDIATOR
from stampede.schema.settings.targets import invitation_urls, readable

type Script = Callable[[Holder], Awaitable[None]]
"""What a scenario defines: ``async def script(holder: Holder) -> None``."""


class Holder:
    """One member of the public: a wallet, the connections it keeps, and its own random choices.

    What a step does when it fails is the setting ``stampede_on_failure``: with ``continue`` the method
    returns None and the script goes on; otherwise it raises a StepError, upon which the script is started
    over with a fresh wallet (``restart``) or the holder stops (``stop``).
    """

    def __init__(self, context: HolderContext, number: int, wallet: Wallet) -> None:
        self.context = context
        self.number = number
        """Counted from 0 over all load hosts."""
        self.random = random.Random(f"{context.settings.seed}:{number}")
        """The holder's own randomness, seeded with ``stampede_seed`` and its number."""
        self.data: Mapping[str, str] = context.row_of(number)
        """Its row of ``stampede_data``, by column."""
        self.shared: Mapping[str, Any] = context.shared
        """What ``setup`` returned."""
        self.rounds = 0
        self.attempt = 1
        self.start_over(wallet)

    def start_over(self, wallet: Wallet) -> None:
        """Begin with a fresh wallet: no connections, no credentials, and no step that is due."""
        self.wallet = wallet
        self.due: float | None = None
        self._late = 0.0
        """By how many seconds it was late when it was told that a step is due."""
        self.connections: dict[str, Connection] = {}
        self._to_connect: set[str] = set()
        """The names under which connections were to be kept, whether they came about or not."""
        self.credentials: dict[str, list[Credential]] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._menus: dict[str, Menu] = {}
        """Received and not chosen from, by the id of the connection."""
        self._has_asked_mediator = False

    def be_due(self, due: float) -> None:
        """Have the next step be due at a moment of the clock, which has come."""
        self.due, self._late = due, self.context.clock.now() - due

    @functools.cached_property
    def mask(self) -> Mask:
        """Keeps secrets, the run's and those of its own row, out of what is told of its failures."""
        hidden = [value for value in self.data.values() if isinstance(value, HiddenText)]
        return self.context.mask.with_more(hidden) if hidden else self.context.mask

    # ------------------------------------------------------------------ steps

    async def connect_to_mediator(self) -> None:
        """Connect to the mediator and have mediation granted (RFCs 0023, 0434, 0211).

        It is known by its public DID, ``stampede_mediator_did``, or by ``stampede_mediator_invitation``, which may
        have to be requested by HTTPS first; without either this does nothing. Connections made afterwards are routed
        through the mediator.
        """
        self._has_asked_mediator = True
        settings = self.context.settings
        mediator: str | Json | None = settings.mediator_did
        if (known := settings.mediator_invitation) and not mediator:
            mediator = dict(known.message) if known.message else await self._request_invitation(MEDIATOR, {})
        if mediator:
            await self._connect_to_mediator(mediator)

    @step("connect_to_mediator")
    async def _connect_to_mediator(self, mediator: str | Json) -> None:
        if not isinstance(mediator, str):
            self._check_targets(mediator, MEDIATOR)
        await self.wallet.connect_to_mediator(mediator)

    @step("disconnect")
    async def _disconnect(self) -> None:
        await self.wallet.disconnect()

    async def disconnect(self) -> None:
        """Close the link to the mediator, as when the app goes to the background: what is for the holder waits there.

        Only holders that are phones can do that (``stampede_mediator_pickup``).
        """
        self._check_phone("disconnect")
        await self._disconnect()

    @step("reconnect")
    async def _reconnect(self) -> None:
        await self.wallet.reconnect()

    async def reconnect(self) -> None:
        """Open the link to the mediator again, as when the app comes back; done when the mediator has answered.

        What waited there is received from then on.
        """
        self._check_phone("reconnect")
        await self._reconnect()

    async def request(self, name: str, /, connection: Connection | str | None = None, **given: Any) -> Any:
        """Send a request by HTTPS: ``"portal"`` is that service's ``request``, ``"portal.status"`` is the one
        that its ``requests`` have under ``status``. Returns the JSON of the answer, or text where it is none.

        ``given`` has the values of its ``${given:NAME}``. It may use what is known of a ``connection``, which is the
        one kept under the service's name unless another is given, and what the service answered before.
        """
        services = self.context.settings.services
        service, own_name = service_and_request(name, services)
        check_given(name, services[service].requests[own_name].given(), given)
        return await self._request(name, service, own_name, connection, given)

    @step("request")
    async def _request(
        self, name: str, service: str, own_name: str, connection: Connection | str | None, given: Mapping[str, Any]
    ) -> Any:
        kept = self._connection(connection) if connection else self.connections.get(service, Connection("", ""))
        newest = {**self._answered(service), **kept.answer} if connection else self._answered(service)
        values = self._values({**newest, **given_values(given)}, **_of(kept))
        answered = await self.context.services.request(service, own_name, values)
        self._keep_answer(service, answered.kept)
        return answered.value

    async def request_invitation(self, service: str, **given: Any) -> Json | None:
        """Request an out-of-band invitation (RFC 0434) from ``service`` by HTTPS; returns it.

        ``given`` has the values of the request's ``${given:NAME}``.
        """
        self._check_service(service)
        configured = self.context.settings.services[service].invitation
        if not configured.url:
            raise BadInput(
                f"the script requests an invitation from {service!r}, but stampede_services.{service} has no "
                "invitation; it must have one, such as invitation: {url: https://issuer.example.org/invitation}"
            )
        check_given(service, configured.given(), given)
        return await self._request_invitation(service, given)

    @step("request_invitation")
    async def _request_invitation(self, service: str, given: Mapping[str, Any]) -> Json:
        values = self._values({**self._answered(service), **given_values(given)})
        invitation = await self.context.services.request_invitation(service, values)
        self._keep_answer(service, answer_of(invitation))
        return invitation

    async def connect(self, service: str, name: str = "", invitation: Json | None = None) -> Connection | None:
        """Request an invitation from ``service``, process it, connect, and keep the connection.

        It is kept under ``name``, or else the service's name. An ``invitation`` that the script already
        has is processed as it is. When the invitation leads to a connection that there is, that one is returned.
        """
        check_invitation("connect", invitation)
        self._to_connect.add(name or service)
        if invitation is None:
            invitation = await self.request_invitation(service)
            if invitation is None:
                return None
        return await self._connect(service, name or service, invitation)

    @step("connect")
    async def _connect(self, service: str, name: str, invitation: Json, timed: TimedStep | None = None) -> Connection:
        assert timed is not None, "given by the step"
        self._check_targets(invitation, service)
        connection = await self.wallet.accept_invitation(invitation, name)
        if connection.reused:
            timed.detail = REUSED
        return self._keep(connection, name, service, invitation)

    @step("propose_credential")
    async def propose_credential(
        self,
        connection: Connection | str | None,
        attributes: Mapping[str, Any],
        filters: Mapping[str, str] | None = None,
        comment: str = "",
    ) -> None:
        """Propose to the issuer a credential with these ``attributes`` (RFC 0453); done when the agent has taken it.

        ``filters`` say by which definition, such as ``{"cred_def_id": "..."}`` or ``{"schema_name": "membership"}``.
        The issuer answers with an offer: ``receive_credential`` awaits it.
        """
        check_dict("propose_credential", "attributes", attributes, 'a dict such as {"name": "Ada"}', of_texts=True)
        check_dict("propose_credential", "filters", filters or {}, 'a dict such as {"cred_def_id": "..."}')
        await self.wallet.propose_credential(
            self._connection(connection), string_values(attributes), filters or {}, comment
        )

    async def receive_credential(
        self, connection: Connection | str | None, invitation: Json | None = None
    ) -> Credential | None:
        """Receive a credential over ``connection``: offer, request, issue (RFC 0453), all automatic.

        With the name of a service to which the holder has not connected, an invitation with an offer attached to it
        is requested by HTTPS and accepted; an ``invitation`` that the script already has is accepted as it is. The
        credential is then kept under the service's name.
        """
        check_invitation("receive_credential", invitation)
        if isinstance(connection, str):
            if invitation is None and self._is_offered_by_invitation(connection):
                invitation = await self.request_invitation(connection)
                if invitation is None:
                    return None
            if invitation is not None:
                return await self._accept_offer(connection, invitation)
        return await self._receive_credential(connection)

    @step("receive_credential")
    async def _receive_credential(self, connection: Connection | str | None) -> Credential:
        kept = self._connection(connection)
        credential = await self.wallet.receive_credential(kept)
        self.credentials.setdefault(kept.name, []).append(credential)
        return credential

    @step("receive_credential")
    async def _accept_offer(self, service: str, invitation: Json) -> Credential:
        self._check_targets(invitation, service)
        connection, credential = await self.wallet.accept_offer(invitation, service)
        connection.attached = True
        kept = self._keep(connection, service, service, invitation)
        self.credentials.setdefault(kept.name, []).append(credential)
        return credential

    @step("propose_presentation")
    async def propose_presentation(
        self, connection: Connection | str | None, request: Mapping[str, Any], comment: str = ""
    ) -> None:
        """Propose to the verifier what to request (RFC 0454); done when the agent has taken it.

        ``request`` is one of AnonCreds, with ``requested_attributes`` and ``requested_predicates``. The verifier
        answers with its own request: ``present_proof`` over the connection answers that.
        """
        right = 'a dict such as {"requested_attributes": {"name": {"name": "name"}}}'
        check_dict("propose_presentation", "request", request, right)
        proposed = {"name": "proof", "version": "1.0", "requested_attributes": {}, "requested_predicates": {}}
        await self.wallet.propose_presentation(self._connection(connection), proposed | dict(request), comment)

    async def present_proof(
        self,
        verifier: Connection | str | None,
        invitation: Json | None = None,
        self_attested: Mapping[str, Any] | None = None,
    ) -> None:
        """Present a proof (RFC 0454) and await the verifier's acknowledgement.

        ``verifier`` is a service's name: an invitation with a presentation request is requested by HTTPS
        and answered; or a kept Connection, over which the request comes. The step's time ends with the
        acknowledgement; a service that has a ``result`` request is then asked what it found, and that decides.
        The service's ``done`` may name another end: ``sent`` awaits no acknowledgement.

        ``self_attested`` are values, by the names of their attributes, for what the verifier takes without a
        credential and no credential has; ``stampede_self_attested`` has those for all steps.
        """
        check_invitation("present_proof", invitation)
        right = 'a dict such as {"nickname": "Ada"}'
        check_dict("present_proof", "self_attested", self_attested or {}, right, of_texts=True)
        known = self.context.settings.self_attested
        self.wallet.self_attested = {**known, **string_values(self_attested or {})}
        if not isinstance(verifier, str):
            await self._present_over_connection(verifier)
            return
        if invitation is None:
            invitation = await self.request_invitation(verifier)
            if invitation is None:
                return
        await self._present_on_invitation(verifier, invitation)

    @step("present_proof")
    async def _present_over_connection(self, verifier: Connection | None, timed: TimedStep | None = None) -> None:
        kept = self._connection(verifier)
        send_only = self._is_done_when_sent(kept.service)
        presentation = await (self.wallet.send_proof_to if send_only else self.wallet.present_proof_to)(kept)
        await self._await_verdict(timed, presentation, kept)

    @step("present_proof")
    async def _present_on_invitation(self, verifier: str, invitation: Json, timed: TimedStep | None = None) -> None:
        self._check_targets(invitation, verifier)
        send_only = self._is_done_when_sent(verifier)
        presentation = await (self.wallet.send_proof if send_only else self.wallet.present_proof)(invitation)
        message_id, answer = str(invitation.get("@id", "")), answer_of(invitation)
        none_kept = Connection("", "", invitation_msg_id=message_id, service=verifier, answer=answer)
        await self._await_verdict(timed, presentation, none_kept)

    async def request_revocation(
        self, service: str, connection: Connection | str | None = None, **given: Any
    ) -> None:
        """Request from ``service``, by HTTPS, that the newest credential got over ``connection`` be revoked.

        ``connection`` is the one kept under the service's name unless another is given. ``given`` has the values of
        the request's ``${given:NAME}``.
        """
        self._check_service(service)
        configured = self.context.settings.services[service].revocation
        if configured is None:
            raise BadInput(
                f"the script requests a revocation from {service!r}, but stampede_services.{service} has no "
                "revocation; it must have one, such as revocation: {url: https://issuer.example.org/revocation}"
            )
        check_given(service, configured.given(), given)
        await self._request_revocation(service, connection or service, given)

    @step("request_revocation")
    async def _request_revocation(self, service: str, connection: Connection | str, given: Mapping[str, Any]) -> None:
        kept = self._connection(connection)
        credential = self._credential(kept)
        known = {
            **_of(kept),
            "thread_id": credential.thread_id,
            "cred_ex_id": credential.cred_ex_id,
            "rev_reg_id": credential.rev_reg_id,
            "cred_rev_id": credential.cred_rev_id,
        }
        values = self._values({**self._answered(service), **kept.answer, **given_values(given)}, **known)
        await self.context.services.request_revocation(service, values)

    async def receive_revocation_notification(self, connection: Connection | str | None) -> None:
        """Await the revocation notification (RFC 0721) for a credential got over ``connection``, and delete
        that credential: two steps, the second is ``delete_credential``."""
        credential = await self._receive_revocation_notification(connection)
        if credential is not None:
            await self.delete_credential(credential)

    @step("receive_revocation_notification")
    async def _receive_revocation_notification(self, connection: Connection | str | None) -> Credential:
        kept = self._connection(connection)
        self._credential(kept)
        return await self.wallet.receive_revocation_notification(self.credentials[kept.name])

    @step("delete_credential")
    async def delete_credential(self, credential: Credential) -> None:
        """Delete a credential from the wallet."""
        await self.wallet.delete_credential(credential)
        for kept in self.credentials.values():
            if credential in kept:
                kept.remove(credential)

    @step("ping")
    async def ping(self, connection: Connection | str | None) -> None:
        """Send a trust ping over a kept connection and await the response (RFC 0048)."""
        await self.wallet.ping(self._connection(connection))

    @step("send_message")
    async def send_message(self, connection: Connection | str | None, text: str) -> None:
        """Send a basic message (RFC 0095) over a kept connection; done when the agent has taken it."""
        check_text("send_message", "text", text)
        await self.wallet.send_message(self._connection(connection), text)

    @step("receive_message")
    async def receive_message(self, connection: Connection | str | None) -> str:
        """Await the next basic message (RFC 0095) over a kept connection; returns its text."""
        return await self.wallet.receive_message(self._connection(connection))

    @step("request_menu")
    async def request_menu(self, connection: Connection | str | None) -> None:
        """Ask the other agent for its menu (RFC 0509); done when the holder's agent has taken it.

        The menu comes to the next ``receive_menu``.
        """
        await self.wallet.request_menu(self._connection(connection))

    @step("receive_menu")
    async def receive_menu(self, connection: Connection | str | None) -> Menu:
        """Await a menu (RFC 0509) over ``connection``, asked for or not; returns it.

        Its ``options`` have ``name``, ``title`` and ``form``; ``"renew" in menu`` tells whether it offers that. It is
        the one that ``choose_action`` chooses from, until another is received.
        """
        kept = self._connection(connection)
        menu = self._menus[kept.connection_id] = await self.wallet.receive_menu(kept)
        return menu

    @step("choose_action")
    async def choose_action(
        self, connection: Connection | str | None, name: str, values: Mapping[str, Any] | None = None
    ) -> None:
        """Choose the option ``name`` of the menu received last over ``connection`` (RFC 0509); done when the holder's
        agent has taken it. The menu is closed by that.

        ``values`` are those of the option's form, by the names of its fields; the others have their defaults.
        """
        check_text("choose_action", "name", name)
        right = 'a dict such as {"reason": "expired"}'
        check_dict("choose_action", "values", values or {}, right, of_texts=True)
        kept = self._connection(connection)
        menu = self._menus.get(kept.connection_id)
        if menu is None:
            raise NothingToAnswer(f"the holder has received no menu from {kept.name}, or has chosen from it already")
        filled = menu.filled(name, string_values(values or {}))
        await self.wallet.choose_action(kept, menu, name, filled)
        del self._menus[kept.connection_id]

    @step("receive_question")
    async def receive_question(self, connection: Connection | str | None) -> Question:
        """Await a question (RFC 0113) over a kept connection; returns it, with ``text`` and ``responses``."""
        return await self.wallet.receive_question(self._connection(connection))

    @step("answer_question")
    async def answer_question(self, question: Question | None, answer: str) -> None:
        """Answer a question by one of its ``responses`` (RFC 0113); done when the holder's agent has taken it."""
        check_text("answer_question", "answer", answer)
        if question is None:
            raise NothingToAnswer("the holder has received no question")
        check_question(question)
        question.check(answer)
        await self.wallet.answer_question(question, answer)

    @step("discover_features")
    async def discover_features(self, connection: Connection | str | None, match: str = "*") -> list[str]:
        """Ask the other agent which protocols it supports (RFC 0557); returns their identifiers.

        ``match`` is a protocol identifier, in which a trailing ``*`` stands for anything.
        """
        check_text("discover_features", "match", match)
        return await self.wallet.discover_features(self._connection(connection), match)

    def step(self, name: str, service: str = "") -> TimedStep:
        """Time a step of the script's own: ``async with holder.step("open the app"):``.

        It is journaled, reported and judged by thresholds under ``name`` (every distinct name is a series in
        InfluxDB, so do not put numbers into it), and fails like any other step, when a StepError is raised in it or
        after ``stampede_step_timeout``. Steps within it are timed as well.
        """
        self._check_name("step", name)
        return TimedStep(self, name, service)

    # ----------------------------------------------------------- observations

    def check(self, name: str, condition: object) -> bool:
        """Record whether ``condition`` holds, and return that. The script goes on either way.

        Failed checks fail the run only where a threshold says so: ``check NAME passed >= 99 %``. Every distinct name
        is a series in InfluxDB.
        """
        self._check_name("check", name)
        passed = bool(condition)
        outcome = Outcome.OK if passed else Outcome.FAILED
        self.context.recorder.observe(CheckRecord(name, outcome, *self._place()))
        return passed

    def measure(self, name: str, value: float) -> None:
        """Record a number, in whatever unit, of which nine significant digits are kept.

        Report and thresholds (``measure NAME p95 < 3``) have its figures over all holders. Raises ValueError when it
        is no finite number. Every distinct name is a series in InfluxDB.
        """
        self._check_name("measure", name)
        check_measured(name, value)
        in_journal = float(line_protocol.field(float(value)))  # with the digits that a journal has
        self.context.recorder.observe(MeasureRecord(name, in_journal, *self._place()))

    def _check_name(self, kind: str, name: str) -> None:
        check_name(kind, name)
        self.context.recorder.take_name(kind, name)

    def _place(self) -> tuple[int, int, int, str, str]:
        """What tells a record's place: holder, iteration, attempt, script and group."""
        return self.number, self.rounds, self.attempt, self.context.script, GROUP.get()

    @contextmanager
    def group(self, name: str) -> Iterator[None]:
        """Put the name of a group on the steps, checks and measures of a block: ``with holder.group("login"):``.

        Report, thresholds (``p95 in login < 2 s``) and InfluxDB tell them apart by it. Groups do not nest. Every
        distinct name is a series in InfluxDB.
        """
        self._check_name("group", name)
        if outer := GROUP.get():
            raise BadInput(f"holder.group({name!r}) is within holder.group({outer!r}); groups do not nest")
        token = GROUP.set(name)
        try:
            yield
        finally:
            GROUP.reset(token)

    # ----------------------------------------------------------------- choice

    def choose(self, services: Mapping[str, float] | Sequence[str]) -> str:
        """One of these services, at random: by weight (``{"bank": 3, "shop": 1}``), or each as often as another
        (``["bank", "shop"]``)."""
        weights = service_weights(services, self.context.settings.services)
        return self.random.choices(list(weights), list(weights.values()))[0]

    # ----------------------------------------------------------------- pacing

    async def wait(self, least: float, most: float | None = None) -> None:
        """Think time: wait a random time from ``least`` to ``most`` seconds (exactly ``least`` without).

        ``stampede_think_times`` says how it is distributed, and ``stampede_think_time_scale`` by what it is
        multiplied. A holder that came to it late, because its arrival, its round or the wait before ended late, waits
        for as much less, and its next step is due when it would have been.
        """
        late = 0.0 if self.due is None else self._late
        due = self.context.clock.now() - late + self.context.think_times.draw(self.random, least, most)
        await self.context.pacer.until(due, self.number)
        self.be_due(due)

    async def repeat(self, least: int, most: int | None = None) -> AsyncIterator[int]:
        """Go round a random number of times from ``least`` to ``most``: ``async for _ in holder.repeat(1, 10)``."""
        for turn in range(least if most is None else self.random.randint(least, most)):
            yield turn

    async def until_end_of_run(self) -> AsyncIterator[int]:
        """Go round until the load model ends it: until the run's duration is over, or ``stampede_iterations`` times.

        Where rounds have a rate, each begins when it is due.
        """
        while self.context.another_round(self.number, self.rounds):
            due = await self.context.turn(self.number)
            if due is not None:
                self.be_due(due)
            self.rounds += 1
            yield self.rounds
            await asyncio.sleep(0)

    # ---------------------------------------------------------------- private

    def _check_phone(self, method: str) -> None:
        if self.context.settings.mediator_pickup == "none":
            raise BadInput(
                f"the script calls holder.{method}(), but stampede_mediator_pickup is none; it must be websocket or "
                "http"
            )
        if not self._has_asked_mediator:
            raise BadInput(
                f"the script calls holder.{method}() before holder.connect_to_mediator(), so that there is no link "
                "to a mediator; it must call that first"
            )

    def _is_offered_by_invitation(self, service: str) -> bool:
        """Whether a service's offers come with its invitations: the script has not connected to it otherwise."""
        kept = self.connections.get(service)
        if kept is not None:
            return kept.attached
        return service in self.context.settings.services and service not in self._to_connect

    def _keep(self, connection: Connection, name: str, service: str, invitation: Json) -> Connection:
        """Keep a connection under a name. One that is reused stays the one that it is, with what came with its new
        invitation."""
        same = (each for each in self.connections.values() if each.connection_id == connection.connection_id)
        if connection.reused and (kept := next(same, None)):
            kept.reused, kept.invitation_msg_id = True, connection.invitation_msg_id
            connection = kept
        connection.service, connection.answer = service, answer_of(invitation)
        self.connections[name] = connection
        return connection

    def _check_service(self, service: str) -> None:
        if service not in self.context.settings.services:
            raise unknown_service(service, self.context.settings.services)

    def _is_done_when_sent(self, service: str) -> bool:
        configured = self.context.settings.services.get(service)
        return configured is not None and configured.is_done_when_sent

    def _answered(self, service: str) -> Mapping[str, Any]:
        """What requests to a service may use of what it answered last."""
        return self._answers.get(service, {})

    def _keep_answer(self, service: str, answer: Mapping[str, Any]) -> None:
        if answer:
            self._answers.setdefault(service, {}).update(answer)

    def _check_targets(self, invitation: Json, service: str) -> None:
        """Raise BadInput when an invitation leads to a host that may not be loaded, BadInvitation when to none."""
        for url in invitation_urls(as_out_of_band(invitation)):
            if readable(url) is None:
                raise BadInvitation(f"an invitation of {service} leads to {url}, in which no host can be read")
            self.context.targets.check(f"an invitation of {service} leads to {url}", url)

    def _values(self, handed_on: Mapping[str, Any] | None = None, **known: Any) -> dict[str, Any]:
        """What a request to a service may use; ``handed_on``: what it answered before, and what the script gives."""
        known = {"run_id": self.context.settings.run_id, "holder": self.number, **known}
        row = {f"{DATA}{column}": value for column, value in self.data.items()}
        return {**string_values(known), **row, **(handed_on or {})}

    async def _await_verdict(
        self, timed: TimedStep | None, presentation: Presentation, connection: Connection
    ) -> None:
        """End the step's time, and ask the verifier until it says what it found, if it can be asked.

        Raises PresentationRejected or PresentationUnverified, StepTimeout when it does not say so in time.
        """
        assert timed is not None, "given by the step"
        timed.done()
        service, clock = connection.service, self.context.clock
        configured = self.context.settings.services.get(service)
        if configured is None or configured.result is None or configured.done != VERIFIED:
            timed.detail = SENT if configured and configured.is_done_when_sent else ""
            return
        request = configured.result
        known = {"thread_id": presentation.thread_id, "pres_ex_id": presentation.pres_ex_id}
        values = self._values({**self._answered(service), **connection.answer}, **_of(connection), **known)
        end = clock.now() + request.limit
        timed.awaited = f"waited for the result of {service}"
        while True:
            result = await self.context.services.request_result(service, values)
            if result.verdict == Verdict.VERIFIED:
                timed.detail = VERIFIED
                return
            if result.verdict == Verdict.REFUSED:
                raise PresentationRejected(result.sentence)
            timed.awaited = f"waited for the result of {service}: {result.sentence}"
            interval = result.pause or request.interval
            if clock.now() + interval >= end:
                raise StepTimeout(f"{timed.awaited}, for {request.limit:g} s")
            await asyncio.sleep(interval)

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


STEPS = declared_steps(Holder)
"""All steps that there are; a script does some of them, and may add its own."""


def _of(connection: Connection) -> dict[str, str]:
    """What requests to a service may use of a connection."""
    names = ("connection_id", "my_did", "their_did", "invitation_msg_id")
    return {name: getattr(connection, name) for name in names}
