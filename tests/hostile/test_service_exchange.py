"""What is sent to services, and to whom: redirects, cookies, secrets, lost connections, values in URLs."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, unquote

import pytest
import trustme
from odd_service import BODY, INVITATION, Oddity, OddService, http, odd_service, redirect

from controller.services.client import HttpServices
from controller.services.interface import Verdict
from stampede.schema.errors import (
    BadInput,
    BadInvitation,
    PresentationUnverified,
    ServiceRefused,
    ServiceUnreachable,
    StepError,
)
from stampede.schema.settings.placeholders import fill_in_body, fill_in_url
from stampede.schema.settings.run_settings import Settings

KEY = 's3cret/with+odd "letters" & ümlauts?'


@contextlib.asynccontextmanager
async def client(variables: dict[str, Any], secrets: dict[str, str] | None = None, **requests: Any) -> Any:
    """The services with one issuer, which has these requests; settings that are none are its ``ca_file``."""
    changes = {
        "stampede_services": {"issuer": {"invitation": {"url": "http://localhost/"}} | requests},
        "stampede_secrets": secrets or {},
        "stampede_mediator_did": "",
        "stampede_allowed_targets": ["elsewhere.example.org"],
    }
    async with HttpServices(Settings.from_variables(variables | changes), secrets or {}) as services:
        yield services


def fields(head: str) -> dict[str, str]:
    """The headers of a request, by name in lower case."""
    lines = [line.partition(":") for line in head.split("\r\n")[1:] if line]
    return {name.lower(): value.strip().encode("latin-1").decode() for name, _, value in lines}


# -------------------------------------------------------------------- connections


@pytest.mark.parametrize("method", ["POST", "GET", "PATCH"])
async def test_a_kept_connection_that_the_server_closed_costs_one_attempt(
    variables: dict[str, Any], method: str
) -> None:
    async with odd_service() as service:
        service.stays = True
        url = f"http://127.0.0.1:{service.port}"
        request = {"url": f"{url}/plain", "method": method, "body": {"a": 1}}
        async with client(variables, invitation=request) as services:
            await services.request_invitation("issuer", {})
            service.lose_next = 1  # it closes the connection when it sees the next request, and answers nothing
            assert await services.request_invitation("issuer", {}) == INVITATION
    assert len(service.asked) == 3
    assert service.bodies == [b'{"a": 1}'] * 3


async def test_that_attempt_is_the_only_one(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.stays = True
        request = {"url": f"http://127.0.0.1:{service.port}/plain", "body": {"a": 1}}
        async with client(variables, invitation=request) as services:
            await services.request_invitation("issuer", {})
            service.lose_next = 2
            with pytest.raises(ServiceUnreachable):
                await services.request_invitation("issuer", {})
    assert len(service.asked) == 3


@pytest.mark.parametrize("name", ["hangs_up", "hangs_up_in_the_head"])
async def test_a_new_connection_that_is_lost_is_not_tried_again(variables: dict[str, Any], name: str) -> None:
    async with odd_service() as service:
        request = {"url": f"http://127.0.0.1:{service.port}/{name}", "body": {"a": 1}}
        async with client(variables, invitation=request) as services:
            with pytest.raises(ServiceUnreachable):
                await services.request_invitation("issuer", {})
    assert len(service.asked) == 1


async def test_an_answer_that_began_is_not_asked_for_again(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.stays = True
        url = f"http://127.0.0.1:{service.port}"
        service.oddities["half"] = service.oddities["hangs_up_in_the_head"]
        async with client(
            variables, invitation={"url": f"{url}/plain"}, revocation={"url": f"{url}/half", "body": {"a": 1}}
        ) as services:
            await services.request_invitation("issuer", {})
            service.stays = False
            with pytest.raises(ServiceUnreachable):
                await services.request_revocation("issuer", {})
    assert len(service.asked) == 2


# ---------------------------------------------------------------------- redirects


@contextlib.asynccontextmanager
async def two(
    first: Callable[[int], bytes], second: bytes = http(BODY)
) -> AsyncIterator[tuple[OddService, OddService]]:
    """A service that leads to another one, on another port: another origin."""
    async with odd_service() as one, odd_service() as other:
        one.oddities["leading"] = Oddity(first(other.port))
        other.oddities["there"] = Oddity(second)
        yield one, other


SECRETS = {"X-API-Key": "${secret:key}", "Cookie": "c=${secret:key}", "X-Tenant": "7", "user-agent": "${secret:key}"}


async def test_another_server_is_sent_neither_headers_nor_cookies(variables: dict[str, Any]) -> None:
    def leading(port: int) -> bytes:
        return redirect(f"http://localhost:{port}/there", Set_Cookie="own=1; Path=/")

    async with two(leading) as (one, other):
        request = {
            "url": f"http://127.0.0.1:{one.port}/leading",
            "headers": SECRETS | {"accept": "text/x", "Accept-Language": "de"},
            "body": {"token": "${secret:key}"},
        }
        async with client(variables, {"key": "hush-hush"}, invitation=request) as services:
            assert await services.request_invitation("issuer", {}) == INVITATION
    assert b"hush-hush" in one.bodies[0]
    assert "hush" not in other.asked[0]
    assert other.bodies == [b""]
    sent = fields(other.asked[0])
    assert other.asked[0].startswith("GET /there ")
    assert sent.keys() == {"host", "user-agent", "accept", "accept-encoding", "accept-language"}
    assert (sent["accept"], sent["accept-language"]) == ("text/x", "de")


@pytest.mark.parametrize("status", ["307 Again", "308 Again"])
async def test_another_server_is_not_sent_a_body(variables: dict[str, Any], status: str) -> None:
    async with two(lambda port: redirect(f"http://127.0.0.1:{port}/there", status)) as (one, other):
        request = {"url": f"http://127.0.0.1:{one.port}/leading", "body": {"token": "${secret:key}"}}
        async with client(variables, {"key": "hush-hush"}, invitation=request) as services:
            with pytest.raises(ServiceRefused, match=f"answered {status[:3]} and leads to another server"):
                await services.request_invitation("issuer", {})
    assert other.asked == []


async def test_the_same_server_is_sent_everything(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.oddities["leading"] = Oddity(redirect("/plain", "307 Again"))
        request = {"url": f"http://127.0.0.1:{service.port}/leading", "headers": SECRETS, "body": {"a": 1}}
        async with client(variables, {"key": "hush-hush"}, invitation=request) as services:
            assert await services.request_invitation("issuer", {}) == INVITATION
    assert service.bodies == [b'{"a": 1}'] * 2
    first, second = (fields(head) for head in service.asked)
    assert first == second
    assert second["x-api-key"] == "hush-hush"


@pytest.fixture
def authority(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """A server's context for localhost, and the file of its CA."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context, str(tmp_path / "ca.pem")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "elsewhere.example.org"])
async def test_a_redirect_does_not_leave_tls(
    variables: dict[str, Any], authority: tuple[ssl.SSLContext, str], host: str
) -> None:
    context, ca_file = authority
    async with odd_service(context) as service, odd_service() as bare:
        service.oddities["leading"] = Oddity(redirect(f"http://{host}:{bare.port}/plain"))
        request = {"url": f"https://localhost:{service.port}/leading"}
        async with client(variables, invitation=request, ca_file=ca_file) as services:
            with pytest.raises(ServiceRefused, match="which is not encrypted, so that it is not followed"):
                await services.request_invitation("issuer", {})
    assert bare.asked == []


async def test_cookies_of_one_request_are_not_those_of_the_next(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        request = {"url": f"http://127.0.0.1:{service.port}/kept_cookie", "headers": {"Cookie": "own=${secret:key}"}}
        async with client(variables, {"key": "hush"}, invitation=request) as services:
            for _ in range(2):
                await services.request_invitation("issuer", {})
    assert [fields(head)["cookie"] for head in service.asked] == ["own=hush", "own=hush; session=x1"] * 2


async def test_json_is_asked_for_first(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        request = {"url": f"http://127.0.0.1:{service.port}/redirect_2"}
        async with client(variables, invitation=request) as services:
            await services.request_invitation("issuer", {})
    assert len(service.asked) == 3
    assert all(fields(head)["accept"].startswith("application/json, ") for head in service.asked)


async def test_a_header_is_sent_once_however_it_is_written(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        headers = {"content-type": "application/vnd.api+json", "ACCEPT": "application/vnd.api+json"}
        request = {"url": f"http://127.0.0.1:{service.port}/plain", "headers": headers, "body": {"a": 1}}
        async with client(variables, invitation=request) as services:
            await services.request_invitation("issuer", {})
    assert service.asked[0].lower().count("content-type:") == 1
    assert service.asked[0].lower().count("accept:") == 1


async def test_a_header_that_cannot_be_sent_is_told(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        request = {"url": f"http://127.0.0.1:{service.port}/plain", "headers": {"X-API-Key": "${secret:key}"}}
        async with client(variables, {"key": "hush\r\nX-Other: 1"}, invitation=request) as services:
            with pytest.raises(ServiceUnreachable, match="the request to issuer cannot be sent") as caught:
                await services.request_invitation("issuer", {})
    assert "hush" not in caught.value.detail
    assert service.asked == []


# ------------------------------------------------------------------------ secrets


@pytest.mark.parametrize("before", [0, 100, 140, 150, 158, 159, 160])
@pytest.mark.parametrize("write", [str, json.dumps, quote_plus])
async def test_a_secret_is_masked_before_anything_is_cut(
    variables: dict[str, Any], before: int, write: Callable[[str], str]
) -> None:
    async with odd_service() as service:
        text = f"{'x' * before}{write(KEY)}{'y' * 999}".encode()
        service.oddities |= {
            "refusing": Oddity(http(text, "403 No", "text/plain")),
            "answering": Oddity(http(text, kind="text/plain")),
            "leading": Oddity(http(b"", "302 Found", Location=f"ftp://x/{quote(write(KEY))}")),
        }
        url = f"http://127.0.0.1:{service.port}"
        for name in ("refusing", "answering", "leading"):
            async with client(variables, {"key": KEY}, invitation={"url": f"{url}/{name}"}) as services:
                with pytest.raises(StepError) as caught:
                    await services.request_invitation("issuer", {})
            assert "s3c" not in caught.value.detail
            assert "lauts" not in caught.value.detail


async def test_the_name_of_a_host_that_is_refused_holds_no_secret(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.oddities["leading"] = Oddity(redirect("https://hush-hush.example.com/"))
        request = {"url": f"http://127.0.0.1:{service.port}/leading"}
        async with client(variables, {"key": "hush-hush"}, invitation=request) as services:
            with pytest.raises(BadInput, match=r"which redirects, but \*\*\*.example.com is not among"):
                await services.request_invitation("issuer", {})


async def test_a_secret_in_basic_authentication_is_masked_decoded(variables: dict[str, Any]) -> None:
    basic = base64.b64encode(b"tester:pass-of-word").decode()
    async with odd_service() as service:
        service.oddities["refusing"] = Oddity(http(b"user tester, pass-of-word: unknown", "401 No", "text/plain"))
        request = {
            "url": f"http://127.0.0.1:{service.port}/refusing",
            "headers": {"Authorization": "Basic ${secret:b}"},
        }
        async with client(variables, {"b": basic}, invitation=request) as services:
            with pytest.raises(ServiceRefused, match=r"answered 401 user tester, \*\*\*: unknown"):
                await services.request_invitation("issuer", {})


# ----------------------------------------------------------------- values in URLs


@pytest.mark.parametrize(
    ("template", "value", "url"),
    [
        ("https://h.org/a/${x}/b", "did:web:h%3A1/r?q#f g", "https://h.org/a/did%3Aweb%3Ah%253A1%2Fr%3Fq%23f%20g/b"),
        ("https://h.org/?a=${x}&b=${x},${x}", "1&b=2+3 ü", None),
        ("https://h.org/a%2Fb/ü?c=%20${x}", "1", "https://h.org/a%2Fb/ü?c=%201"),
        ("https://${x}.h.org:1/", "tenant-7", "https://tenant-7.h.org:1/"),
        ("https://${x}/", "[::1]", "https://[::1]/"),
        ("https://h.org?q=${x}", "a/b", "https://h.org?q=a%2Fb"),
        ("https://h.org/${y:/a/b}?q=${x}", "a/b", "https://h.org/y%2Fy?q=a%2Fb"),
    ],
)
def test_a_value_is_encoded_by_its_place(template: str, value: str, url: str | None) -> None:
    encoded = quote(value, safe="")
    expected = url or f"https://h.org/?a={encoded}&b={encoded},{encoded}"
    assert fill_in_url(template, {"x": value, "y:/a/b": "y/y"}) == expected


@pytest.mark.parametrize(
    "value", ["evil.org/", "evil.org:1", "a@b", "a b", "a?b", "a#b", "", "ü.org", "a\\b", "a%2fb"]
)
def test_a_value_that_a_host_cannot_have(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be part of a host's name"):
        fill_in_url("https://${x}.h.org/", {"x": value})


@pytest.mark.parametrize("value", [".", ".."])
def test_a_value_that_leads_out_of_its_path(value: str) -> None:
    with pytest.raises(ValueError, match="lead elsewhere"):
        fill_in_url("https://h.org/a/${x}/b", {"x": value})
    assert fill_in_url("https://h.org/a/x${x}?q=${x}", {"x": value}) == f"https://h.org/a/x{value}?q={value}"


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("application/x-www-form-urlencoded", lambda body: parse_qs(body)["id"][0]),
        ("application/json", lambda body: json.loads(body)["id"]),
        ("application/vnd.api+json; charset=utf-8", lambda body: json.loads(body)["id"]),
        ("text/plain", lambda body: body.removeprefix("id=")),
    ],
)
def test_a_value_is_escaped_in_a_body_of_its_type(kind: str, read: Callable[[str], str]) -> None:
    value = 'a&b="c" ü+\\'
    body = fill_in_body('{"id": "${x}"}' if "json" in kind else "id=${x}", {"x": value}, kind)
    assert read(body) == value
    assert fill_in_body({"id": ["${x}"]}, {"x": value}, kind) == {"id": [value]}


async def test_values_reach_the_service_as_they_are(variables: dict[str, Any]) -> None:
    registry = "did:web:localhost%3A1:registry/resource?x=1&y=ü"
    async with odd_service() as service:
        url = f"http://127.0.0.1:{service.port}/plain/${{rev_reg_id}}?q=${{rev_reg_id}}&n=${{cred_rev_id}}"
        async with client(variables, revocation={"url": url, "method": "DELETE"}) as services:
            with pytest.raises(ServiceRefused):
                await services.request_revocation("issuer", {"rev_reg_id": registry, "cred_rev_id": "7"})
    target = service.asked[0].split()[1]
    path, _, query = target.partition("?")
    assert unquote(path) == f"/plain/{registry}"
    assert path.count("/") == 2
    assert parse_qs(query) == {"q": [registry], "n": ["7"]}


# ------------------------------------------------------------------------ results

RESULT = {"found_at": "/state", "verified": ["ok", True], "refused": ["bad", False], "pending": ["404", "wait"]}


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (http(b'{"state": "ok"}'), Verdict.VERIFIED),
        (http(b'{"state": true}'), Verdict.VERIFIED),
        (http(b'{"state": "bad"}'), Verdict.REFUSED),
        (http(b'{"state": false}'), Verdict.REFUSED),
        (http(b'{"state": "wait"}'), Verdict.PENDING),
        (http(b'{"state": null}'), Verdict.PENDING),
        (http(b"{}"), Verdict.PENDING),
        (http(b"", "202 Accepted"), Verdict.PENDING),
        (http(b"", "204 No Content", ""), Verdict.PENDING),
        (http(b"not yet", "404 Not Found"), Verdict.PENDING),
        (http(b'{"state": "maybe"}'), PresentationUnverified),
        (http(b'{"state": "OK"}'), PresentationUnverified),
        (http(b'{"state": {"ok": true}}'), PresentationUnverified),
        (http(b'{"state": ["ok"]}'), PresentationUnverified),
        (http(b'{"state": 1}'), PresentationUnverified),
        (http(b"no", "403 Forbidden"), ServiceRefused),
        (http(b"busy", "503 Busy"), ServiceRefused),
    ],
)
async def test_what_a_verifier_says(variables: dict[str, Any], answer: bytes, verdict: Any) -> None:
    async with odd_service() as service:
        service.oddities["r"] = Oddity(answer)
        result = RESULT | {"url": f"http://127.0.0.1:{service.port}/r?id=${{answer:/id}}"}
        async with client(variables, result=result) as services:
            if isinstance(verdict, Verdict):
                assert (await services.request_result("issuer", {"answer:/id": "a&b"})).verdict == verdict
            else:
                with pytest.raises(verdict, match="issuer answered "):
                    await services.request_result("issuer", {"answer:/id": "a&b"})
    assert service.asked[0].startswith("GET /r?id=a%26b HTTP/1.1\r\n")


@pytest.mark.parametrize(("text", "verdict"), [(b"ok\n", Verdict.VERIFIED), (b'"bad"', Verdict.REFUSED)])
async def test_a_result_that_is_the_whole_answer(variables: dict[str, Any], text: bytes, verdict: Verdict) -> None:
    async with odd_service() as service:
        service.oddities["r"] = Oddity(http(text, kind="text/plain"))
        result = RESULT | {"url": f"http://127.0.0.1:{service.port}/r", "found_at": ""}
        async with client(variables, result=result) as services:
            assert (await services.request_result("issuer", {})).verdict == verdict


async def test_what_later_requests_use_of_the_answer_is_kept_with_the_invitation(variables: dict[str, Any]) -> None:
    async with odd_service() as service:
        service.oddities["i"] = Oddity(http(json.dumps({"data": [{"id": 7}], "invitation": INVITATION}).encode()))
        url = f"http://127.0.0.1:{service.port}"
        result = {"url": f"{url}/${{answer:/data/0/id}}"}
        async with client(variables, invitation={"url": f"{url}/i"}, result=result) as services:
            invitation = await services.request_invitation("issuer", {})
        assert invitation.answer == {"answer:/data/0/id": "7"}
        async with client(variables, invitation={"url": f"{url}/plain"}, result=result) as services:
            with pytest.raises(BadInvitation, match="answered 200, but with no text or number at /data/0/id, which "):
                await services.request_invitation("issuer", {})


async def test_an_invitation_of_unknown_origin_cannot_be_asked_about(variables: dict[str, Any]) -> None:
    result = {"url": "http://127.0.0.1:1/${answer:/id}"}
    async with client(variables, result=result) as services:
        with pytest.raises(
            ServiceUnreachable, match=r"the result request to issuer cannot be sent, for \$\{answer:/id"
        ):
            await services.request_result("issuer", {})
