"""Only this machine and the hosts that the user named are sent anything."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import base58
import pytest
import requests
import trustme
from aiohttp import web
from aiohttp.connector import BaseConnector
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from controller.agents.egress_guard import REFUSED, TargetNotAllowed, install_egress_guard
from controller.holder.holder import Holder
from controller.run.run import Run
from controller.services.client import HttpServices
from stampede.schema.errors import BadInput, ServiceRefused
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.settings.targets import Targets, invitation_urls

ENDPOINT = "http://holder-of-none.example.com:8020"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("entries", "url", "allowed"),
    [
        ([], "https://localhost:9443/x", True),
        ([], "http://LOCALHOST./x", True),
        ([], "http://127.8.9.1/x", True),
        ([], "http://[::1]:80/x", True),
        ([], "http://[::ffff:127.0.0.1]/x", True),
        ([], "http://0.0.0.0/x", False),
        ([], "http://2130706433/x", False),
        ([], "http://127.1/x", False),
        ([], "http://localhost.example.org/x", False),
        ([], "https://issuer.example.org/x", False),
        (["issuer.example.org"], "https://ISSUER.example.org./x", True),
        (["Issuer.Example.ORG."], "https://issuer.example.org/x", True),
        (["issuer.example.org"], "https://my.issuer.example.org/x", False),
        (["issuer.example.org"], "https://issuer.example.org@evil.example.com/x", False),
        (["issuer.example.org"], "https://evil.example.com/@issuer.example.org", False),
        (["issuer.example.org"], "https://issuerxexample.org/x", False),
        (["*.test.example.org"], "https://a.b.test.example.org/x", True),
        (["*.test.example.org"], "https://test.example.org/x", False),
        (["*.test.example.org"], "https://a.test.example.org.evil.example.com/x", False),
        (["issuer-?.example.org"], "https://issuer-7.example.org/x", True),
        (["issuer-?.example.org"], "https://issuer-17.example.org/x", False),
        (["issuer.example.org:8443"], "https://issuer.example.org:8443/x", True),
        (["issuer.example.org:8443"], "https://issuer.example.org/x", False),
        (["issuer.example.org:443"], "https://issuer.example.org/x", True),
        (["192.0.2.7"], "https://192.0.2.7/x", True),
        (["192.0.2.7"], "https://192.0.2.8/x", False),
        (["192.0.2.0/24"], "https://192.0.2.8:9443/x", True),
        (["192.0.2.0/24:443"], "https://192.0.2.8:9443/x", False),
        (["*.0.2.org"], "https://192.0.2.8/x", False),
        (["2001:db8::/32"], "https://[2001:db8::5]/x", True),
        (["[2001:db8::5]:9443"], "https://[2001:db8::5]:9443/x", True),
        (["[2001:db8::5]:9443"], "https://[2001:db8::5]/x", False),
        (["xn--bcher-kva.example.org"], "https://bücher.example.org/x", True),
    ],
)
def test_what_is_allowed(entries: list[str], url: str, allowed: bool) -> None:
    assert (Targets(entries).refusal(url) == "") == allowed


@pytest.mark.parametrize(
    "entry",
    [
        *("", "*", "**", "*.*", "?", "*:443", "0.0.0.0/0", "::/0", "https://a.example.org", "a.example.org/x"),
        *("a b.org", "192.0.2.7/24", "issuer*", "a.org:0x1", "a.org:99999", "300.0.0.1", "127.1", "[a.org", "-"),
        "a..org",
    ],
)
def test_entries_that_name_no_host_or_all_are_refused(entry: str) -> None:
    with pytest.raises(BadInput, match=r"stampede_allowed_targets has .*; it must be a host \(issuer.example.org\)"):
        Targets([entry])


@given(st.text(alphabet="localhst.*?127:/[]0ex ", max_size=30))
def test_no_entry_allows_a_host_that_is_not_written_in_it(entry: str) -> None:
    try:
        targets = Targets([entry])
    except BadInput:
        return
    assert not targets.allows("issuer.example.org", 443) and not targets.allows("192.0.2.7", 443)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {},
            "stampede_services.issuer.invitation.url is 'https://issuer.example.org/invitation', but "
            "issuer.example.org is not among the hosts that may be loaded; if it is yours to load, add it to "
            "stampede_allowed_targets",
        ),
        ({}, "stampede_services.issuer.revocation.url is 'https://issuer.example.org/revocation', but"),
        ({}, "stampede_mediator_did is 'did:web:mediator.example.org', but mediator.example.org is not among"),
        (
            {"genesis_url": "https://ledger.example.org:8000/genesis"},
            "stampede_genesis_url is 'https://ledger.example.org:8000/genesis', but ledger.example.org:8000 is not",
        ),
        (
            {"mediator_did": f"did:peer:2.Ez6LS.S{encoded({'t': 'dm', 's': {'uri': ENDPOINT}})}"},
            "but holder-of-none.example.com:8020 is not among",
        ),
    ],
)
def test_settings_that_lead_elsewhere(variables: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    named = {f"stampede_{name}": value for name, value in change.items()}
    sentences = check_variables(variables | {"stampede_allowed_targets": []} | named)
    assert any(sentence in said for said in sentences), sentences
    assert not check_variables(variables | {"stampede_allowed_targets": ["*.example.org", "*.example.com"]} | named)


def test_a_wrong_list_is_told_once(variables: dict[str, Any]) -> None:
    (sentence,) = check_variables(variables | {"stampede_allowed_targets": ["*"]})
    assert sentence.startswith("stampede_allowed_targets has '*'; it must be a host")


def test_a_host_with_placeholders_is_left_to_the_request_and_holds_no_secret(variables: dict[str, Any]) -> None:
    def said(url: str) -> list[str]:
        services = {"issuer": {"invitation": {"url": url}}}
        return check_variables(variables | {"stampede_services": services, "stampede_secrets": {"word": "hush"}})

    assert said("https://tenant-${holder}.example.net/invitation") == []
    (sentence,) = said("https://${secret:word}.example.org/invitation")  # a refused host is named
    assert "it must be a URL" in sentence


DOCUMENT = {"service": [{"id": "#didcomm", "type": "did-communication", "serviceEndpoint": ENDPOINT}]}
PEER_4 = "z" + base58.b58encode(b"\x80\x04" + json.dumps(DOCUMENT).encode()).decode()


@pytest.mark.parametrize(
    ("invitation", "urls"),
    [
        ({"services": [{"id": "#inline", "serviceEndpoint": ENDPOINT}]}, [ENDPOINT]),
        ({"services": [{"serviceEndpoint": {"uri": ENDPOINT}}]}, [ENDPOINT]),
        ({"services": [{"serviceEndpoint": [{"uri": ENDPOINT}, {"uri": "wss://b.example.com"}]}]}, None),
        ({"services": ["did:web:example.com%3A8443:issuer"]}, ["https://example.com:8443/issuer/did.json"]),
        ({"services": ["did:sov:WgWxqztrNooG92RXvxSTWv"]}, []),
        ({"services": [f"did:peer:2.Ez6LS.Vz6Mk.S{encoded({'t': 'dm', 's': ENDPOINT})}"]}, [ENDPOINT]),
        ({"services": [f"did:peer:2.Ez6LS.S{encoded([{'t': 'dm', 's': {'uri': ENDPOINT}}])}"]}, [ENDPOINT]),
        ({"services": [f"did:peer:4zQmHash:{PEER_4}"]}, [ENDPOINT]),
        ({"services": ["did:peer:2.Snonsense", "did:peer:4zQm:z0", "did:peer:4zQmShort"]}, []),
        ({"serviceEndpoint": ENDPOINT, "recipientKeys": ["3J"]}, [ENDPOINT]),
        ({"did": "did:web:example.com"}, ["https://example.com/.well-known/did.json"]),
        ({"services": [{"serviceEndpoint": "did:web:example.com"}]}, ["https://example.com/.well-known/did.json"]),
        ({"services": [{"serviceEndpoint": "didcomm:transport/queue"}, 7, None]}, []),
    ],
)
def test_what_invitations_lead_to(invitation: dict[str, Any], urls: list[str] | None) -> None:
    assert invitation_urls(invitation) == (urls if urls is not None else [ENDPOINT, "wss://b.example.com"])


@pytest.mark.parametrize("step", ["connect", "present_proof"])
def test_an_invitation_that_leads_elsewhere_ends_the_run(play: Callable[..., Run], step: str) -> None:
    received: list[str] = []

    class Leading:
        async def request_invitation(self, service: str, values: Any) -> dict[str, Any]:
            return {"@type": "https://didcomm.org/out-of-band/1.1/invitation", "services": DOCUMENT["service"]}

    async def script(holder: Holder) -> None:
        await holder.ping(await holder.connect("issuer", invitation={"@type": "x"}))
        await getattr(holder, step)("verifier")
        received.append("the agent's answer")

    run = play(script, services=Leading(), ramp_up="1h")
    assert run.bad_input is not None and not received
    assert str(run.bad_input) == (
        f"an invitation of verifier leads to {ENDPOINT}, but holder-of-none.example.com:8020 is not among the "
        "hosts that may be loaded; if it is yours to load, add it to stampede_allowed_targets"
    )
    assert run.started == 1  # the others did not begin


# -------------------------------------------------------------------- over HTTPS


@dataclass
class Server:
    """A service that leads elsewhere, and the other server to which it leads: one, by two names."""

    port: int = 0
    ca_file: str = ""
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.headers['Host'].split(':')[0]}{request.path}")
        if request.path == "/leading":
            raise web.HTTPTemporaryRedirect(f"https://127.0.0.2:{self.port}/there")
        if request.path == "/named":
            raise web.HTTPTemporaryRedirect(f"https://elsewhere.example.net:{self.port}/there")
        raise web.HTTPForbidden(text=f"the key {request.headers.get('X-API-Key')} is not known")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server, authority = Server(ca_file=str(tmp_path / "ca.pem")), trustme.CA()
    authority.cert_pem.write_to_path(server.ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.2", "elsewhere.example.net").configure_cert(context)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0, ssl_context=context).start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


def services_at(variables: dict[str, Any], server: Server, url: str, *allowed: str) -> HttpServices:
    invitation = {"url": url, "headers": {"X-API-Key": "${secret:key}"}}
    changed = {
        "stampede_services": {"issuer": {"invitation": invitation, "ca_file": server.ca_file}},
        "stampede_secrets": {"key": "hush-hush"},
        "stampede_mediator_did": "",
        "stampede_allowed_targets": list(allowed),
    }
    return HttpServices(Settings.from_variables(variables | changed), {"key": "hush-hush"})


async def test_a_redirect_to_another_host_is_refused_before_any_request(
    variables: dict[str, Any], server: Server
) -> None:
    url = f"https://localhost:{server.port}/named"
    async with services_at(variables, server, url) as services:
        with pytest.raises(BadInput) as caught:
            await services.request_invitation("issuer", {})
    assert server.asked == ["localhost/named"]
    assert str(caught.value) == (
        f"stampede_services.issuer.invitation.url is '{url}', which redirects, but elsewhere.example.net:"
        f"{server.port} is not among the hosts that may be loaded; if it is yours to load, add it to "
        "stampede_allowed_targets"
    )


async def test_a_redirect_to_an_allowed_host_is_followed_without_the_headers(
    variables: dict[str, Any], server: Server
) -> None:
    async with services_at(variables, server, f"https://localhost:{server.port}/leading") as services:
        with pytest.raises(ServiceRefused, match="the key None is not known"):
            await services.request_invitation("issuer", {})
    assert server.asked == ["localhost/leading", "127.0.0.2/there"]


async def test_a_secret_that_a_service_repeats_is_not_told(variables: dict[str, Any], server: Server) -> None:
    async with services_at(variables, server, f"https://localhost:{server.port}/") as services:
        with pytest.raises(ServiceRefused, match=r"403 the key \*\*\* is not known"):
            await services.request_invitation("issuer", {})


async def test_a_host_is_looked_at_after_its_placeholders_were_filled_in(
    variables: dict[str, Any], server: Server
) -> None:
    async with services_at(variables, server, f"https://${{holder}}:{server.port}/") as services:
        with pytest.raises(ServiceRefused):
            await services.request_invitation("issuer", {"holder": "127.0.0.2"})
        with pytest.raises(BadInput, match=r"url is 'https://\$\{holder\}:\d+/', but 192.0.2.7:\d+ is not among"):
            await services.request_invitation("issuer", {"holder": "192.0.2.7"})
    assert server.asked == ["127.0.0.2/"]


async def test_the_guard_of_an_agent_looks_at_every_request_and_redirect(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BaseConnector, "connect", BaseConnector.connect)
    monkeypatch.setattr(HTTPAdapter, "send", HTTPAdapter.send)
    assert install_egress_guard(Targets([]), tmp_path) == ""
    here = f"https://localhost:{server.port}"
    context = ssl.create_default_context(cafile=server.ca_file)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(TargetNotAllowed):
            await session.get(f"{here}/named", ssl=context)
        async with session.get(f"{here}/leading", ssl=context) as answer:
            assert answer.status == 403
    assert server.asked == ["localhost/named", "localhost/leading", "127.0.0.2/there"]
    with pytest.raises(TargetNotAllowed):
        requests.get(ENDPOINT, timeout=5)  # noqa: ASYNC210
    told = (tmp_path / REFUSED).read_text()
    assert told.startswith(
        f"A holder agent tried to send a request, but elsewhere.example.net:{server.port} is not among"
    )
