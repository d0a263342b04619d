"""Answers that come in several requests: lists of them, answers that come later, invitations that are elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import email.utils
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_service import BODY, INVITATION, Oddity, OddService, http, odd_service, oob, redirect

from controller.services.answer import Answer
from controller.services.client import HttpServices
from controller.services.handed_on import shape_of
from controller.services.interface import Verdict
from controller.services.polling import is_pending, pause
from stampede.schema.errors import BadInput, BadInvitation, ServiceRefused, ServiceUnreachable, StepError, StepTimeout
from stampede.schema.settings.request_settings import Poll
from stampede.schema.settings.run_settings import Settings

TOKEN = "a-token-of-the-moment"


@contextlib.asynccontextmanager
async def asked(
    variables: dict[str, Any],
    service: OddService,
    *,
    secrets: dict[str, str] | None = None,
    limit: Any = 5,
    **requests: Any,
) -> AsyncIterator[HttpServices]:
    """The client of one service, whose ``requests`` have ``{url}`` where the odd service is."""
    here = f"http://127.0.0.1:{service.port}"
    configured = json.loads(json.dumps(requests).replace("{url}", here))
    changes = {
        "stampede_services": {"issuer": configured},
        "stampede_secrets": secrets or {},
        "stampede_mediator_did": "",
        "stampede_step_timeout": limit,
    }
    async with HttpServices(Settings.from_variables(variables | changes), secrets or {}) as services:
        yield services


def answers(*several: bytes) -> Callable[..., Any]:
    """One answer after the other, the last one for good."""
    left = list(several)

    async def write(writer: asyncio.StreamWriter, service: OddService) -> None:
        answer = left.pop(0) if len(left) > 1 else left[0]
        writer.write(answer.replace(b"{url}", f"http://127.0.0.1:{service.port}".encode()))

    return write


def as_answer(value: Any, status: str = "200 OK", **headers: str) -> bytes:
    body = json.dumps(value).encode()
    # {url} is replaced by something longer, so that the length cannot be told before
    return http(body, status, Content_Length="", Connection="close", **headers)


def paths(service: OddService) -> list[str]:
    return [" ".join(head.split()[:2]) for head in service.asked]


# ------------------------------------------------------------------------ lists of requests

CREATED = {"pres_ex_id": "p-1", "request": {"name": "proof", "n": [1]}, "id": "first"}


async def test_the_second_request_uses_what_the_first_answered(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.oddities["create-request"] = Oddity(as_answer(CREATED))
        service.oddities["create-invitation"] = Oddity(as_answer({"id": "second", "invitation": INVITATION}))
        attached = {"id": "${answer:/pres_ex_id}", "data": "${answer:/request}", "first": "no ${answer1:/id}"}
        invitation = [
            {"url": "{url}/create-request", "body": {"auto_verify": True}},
            {"url": "{url}/create-invitation?of=${answer:/pres_ex_id}", "body": {"attachments": [attached]}},
        ]
        result = {"url": "{url}/${answer:/pres_ex_id}/${answer:/id}/${answer1:/id}"}
        async with asked(variables, service, invitation=invitation, result=result) as services:
            found = await services.request_invitation("issuer", {})
    assert found == INVITATION
    assert paths(service) == ["POST /create-request", "POST /create-invitation?of=p-1"]
    sent = {"id": "p-1", "data": {"name": "proof", "n": [1]}, "first": "no first"}
    assert json.loads(service.bodies[1]) == {"attachments": [sent]}
    assert found.answer == {"answer:/pres_ex_id": "p-1", "answer:/id": "second", "answer1:/id": "first"}  # type: ignore[attr-defined]


async def test_a_token_that_was_answered_is_sent_and_told_to_nobody(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.oddities["token"] = Oddity(as_answer({"access_token": TOKEN, "expires_in": 60}))
        service.oddities["invitation"] = Oddity(http(f"no, Bearer {TOKEN}".encode(), "403 Forbidden", "text/plain"))
        invitation = [
            {"url": "{url}/token", "headers": {"Authorization": "Basic ${secret:client}"}},
            {"url": "{url}/invitation", "headers": {"Authorization": "Bearer ${answer:/access_token}"}},
        ]
        async with asked(variables, service, secrets={"client": "hush-hush"}, invitation=invitation) as services:
            with pytest.raises(ServiceRefused, match=r"answered 403 no, Bearer \*\*\*"):
                await services.request_invitation("issuer", {})
    assert f"Bearer {TOKEN}" in service.asked[1]


@pytest.mark.parametrize("first", [as_answer({"id": TOKEN, "of": [{}]}), http(b"welcome", kind="text/plain")])
async def test_a_pointer_that_leads_nowhere_is_told_with_the_shape(variables: dict[str, Any], first: bytes) -> None:
    invitation = [{"url": "{url}/one"}, {"url": "{url}/two/${answer:/pres_ex_id}"}]
    async with odd_service() as service:
        service.oddities["one"] = Oddity(first)
        async with asked(variables, service, invitation=invitation) as services:
            with pytest.raises(BadInvitation) as caught:
                await services.request_invitation("issuer", {})
        revocation = {"invitation": {"url": "{url}/plain"}, "revocation": invitation}
        async with asked(variables, service, **revocation) as services:
            with pytest.raises(ServiceRefused):
                await services.request_revocation("issuer", {})
    shape = "text" if b"welcome" in first else "{id: text, of: [{}]}"
    assert caught.value.detail == (
        "issuer answered 200, but with no text or number at /pres_ex_id, which "
        f"stampede_services.issuer.invitation[1] uses; it is {shape}"
    )
    assert len(service.asked) == 2


async def test_a_refusal_ends_a_list(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.oddities["one"] = Oddity(http(b"busy", "503 Busy"))
        async with asked(variables, service, invitation=[{"url": "{url}/one"}, {"url": "{url}/plain"}]) as services:
            with pytest.raises(ServiceRefused, match="answered 503 busy"):
                await services.request_invitation("issuer", {})
    assert paths(service) == ["POST /one"]


async def test_cookies_of_a_list_are_kept_within_it(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.oddities["login"] = Oddity(http(b"{}", Set_Cookie="session=x1; Path=/"))
        invitation = [{"url": "{url}/login"}, {"url": "{url}/wants_cookie"}]
        async with asked(
            variables, service, invitation=invitation, request={"url": "{url}/wants_cookie"}
        ) as services:
            assert await services.request_invitation("issuer", {}) == INVITATION
            with pytest.raises(ServiceRefused):
                await services.request("issuer", "", {})


@pytest.mark.parametrize(
    ("url", "error", "says"),
    [
        ("{url}/plain", "", ""),
        ("/plain", "", ""),
        (
            "http://elsewhere.example.org/",
            "service_refused",
            "would go to http://elsewhere.example.org/; it must be an",
        ),
        ("https://elsewhere.example.com/", "", "elsewhere.example.com is not among the hosts"),
        ("ftp://127.0.0.1/", "service_refused", "it must be an https URL"),
        ("http://[half", "service_unreachable", "cannot be sent"),
    ],
)
async def test_a_url_that_was_answered(variables: dict[str, Any], url: str, error: str, says: str) -> None:
    async with odd_service() as service:
        service.oddities["one"] = Oddity(answers(as_answer({"next": url})))
        invitation = [{"url": "{url}/one"}, {"url": "${answer:/next}", "method": "GET"}]
        async with asked(variables, service, invitation=invitation) as services:
            if not says:
                assert await services.request_invitation("issuer", {}) == INVITATION
                assert paths(service)[1] == "GET /plain"
                return
            with pytest.raises((StepError, BadInput), match=says.replace("[", r"\[")) as caught:
                await services.request_invitation("issuer", {})
    assert getattr(caught.value, "error_class", "") == error


# ------------------------------------------------------------------------ answers that come later


def later(**headers: str) -> bytes:
    return as_answer({"status": "pending", "poll": "{url}/status"}, "202 Accepted", **headers)


@pytest.mark.parametrize(
    ("first", "configured", "expected"),
    [
        (later(Retry_After="0"), {}, ["POST /i", "POST /i"]),
        (later(Location="/status"), {"poll": {"interval": 0.01}}, ["POST /i", "GET /status", "GET /status"]),
        (later(Location="status", Retry_After="0"), {}, ["POST /i", "GET /status", "GET /status"]),  # a second later
        (later(), {"poll": {"url": "${answer:/poll}", "interval": 0.01}}, ["POST /i", "GET /status", "GET /status"]),
        (
            later(),
            {"poll": {"url": "{url}/status?x", "interval": 0.01}},
            ["POST /i", "GET /status?x", "GET /status?x"],
        ),
        (later(), {"method": "GET", "poll": {"interval": 0.01}}, ["GET /i", "GET /i", "GET /i"]),
        (later(), {"method": "PUT", "poll": True}, ["PUT /i", "PUT /i"]),
        (
            as_answer({"id": 7, "status": "pending"}, "201 Created"),
            {
                "poll": {
                    "url": "{url}/status/${answer:/id}",
                    "found_at": "/status",
                    "pending": "pending",
                    "interval": 0.01,
                }
            },
            ["POST /i", "GET /status/7", "GET /status/7"],
        ),
    ],
)
async def test_an_answer_that_comes_later(
    variables: dict[str, Any], first: bytes, configured: dict[str, Any], expected: list[str]
) -> None:
    again = as_answer({"status": "pending"}, "202 Accepted")
    times = len(expected) - 1
    async with odd_service() as service:
        service.oddities["i"] = Oddity(answers(first, *[again] * (times - 1), http(BODY)))
        polled = Oddity(answers(*[again] * (times - 1), http(BODY)))
        service.oddities |= {"status": polled, "status/7": polled}
        async with asked(variables, service, invitation={"url": "{url}/i"} | configured) as services:
            assert await services.request_invitation("issuer", {}) == INVITATION
    assert paths(service) == expected


async def test_what_is_not_there_yet_is_no_answer_unless_it_says_when_or_where(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.oddities["i"] = Oddity(as_answer({"status": "pending"}, "202 Accepted"))
        service.oddities["both"] = Oddity(http(BODY, "202 Accepted", Retry_After="60", Location="/none"))
        request, off = {"url": "{url}/i"}, {"url": "{url}/both", "poll": False}
        async with asked(variables, service, invitation=request, request=request, requests={"off": off}) as services:
            with pytest.raises(BadInvitation, match="answered 202: no invitation"):
                await services.request_invitation("issuer", {})
            assert (await services.request("issuer", "", {})).value == {"status": "pending"}
            assert (await services.request("issuer", "off", {})).value == json.loads(BODY)
        async with asked(variables, service, invitation={"url": "{url}/both"}) as services:
            assert await services.request_invitation("issuer", {}) == INVITATION
    assert len(service.asked) == 4


async def test_a_revocation_that_is_accepted_is_over_unless_it_is_polled(variables: dict[str, Any]) -> None:
    accepted = http(b"", "202 Accepted", Location="/done", Retry_After="0")
    async with odd_service() as service:
        service.oddities["r"] = Oddity(accepted)
        service.oddities["done"] = Oddity(answers(accepted, http(b"{}")))
        for poll, times in ((None, 1), ({"limit": "10s"}, 3)):
            service.asked.clear()
            revocation = {"url": "{url}/r", "poll": poll}
            async with asked(
                variables, service, invitation={"url": "{url}/plain"}, revocation=revocation
            ) as services:
                await services.request_revocation("issuer", {})
            assert len(service.asked) == times


@pytest.mark.parametrize(
    ("wait", "poll", "says"),
    [
        (
            "1",
            {"limit": "1.5s"},
            r'answered 202 \{"status": "pending"\}, asked 2 times; it would be asked again after 1 s',
        ),
        (
            "3600",
            {},
            r'answered 202 \{"status": "pending"\}; it would be asked again after 3600 s, but no longer than 30',
        ),
        ("0", {"limit": "1m"}, r'answered 202 \{"status": "pending"\}, asked [0-9]+ times within 1.5 s'),
    ],
)
async def test_a_poll_that_never_ends(variables: dict[str, Any], wait: str, poll: dict[str, Any], says: str) -> None:
    async with odd_service() as service:
        service.oddities["i"] = Oddity(as_answer({"status": "pending"}, "202 Accepted", Retry_After=wait))
        limit = 1.5 if "within" in says else 60
        async with asked(variables, service, limit=limit, request={"url": "{url}/i", "poll": poll}) as services:
            with pytest.raises(StepTimeout, match=says):
                await services.request("issuer", "", {})


@pytest.mark.parametrize(("headers", "wanted"), [({}, 0), ({"Retry_After": "7"}, 7)])
async def test_a_result_that_is_pending_may_say_when_to_ask_again(
    variables: dict[str, Any], headers: dict[str, str], wanted: float
) -> None:
    async with odd_service() as service:
        service.oddities["r"] = Oddity(as_answer({"id": "hush", "verified": None}, "202 Accepted", **headers))
        result = {"url": "{url}/r", "found_at": "/verified"}
        async with asked(variables, service, invitation={"url": "{url}/plain"}, result=result) as services:
            found = await services.request_result("issuer", {})
    assert (found.verdict, found.pause) == (Verdict.PENDING, wanted)
    assert found.sentence == "issuer answered 202, with nothing at /verified yet; it is {id: text, verified: null}"


async def test_a_poll_is_sent_no_secrets_elsewhere(variables: dict[str, Any]) -> None:
    async with odd_service() as other, odd_service() as service:
        other.oddities["status"] = Oddity(http(BODY))
        location = f"http://127.0.0.1:{other.port}/status"
        service.oddities["i"] = Oddity(http(b"", "202 Accepted", Location=location, Retry_After="0"))
        request = {"url": "{url}/i", "headers": {"X-API-Key": "${secret:key}"}, "body": {"a": 1}}
        async with asked(variables, service, secrets={"key": "hush-hush"}, invitation=request) as services:
            assert await services.request_invitation("issuer", {}) == INVITATION
    assert "hush-hush" in service.asked[0]
    assert "hush-hush" not in other.asked[0] and "x-api-key" not in other.asked[0].lower()


@pytest.mark.parametrize("location", ["https://elsewhere.example.com/x", "http://192.0.2.1/x", "ftp://127.0.0.1/"])
async def test_a_poll_goes_nowhere_else(variables: dict[str, Any], location: str) -> None:
    async with odd_service() as service:
        service.oddities["i"] = Oddity(http(b"", "202 Accepted", Location=location, Retry_After="0"))
        async with asked(variables, service, request={"url": "{url}/i"}) as services:
            with pytest.raises(
                (BadInput, ServiceRefused), match=r"not among the hosts|not encrypted|no http or https"
            ):
                await services.request("issuer", "", {})
    assert len(service.asked) == 1


NOW = datetime.datetime(2026, 11, 27, 12, 0, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 0 "}, 0.1),
        ({"Retry-After": "soon"}, 1.5),
        ({"Retry-After": "-5"}, 1.5),
        ({"Retry-After": "1" * 5000}, 1.5),
        ({"Retry-After": "\u0663"}, 1.5),
        ({}, 1.5),
        ({"Retry-After": "Fri, 27 Nov 2026 12:00:09 GMT", "Date": "Fri, 27 Nov 2026 12:00:00 GMT"}, 9),
        ({"Retry-After": "Fri, 27 Nov 2026 11:00:00 GMT", "Date": "Fri, 27 Nov 2026 12:00:00 GMT"}, 0.1),
        ({"Retry-After": "Fri, 27 Nov 2026 12:00:09 GMT", "Date": "nonsense"}, None),
        ({"Retry-After": "Fri, 99 Nov 99999999 12:00:09 GMT"}, 1.5),
    ],
)
def test_when_to_ask_again(headers: dict[str, str], seconds: float | None) -> None:
    found = pause(Answer("issuer", 202, headers=headers), 1.5)
    assert found == seconds if seconds is not None else found >= 0.1


@pytest.mark.fuzz
@given(
    st.text() | st.datetimes().map(email.utils.format_datetime), st.text() | st.just(email.utils.format_datetime(NOW))
)
def test_whatever_a_service_says_of_when(wanted: str, date: str) -> None:
    assert pause(Answer("issuer", 202, headers={"Retry-After": wanted, "Date": date}), 1.5) >= 0.1


@pytest.mark.fuzz
@given(st.binary(), st.integers(100, 599), st.sampled_from(["", "/a", "/0"]), st.lists(st.text(max_size=3)))
def test_whatever_is_answered_is_pending_or_not(body: bytes, status: int, pointer: str, pending: list[str]) -> None:
    assert is_pending(Answer("issuer", status, body), Poll(found_at=pointer, pending=tuple(pending))) in (True, False)


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
)


@pytest.mark.fuzz
@given(values)
def test_a_shape_has_no_value_in_it(value: Any) -> None:
    shape = shape_of({"known": value, "secret": "hush-hush"})
    assert shape.startswith("{known: ") and "hush" not in shape


# ------------------------------------------------------------------------ invitations that are elsewhere

LINK = f"https://e.org/?oob={oob()}"
SHORT: dict[str, bytes] = {
    "field": as_answer({"invitation_url": "{url}/s/abc"}),
    "text": http(b"{url}/s/abc\n", kind="text/plain", Content_Length="", Connection="close"),
    "json_text": as_answer("{url}/s/abc"),
    "oobid": as_answer({"help": "{url}/help", "link": "{url}/s/abc?oobid=5f0e3ffb"}),
    "_oobid": as_answer({"help": "{url}/help", "link": "{url}/s/abc?_oobid=5f0e3ffb"}),
    "deep_link": as_answer({"link": "didcomm://open?_url={url}%2Fs%2Fabc"}),
    "qr_code_too": as_answer({"qr_code_url": "{url}/qr", "data": {"invitationUrl": "{url}/s/abc"}}),
    "location": http(b"", "201 Created", Location="/s/abc"),
    "redirect": redirect("/s/abc"),
    "json_in_a_field": as_answer({"body": json.dumps({"url": "{url}/s/abc"})}),
}
FETCHED: dict[str, bytes] = {
    "invitation": http(BODY),
    "bare": http(json.dumps(INVITATION).encode()),
    "redirect": redirect(LINK),
    "app": redirect(f"didcomm://invite?oob={oob()}"),
    "page": http(f'<a href="didcomm://invite?oob={oob()}">open</a>'.encode(), kind="text/html"),
    "further": as_answer({"url": "{url}/s/def"}),
    "later": http(b"", "202 Accepted", Location="/s/def", Retry_After="0"),
}


@pytest.mark.parametrize("fetched", FETCHED)
@pytest.mark.parametrize("short", SHORT)
async def test_an_invitation_is_fetched(variables: dict[str, Any], short: str, fetched: str) -> None:
    async with odd_service() as service:
        service.oddities["i"] = Oddity(answers(SHORT[short]))
        service.oddities |= {"s/abc": Oddity(answers(FETCHED[fetched])), "s/def": Oddity(http(BODY))}
        request = {"url": "{url}/i", "headers": {"X-API-Key": "${secret:key}"}, "body": {"a": 1}}
        async with asked(variables, service, secrets={"key": "hush-hush"}, invitation=request) as services:
            assert await services.request_invitation("issuer", {}) == INVITATION
    assert paths(service)[1].startswith("GET /s/abc")
    assert "accept: application/json" in service.asked[1].lower()
    assert service.bodies[1] == b""


@pytest.mark.parametrize(("found_at", "value"), [("/a/1", "{url}/s/abc"), ("/a/1", "/s/abc"), ("/a/1", LINK)])
async def test_where_the_url_is_may_be_told(variables: dict[str, Any], found_at: str, value: str) -> None:
    async with odd_service() as service:
        service.oddities["i"] = Oddity(answers(as_answer({"invitation": "{url}/x", "a": ["{url}/y", value]})))
        service.oddities["s/abc"] = Oddity(http(BODY))
        async with asked(variables, service, invitation={"url": "{url}/i", "found_at": found_at}) as services:
            assert await services.request_invitation("issuer", {}) == INVITATION


@pytest.mark.parametrize(
    ("answer", "found_at", "error", "says"),
    [
        ({"a": "{url}/s/1", "b": "{url}/s/2"}, "", BadInvitation, "could be fetched from 2 URLs; found_at must tell"),
        (
            {"a": "https://elsewhere.example.com/s"},
            "",
            BadInvitation,
            "it is not fetched from https://elsewhere.exam",
        ),
        ({"a": "https://elsewhere.example.com/s"}, "/a", BadInput, "elsewhere.example.com is not among the hosts"),
        ({"a": "http://elsewhere.example.org/s"}, "", ServiceRefused, "is not encrypted"),
        (
            {"a": "{url}/s/404"},
            "",
            ServiceRefused,
            "answered 404 no such path, where the invitation was to be fetched",
        ),
        ({"a": "{url}/text"}, "", BadInvitation, "answered 200: no invitation in the response"),
        ({"a": "{url}/i"}, "", ServiceRefused, "led to more than 5 URLs in search of an invitation"),
        ({"a": "{url}/s/1"}, "redirect", BadInvitation, "did not redirect"),
        ({"a": "{url}/?oob=%%%"}, "", BadInvitation, "the URL's oob="),
        ({"a": {"b": 1}}, "/a", BadInvitation, "no invitation at /a of the response"),
    ],
)
async def test_no_invitation_is_elsewhere(
    variables: dict[str, Any], answer: Any, found_at: str, error: Any, says: str
) -> None:
    async with odd_service() as service:
        service.oddities["i"] = Oddity(answers(as_answer(answer)))
        async with asked(variables, service, invitation={"url": "{url}/i", "found_at": found_at}) as services:
            with pytest.raises(error, match=says):
                await services.request_invitation("issuer", {})
    assert len(service.asked) <= 6


# ------------------------------------------------------------------------ requests of a script


async def test_a_request_of_the_script(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.oddities |= {"start": Oddity(as_answer({"id": 7})), "status/7": Oddity(as_answer({"state": ["on"]}))}
        requests = {
            "start": {"url": "{url}/start", "body": {"email": "${given:email}", "all": "${given:all}"}},
            "status": {"url": "{url}/status/${answer:/id}", "found_at": "/state"},
            "text": {"url": "{url}/text/../html", "method": "PUT"},
            "nothing": {"url": "{url}/start", "found_at": "/state"},
        }
        async with asked(variables, service, requests=requests) as services:
            started = await services.request("issuer", "start", {"given:email": "a@b", "given:all": [1, {"b": 2}]})
            assert (started.value, started.kept) == ({"id": 7}, {"answer:/id": "7"})
            assert (await services.request("issuer", "status", started.kept)).value == ["on"]
            assert (await services.request("issuer", "text", {})).value == "<html>Welcome</html>"
            with pytest.raises(
                ServiceRefused, match=r"nothing at /state, where .*requests.nothing.*; it is \{id: number"
            ):
                await services.request("issuer", "nothing", {})
            with pytest.raises(
                ServiceUnreachable, match=r"requests.status request to issuer cannot be sent, for \$\{an"
            ):
                await services.request("issuer", "status", {})
    assert paths(service) == ["POST /start", "GET /status/7", "PUT /html", "GET /start"]
    assert json.loads(service.bodies[0]) == {"email": "a@b", "all": [1, {"b": 2}]}


async def test_a_list_is_no_part_of_a_url(variables: dict[str, Any]) -> None:
    async with odd_service() as service, asked(variables, service, request={"url": "{url}/${given:x}"}) as services:
        with pytest.raises(ServiceUnreachable, match="is a list or mapping, which cannot be part of a text"):
            await services.request("issuer", "", {"given:x": [1]})
    assert service.asked == []


async def test_a_result_that_needs_a_token_first(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.oddities |= {"token": Oddity(as_answer({"t": TOKEN})), "r": Oddity(as_answer({"state": "ok"}))}
        result = [
            {"url": "{url}/token"},
            {
                "url": "{url}/r",
                "headers": {"Authorization": "Bearer ${answer:/t}"},
                "found_at": "/state",
                "verified": "ok",
            },
        ]
        async with asked(variables, service, invitation={"url": "{url}/plain"}, result=result) as services:
            assert (await services.request_result("issuer", {})).verdict == Verdict.VERIFIED
    assert f"Bearer {TOKEN}" in service.asked[1]
    assert paths(service) == ["POST /token", "GET /r"]
