"""What holders ask of the services under test by HTTPS: invitations, revocations, the results of presentations, and
whatever else a script asks."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from controller.services.answer import Answer, found_at, json_or_text, scalar_text
from controller.services.exchange import Exchange
from controller.services.inquiry import Inquiry, NothingThere
from controller.services.interface import Answered, Result, Verdict
from controller.services.invitation import Invitation, Json
from controller.services.polling import pause
from stampede.machine.trust import tls_context
from stampede.schema.errors import BadInput, BadInvitation, PresentationUnverified, ServiceRefused, StepError
from stampede.schema.masking import Mask
from stampede.schema.settings.placeholders import ANSWER, SECRET
from stampede.schema.settings.request_settings import ResultRequest
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.service_settings import variable_of
from stampede.schema.settings.targets import Targets

MOST_DETAIL = 400
"""Characters of a message as a whole."""


class HttpServices:
    """The services as configured in ``stampede_services``, reached over verified TLS.

    Every method raises ServiceRefused, ServiceUnreachable, TlsError, or StepTimeout when the answer is not complete
    within ``stampede_step_timeout``; BadInput instead of sending anything to a host that must not be load-tested.
    """

    def __init__(self, settings: Settings, secrets: Mapping[str, str]) -> None:
        self._services = settings.asked
        self._ca_file = settings.ca_file
        self._limit = settings.step_timeout
        self._secrets = {f"{SECRET}{name}": value for name, value in secrets.items()}
        self._mask = Mask(secrets.values())
        self._targets = Targets(settings.allowed_targets)
        self._tls_contexts: dict[str, ssl.SSLContext] = {}
        self._exchange = Exchange(self._targets)

    async def __aenter__(self) -> Self:
        self._tls_contexts = {
            name: tls_context(self._ca_file, service.ca_file) for name, service in self._services.items()
        }
        self._exchange.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchange.close()

    async def request_invitation(self, service: str, values: Mapping[str, Any]) -> Json:
        """See Services. Raises BadInvitation too."""
        configured = self._services[service].invitation
        with self._inquiry(service, "invitation", values) as inquiry:
            try:
                await inquiry.ask(configured)
                message = await inquiry.invitation(configured)
            except NothingThere as error:
                raise BadInvitation(error.detail) from None
            return Invitation(message, self._kept_with_invitation(inquiry))

    async def request_revocation(self, service: str, values: Mapping[str, Any]) -> None:
        """See Services."""
        configured = self._services[service].revocation
        if configured is None:
            raise ServiceRefused(f"stampede_services.{service} has no revocation request")
        with self._inquiry(service, "revocation", values) as inquiry:
            _check_done(await inquiry.ask(configured))

    async def request_result(self, service: str, values: Mapping[str, Any]) -> Result:
        """See Services. Raises PresentationUnverified when the answer says none of what was configured."""
        configured = self._services[service].result
        if configured is None:
            raise ServiceRefused(f"stampede_services.{service} has no result request")
        with self._inquiry(service, "result", values) as inquiry:
            return _result(await inquiry.ask(configured, refusing=False), configured, inquiry)

    async def request(self, service: str, name: str, values: Mapping[str, Any]) -> Answered:
        """See Services."""
        configured = self._services[service].requests[name]
        key = f"requests.{name}" if name else "request"
        with self._inquiry(service, key, values) as inquiry:
            answer = await inquiry.ask(configured)
            _check_done(answer)
            value = found_at(json_or_text(answer.text()), configured.found_at)
            if value is None and configured.found_at:
                raise ServiceRefused(
                    f"{answer.said}, but with nothing at {configured.found_at}, where "
                    f"stampede_services.{service}.{key} has its found_at; it is {inquiry.answers.shape()}"
                )
            return Answered(value, self._kept(inquiry))

    def _kept(self, inquiry: Inquiry) -> dict[str, Any]:
        """What further requests to a service may use of its answers."""
        kept = {}
        for name in self._services[inquiry.service].handed_on():
            with contextlib.suppress(KeyError):
                kept[name] = inquiry.answers[name]
        return kept

    def _kept_with_invitation(self, inquiry: Inquiry) -> dict[str, Any]:
        """The same of the answer with an invitation. Raises BadInvitation when something is not there that later
        requests need."""
        kept = self._kept(inquiry)
        for pointer, kind in self._services[inquiry.service].answer_pointers().items():
            if f"{ANSWER}{pointer}" not in kept:
                raise BadInvitation(inquiry.nothing_at(pointer, variable_of(inquiry.service, kind)))
        return kept

    @contextlib.contextmanager
    def _inquiry(self, service: str, key: str, values: Mapping[str, Any]) -> Iterator[Inquiry]:
        """Ask a service. Secrets are kept out of messages: a service may repeat them, or lead to a host named so."""
        inquiry = Inquiry(
            service,
            key,
            {**values, **self._secrets},
            self._exchange,
            self._targets,
            self._tls_contexts[service],
            self._limit,
            self._mask,
        )
        try:
            yield inquiry
        except StepError as error:
            raise type(error)(inquiry.mask().excerpt(error.detail, MOST_DETAIL)) from None
        except BadInput as error:
            mask = inquiry.mask()
            raise BadInput(*(mask(sentence) for sentence in error.sentences)) from None


def _check_done(answer: Answer) -> None:
    """Raise ServiceRefused when the status is none of 2xx."""
    if not 200 <= answer.status < 300:
        raise ServiceRefused(f"{answer.said}, which does not say that it was done")


def _result(answer: Answer, configured: ResultRequest, inquiry: Inquiry) -> Result:
    """What an answer says; a status that refuses the request itself may be listed as a value too."""
    status = str(answer.status)
    lists = {verdict: getattr(configured, verdict) for verdict in Verdict}
    if answer.status >= 400 and not any(status in values for values in lists.values()):
        raise ServiceRefused(inquiry.words(answer))
    value: Any = status if answer.status >= 400 else _value_of(answer, configured.found_at)
    if value is None:
        nothing = (
            f"{answer.said}, with nothing at {configured.found_at or 'all'} yet; it is {inquiry.answers.shape()}"
        )
        return Result(Verdict.PENDING, nothing, pause(answer, 0.0))
    text = scalar_text(value)
    for verdict, values in lists.items():
        if text in values:
            return Result(verdict, f"{answer.said}, the presentation is {text!r}", pause(answer, 0.0))
    raise PresentationUnverified(
        f"{answer.said}, but {value!r} is none of the values that stampede_services.{answer.service}.result lists"
    )


def _value_of(answer: Answer, pointer: str) -> Any:
    """What stands where a result is to be; None when nothing does."""
    text = answer.text().strip()
    return found_at(json_or_text(text), pointer) if text else None
