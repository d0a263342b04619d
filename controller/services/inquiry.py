"""What one step asks of a service: requests one after another, answers that come later, invitations elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import ChainMap
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

from multidict import CIMultiDict
from yarl import URL

from controller.services.answer import Answer
from controller.services.exchange import ACCEPT, Exchange, cookie_jar
from controller.services.handed_on import Answers
from controller.services.invitation import Json, from_response
from controller.services.links import link_to_invitation
from controller.services.polling import is_pending, pause
from controller.services.request import Request
from stampede.schema.errors import (
    BadInput,
    BadInvitation,
    ServiceRefused,
    ServiceUnreachable,
    StepTimeout,
    noted,
)
from stampede.schema.known_values import HiddenText
from stampede.schema.masking import Mask
from stampede.schema.settings.placeholders import (
    SECRET,
    fill_in_body,
    fill_in_headers,
    fill_in_url,
    is_of_the_moment,
    is_placeholder,
    names_in,
    pointer_of,
)
from stampede.schema.settings.request_settings import MAX_REDIRECTS, SECRET_HEADER, HttpRequest, Poll
from stampede.schema.settings.service_settings import variable_of
from stampede.schema.settings.targets import Targets
from stampede.schema.settings.web_address import is_loopback

MOST_QUOTED = 160
"""Characters of an answer that a message quotes."""


class NothingThere(ServiceRefused):
    """A service answered, but not what the next request needs."""


class Inquiry:
    """The requests of one step to one service: one after another, each until its answer is there."""

    def __init__(
        self,
        service: str,
        key: str,
        values: Mapping[str, Any],
        exchange: Exchange,
        targets: Targets,
        tls: ssl.SSLContext,
        limit: float,
        mask: Mask,
    ) -> None:
        self.service = service
        self.answers = Answers()
        self._key = key
        self._exchange = exchange
        self._targets = targets
        self._tls = tls
        self._limit = limit
        self._values = values
        self._known = ChainMap[str, Any](self.answers, values)  # type: ignore[arg-type]
        self._cookies = cookie_jar()
        self._mask = mask
        self._hidden: set[str] = {value for value in values.values() if isinstance(value, HiddenText)}

    def mask(self) -> Mask:
        """Keeps the secrets out of messages, and what else was sent in headers that hold secrets."""
        if not self._hidden:
            return self._mask  # made once for all: a service may refuse very often
        return Mask({value for name, value in self._values.items() if name.startswith(SECRET)} | self._hidden)

    async def ask(self, configured: HttpRequest, *, refusing: bool = True) -> Answer:
        """Send a request, and before it those whose answers it uses. ``refusing``: whether a status of 400 or above
        raises ServiceRefused."""
        async with self._within_limit():
            for place, each in enumerate(configured.in_order):
                is_last = each is configured
                where = f"{self._key}[{place}]" if configured.before else self._key
                request = self._request(where, each, for_invitation=is_last and self._key == "invitation")
                self.answers.begin()
                answer = await self._answered(request, each.poll, where)
                if answer.status >= 400 and (refusing or not is_last):
                    raise ServiceRefused(self.words(answer))
        return answer

    async def invitation(self, configured: HttpRequest) -> Json:
        """The invitation that was answered, or that is where the answer leads to. Raises BadInvitation."""
        where = configured.found_at
        for left in reversed(range(MAX_REDIRECTS + 1)):
            answer = self.answers.newest
            assert answer is not None, "something was asked"
            try:
                return _invitation_in(answer, where, configured.url)
            except BadInvitation as error:
                request = self._request_for_invitation(answer, where, error)
            if left:
                async with self._within_limit():
                    answer = await self._answered(request, Poll(), self._key)
                if answer.status >= 400:
                    raise ServiceRefused(f"{self.words(answer)}, where the invitation was to be fetched from")
            where = ""
        raise ServiceRefused(f"{self.service} led to more than {MAX_REDIRECTS} URLs in search of an invitation")

    def words(self, answer: Answer) -> str:
        """An answer as a sentence quotes it."""
        return f"{answer.said} {self.mask().excerpt(answer.excerpt(), MOST_QUOTED)}".rstrip()

    def nothing_at(self, pointer: str, user: str) -> str:
        """A sentence about an answer without what a request needs of it."""
        said = self.answers.newest.said if self.answers.newest else self.service
        return f"{said}, but with no text or number at {pointer}, which {user} uses; it is {self.answers.shape()}"

    @contextlib.asynccontextmanager
    async def _within_limit(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limit):
                yield
        except TimeoutError as expired:
            said = noted(expired) or f"{self.service} had not answered completely"
            raise StepTimeout(f"{said} within {self._limit:g} s") from None

    async def _answered(self, request: Request, poll: Poll | None, where: str) -> Answer:
        """The answer, asked for again while it is still to come. Raises StepTimeout when it does not come in time."""
        answer, clock = await self._sent(request), asyncio.get_running_loop()
        if poll is None:
            return answer
        end, times = clock.time() + poll.limit, 1
        while is_pending(answer, poll, again=times > 1) and not self._has_invitation(answer, request):
            wanted = pause(answer, poll.interval)
            if clock.time() + wanted >= end:
                raise StepTimeout(
                    f"{self._asked(answer, times)}; it would be asked again after {wanted:g} s, but no longer than "
                    f"{poll.limit:g} s in all"
                )
            try:
                await asyncio.sleep(wanted)
                answer = await self._sent(self._again(answer, request, poll, where))
            except asyncio.CancelledError as error:
                error.add_note(self._asked(answer, times))
                raise
            times += 1
        return answer

    def _asked(self, answer: Answer, times: int) -> str:
        """What was last answered to requests that asked for an answer again and again."""
        return f"{self.words(answer)}, asked {times} times" if times > 1 else self.words(answer)

    async def _sent(self, request: Request) -> Answer:
        answer = await self._exchange.send(request, self._cookies)
        self.answers.add(answer)
        return answer

    @staticmethod
    def _has_invitation(answer: Answer, request: Request) -> bool:
        """Whether an answer that says that it is not there yet has the invitation nevertheless."""
        if not request.for_invitation or answer.status != 202:
            return False
        with contextlib.suppress(BadInvitation, ServiceRefused):
            return bool(from_response(answer.text()))
        return False

    def _again(self, answer: Answer, request: Request, poll: Poll, where: str) -> Request:
        """The request that asks for an answer again."""
        asked = answer.request or request
        if poll.url:
            url = self._filled(f"{where}.poll", lambda: URL(fill_in_url(poll.url, self._known)))
            if is_placeholder(poll.url):
                return self._exchange.leading_to(asked, str(url), answer.said)
            setting = f"{variable_of(self.service, f'{where}.poll.url')} is {poll.url!r}"
            return self._exchange.leading_to(replace(request, url=url, where=setting), str(url), answer.said)
        if location := answer.headers.get("Location", ""):
            return self._exchange.leading_to(asked, location, answer.said)
        return asked

    def _request_for_invitation(self, answer: Answer, where: str, error: BadInvitation) -> Request:
        """The request for an invitation that an answer leads to. Raises BadInvitation when it leads to none."""
        try:
            link = link_to_invitation(answer, where) if answer.request else ""
        except BadInvitation as several:
            raise BadInvitation(f"{error.detail}; {several.detail}") from None
        if not link or answer.request is None:
            raise error
        try:
            request = self._exchange.leading_to(answer.request, link, answer.said)
        except (BadInput, ServiceRefused) as refusal:
            if where or isinstance(refusal, ServiceRefused):
                raise
            # it was but the likeliest of what is there, so that it ends the step alone, and not the run
            reason = " ".join(refusal.sentences).rpartition(", but ")[2]
            raise BadInvitation(f"{error.detail}; it is not fetched from {link}: {reason}") from None
        if "accept" not in request.secret_headers:
            request.headers["Accept"] = ACCEPT
        return request

    def _request(self, where: str, configured: HttpRequest, *, for_invitation: bool) -> Request:
        """A request with its placeholders filled in, to a host that may be loaded."""
        setting = f"{variable_of(self.service, f'{where}.url')} is {configured.url!r}"
        url = self._filled(where, lambda: URL(fill_in_url(configured.url, self._known)))
        if is_placeholder(configured.url):
            url = self._led_to(where, url)
        headers = CIMultiDict(self._filled(where, lambda: fill_in_headers(configured.headers, self._known)))
        content_type = headers.get("Content-Type", "")
        body = self._filled(where, lambda: fill_in_body(configured.body, self._known, content_type))
        self._targets.check(setting, url)
        self._hide(configured.headers)
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        return Request(
            self.service,
            setting,
            configured.method,
            url,
            headers,
            None if body is None else body.encode("utf-8", "replace"),
            self._tls,
            for_invitation=for_invitation,
            secret_headers=[
                name.lower()
                for name, text in configured.headers.items()
                if any(map(is_of_the_moment, names_in(text)))
            ],
        )

    def _filled[T](self, where: str, fill: Callable[[], T]) -> T:
        """What ``fill`` makes of the values. Raises ServiceUnreachable for one that is not known or does not fit."""
        what = self._named(where)
        try:
            return fill()
        except KeyError as unknown:
            name = str(unknown.args[0])
            found = pointer_of(name)
            if found and self.answers.newest:
                raise NothingThere(self.nothing_at(found[1], variable_of(self.service, where))) from None
            raise ServiceUnreachable(f"{what} cannot be sent, for ${{{name}}} is not known") from None
        except ValueError as error:
            raise ServiceUnreachable(f"{what} cannot be sent: {error}") from None

    def _named(self, where: str) -> str:
        """A request as sentences name it, by its key in the settings."""
        return f"the request to {self.service}" if where == "request" else f"the {where} request to {self.service}"

    def _led_to(self, where: str, url: URL) -> URL:
        """A URL that an answer or the script told. Raises ServiceRefused when it is none that is requested."""
        newest = self.answers.newest
        if not url.absolute and newest and newest.request:
            url = newest.request.url.join(url)
        url = url.with_fragment(None)
        is_fit = url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host))
        if not is_fit or url.host is None:
            raise ServiceRefused(f"the {where} request to {self.service} would go to {url}; it must be an https URL")
        return url.with_user(None)

    def _hide(self, headers: Mapping[str, str]) -> None:
        """Keep out of messages what is sent in headers that hold secrets, whether it was answered or given."""
        for name, text in headers.items():
            if SECRET_HEADER.search(name.lower()):
                self._hidden |= {
                    value
                    for used in names_in(text)
                    if not used.startswith(SECRET) and isinstance(value := self._known[used], str) and len(value) > 3
                }


def _invitation_in(answer: Answer, where: str, url: str) -> Json:
    """The invitation that a redirect carries or that is in the body. Raises BadInvitation."""
    if answer.invitation is not None:
        return answer.invitation
    if where == "redirect":
        raise BadInvitation(f"{url} did not redirect to a URL with oob=, c_i= or d_m=, but answered {answer.status}")
    try:
        text = answer.text()
    except ServiceRefused as error:
        raise BadInvitation(error.detail) from None
    try:
        return from_response(text, where)
    except BadInvitation as error:
        raise BadInvitation(f"{answer.said}: {error.detail}") from None
