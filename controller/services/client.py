"""What holders ask of the services under test by HTTPS: invitations, revocations, the results of presentations."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from multidict import CIMultiDict
from yarl import URL

from controller.services.answer import Answer, at_pointer, json_or_text, scalar_text
from controller.services.exchange import Exchange, Request
from controller.services.interface import Result, Verdict
from controller.services.invitation import Invitation, Json, from_response
from stampede.machine.trust import tls_context
from stampede.schema.errors import (
    BadInput,
    BadInvitation,
    PresentationUnverified,
    ServiceRefused,
    ServiceUnreachable,
    StepError,
    StepTimeout,
)
from stampede.schema.masking import Mask
from stampede.schema.settings.placeholders import ANSWER, SECRET, fill_in, fill_in_body, fill_in_url
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.service_settings import HttpRequest, ResultRequest
from stampede.schema.settings.targets import Targets

MOST_QUOTED = 160
"""Characters of an answer that a message quotes."""
MOST_DETAIL = 400
"""Characters of a message as a whole."""


class HttpServices:
    """The services as configured in ``stampede_services``, reached over verified TLS.

    Every method raises ServiceRefused, ServiceUnreachable, TlsError, or StepTimeout when the answer is not complete
    within ``stampede_step_timeout``; BadInput instead of sending anything to a host that must not be load-tested.
    """

    def __init__(self, settings: Settings, secrets: Mapping[str, str]) -> None:
        self._services = settings.services
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

    async def request_invitation(self, service: str, values: Mapping[str, str]) -> Json:
        """See Services. Raises BadInvitation too."""
        configured = self._services[service].invitation
        with self._secrets_masked():
            answer = await self._ask(service, "invitation", configured, values)
            return Invitation(_invitation_of(answer, configured), self._kept_of(answer))

    async def request_revocation(self, service: str, values: Mapping[str, str]) -> None:
        """See Services."""
        configured = self._services[service].revocation
        if configured is None:
            raise ServiceRefused(f"stampede_services.{service} has no revocation request")
        with self._secrets_masked():
            answer = await self._ask(service, "revocation", configured, values)
            if not 200 <= answer.status < 300:
                raise ServiceRefused(f"{answer.said}, which does not say that it was done")

    async def request_result(self, service: str, values: Mapping[str, str]) -> Result:
        """See Services. Raises PresentationUnverified when the answer says none of what was configured."""
        configured = self._services[service].result
        if configured is None:
            raise ServiceRefused(f"stampede_services.{service} has no result request")
        with self._secrets_masked():
            answer = await self._ask(service, "result", configured, values, refusing=False)
            return self._result(answer, configured)

    def _result(self, answer: Answer, configured: ResultRequest) -> Result:
        """What an answer says; a status that refuses the request itself may be listed as a value too."""
        status = str(answer.status)
        lists = {verdict: getattr(configured, verdict) for verdict in Verdict}
        if answer.status >= 400 and not any(status in values for values in lists.values()):
            raise ServiceRefused(f"{answer.said} {self._mask.excerpt(answer.excerpt(), MOST_QUOTED)}".rstrip())
        value: Any = status if answer.status >= 400 else _value_of(answer, configured.found_at)
        if value is None:
            return Result(Verdict.PENDING, f"{answer.said}, with nothing at {configured.found_at or 'all'} yet")
        text = scalar_text(value)
        for verdict, values in lists.items():
            if text in values:
                return Result(verdict, f"{answer.said}, the presentation is {text!r}")
        raise PresentationUnverified(
            f"{answer.said}, but {value!r} is none of the values that stampede_services.{answer.service}.result lists"
        )

    async def _ask(
        self,
        service: str,
        kind: str,
        configured: HttpRequest,
        values: Mapping[str, str],
        *,
        refusing: bool = True,
    ) -> Answer:
        """Send one request. ``refusing``: whether a status of 400 or above raises ServiceRefused."""
        request = self._request(service, kind, configured, values)
        try:
            async with asyncio.timeout(self._limit):
                answer = await self._exchange.send(request)
        except TimeoutError:
            raise StepTimeout(f"{service} had not answered completely within {self._limit:g} s") from None
        if refusing and answer.status >= 400:
            raise ServiceRefused(f"{answer.said} {self._mask.excerpt(answer.excerpt(), MOST_QUOTED)}".rstrip())
        return answer

    def _request(self, service: str, kind: str, configured: HttpRequest, values: Mapping[str, str]) -> Request:
        """A request with its placeholders filled in, to a host that may be loaded."""
        where = f"stampede_services.{service}.{kind}.url is {configured.url!r}"
        replacements = {**values, **self._secrets}
        try:
            url = URL(fill_in_url(configured.url, replacements))
            headers = CIMultiDict(fill_in(configured.headers, replacements))
            body = fill_in_body(configured.body, replacements, headers.get("Content-Type", ""))
        except KeyError as unknown:
            raise ServiceUnreachable(
                f"the {kind} request to {service} cannot be sent, for ${{{unknown.args[0]}}} is not known"
            ) from None
        except ValueError as error:
            raise ServiceUnreachable(f"the {kind} request to {service} cannot be sent: {error}") from None
        self._targets.check(where, url)
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        return Request(
            service,
            where,
            configured.method,
            url,
            headers,
            None if body is None else body.encode("utf-8", "replace"),
            self._tls_contexts[service],
            for_invitation=kind == "invitation",
            secret_headers={name.lower() for name, text in configured.headers.items() if f"${{{SECRET}" in text},
        )

    def _kept_of(self, answer: Answer) -> dict[str, str]:
        """What later requests use of the answer with an invitation. Raises BadInvitation when it is not there."""
        pointers = self._services[answer.service].answer_pointers()
        document = json_or_text(answer.text()) if pointers else None
        kept = {}
        for pointer, kind in pointers.items():
            text = scalar_text(_found(document, pointer))
            if text is None:
                raise BadInvitation(
                    f"{answer.said}, but with no text or number at {pointer}, which "
                    f"stampede_services.{answer.service}.{kind} uses"
                )
            kept[f"{ANSWER}{pointer}"] = text
        return kept

    @contextlib.contextmanager
    def _secrets_masked(self) -> Iterator[None]:
        """Keep secrets out of messages: a service may repeat them in its answer, or lead to a host named so."""
        try:
            yield
        except StepError as error:
            raise type(error)(self._mask.excerpt(error.detail, MOST_DETAIL)) from None
        except BadInput as error:
            raise BadInput(*(self._mask(sentence) for sentence in error.sentences)) from None


def _invitation_of(answer: Answer, configured: HttpRequest) -> Json:
    """The invitation that a redirect carries or that is in the body. Raises BadInvitation."""
    if answer.invitation is not None:
        return answer.invitation
    if configured.found_at == "redirect":
        raise BadInvitation(
            f"{configured.url} did not redirect to a URL with oob=, c_i= or d_m=, but answered {answer.status}"
        )
    try:
        text = answer.text()
    except ServiceRefused as error:
        raise BadInvitation(error.detail) from None
    try:
        return from_response(text, configured.found_at)
    except BadInvitation as error:
        raise BadInvitation(f"{answer.said}: {error.detail}") from None


def _value_of(answer: Answer, found_at: str) -> Any:
    """What stands where a result is to be; None when nothing does."""
    text = answer.text().strip()
    if not text:
        return None
    document = json_or_text(text)
    return _found(document, found_at)


def _found(document: Any, pointer: str) -> Any:
    """What is at a JSON pointer; None when nothing is."""
    try:
        return at_pointer(document, pointer)
    except LookupError:
        return None
