"""The control node looks at services and at the mediator's DID document: any of DID Core is taken, and whatever goes
wrong on the way is one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from odd_service import Oddity, OddService, bomb, dripping, endless, http, redirect, silent

import stampede.prepare.fetching
from stampede.prepare.fetching import NotFetched, fetch
from stampede.prepare.mediator_document import mediator_problem
from stampede.prepare.preflight import probe
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.targets import Targets


class Server:
    """An odd service over TLS, in a thread of its own."""

    def __init__(self, service: OddService, ca_file: str) -> None:
        self.service = service
        self.ca_file = ca_file

    @property
    def did(self) -> str:
        return f"did:web:localhost%3A{self.service.port}:mediator"

    def problem(self, answer: bytes, did: str = "", *allowed: str) -> str:
        """What is said of a mediator whose document is this answer."""
        self.service.oddities["mediator/did.json"] = Oddity(answer)
        return mediator_problem(did or self.did, Targets(allowed), self.ca_file)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    service = OddService()
    start = asyncio.start_server(service.serve, "127.0.0.1", 0, ssl=context)
    listening = asyncio.run_coroutine_threadsafe(start, loop).result()
    service.port = listening.sockets[0].getsockname()[1]
    yield Server(service, str(tmp_path / "ca.pem"))
    loop.call_soon_threadsafe(listening.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(_cancelled(loop))
    loop.close()


async def _cancelled(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    with contextlib.suppress(Exception):
        await asyncio.gather(*tasks, return_exceptions=True)


SERVICE = {"id": "#didcomm", "type": "did-communication", "serviceEndpoint": "https://localhost:1/didcomm"}
DOCUMENTS: list[dict[str, Any]] = [
    {},
    {"@context": "https://www.w3.org/ns/did/v1"},
    {"@context": {"own": {"@id": "x"}}},
    {"service": [SERVICE | {"type": ["did-communication"]}]},
    {"service": [SERVICE | {"type": ["LinkedDomains", "DIDCommMessaging"]}]},
    {"service": [SERVICE | {"id": "did:web:x#didcomm"}]},
    {"service": SERVICE},
    {"service": [None, 7, "text", [], {}, {"type": None}, {"type": [7]}, {"type": {}}, SERVICE]},
    {"service": [SERVICE | {"serviceEndpoint": {"uri": "https://localhost/", "accept": ["didcomm/v2"]}}]},
    {"service": [SERVICE | {"serviceEndpoint": ["https://localhost/", {"uri": "wss://localhost/"}]}]},
    {"service": [SERVICE | {"serviceEndpoint": {"origins": ["x"]}}]},
    {"service": [SERVICE | {"serviceEndpoint": None}]},
    {"service": [{"id": "#web", "type": "LinkedDomains", "serviceEndpoint": "https://www.example.org"}, SERVICE]},
    {"alsoKnownAs": ["did:example:1"], "controller": ["x"], "verificationMethod": "odd"},
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=json.dumps)
def test_a_document_that_did_core_allows_is_taken(server: Server, document: dict[str, Any]) -> None:
    whole = {"id": server.did, "service": [SERVICE]} | document
    assert server.problem(http(json.dumps(whole).encode(), kind="application/did+json")) == ""


def test_the_did_of_a_document_may_be_written_otherwise(server: Server) -> None:
    whole = {"id": server.did.replace("%3A", "%3a"), "service": [SERVICE]}
    assert server.problem(http(json.dumps(whole).encode())) == ""
    assert server.problem(http(json.dumps(whole).encode()), server.did.replace("%3A", "%3a")) == ""


def test_five_redirects_are_followed(server: Server) -> None:
    whole = http(json.dumps({"id": server.did, "service": [SERVICE]}).encode())
    for number in range(1, 6):
        server.service.oddities[f"r{number}"] = Oddity(redirect(f"/r{number + 1}"))
    server.service.oddities["r6"] = Oddity(whole)
    assert server.problem(redirect("/r2")) == ""
    assert server.problem(redirect("/r1")).endswith("it redirects more than 5 times")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (http(b"{"), "/did.json does not hold JSON"),
        (http(b"\xff\xfe\xfa"), "/did.json does not hold JSON"),
        (http(b"[" * 100_000), "/did.json does not hold JSON"),
        (http(b"[]"), "/did.json is not that of this DID"),
        (http(b"null"), "/did.json is not that of this DID"),
        (http(b'{"id": ["x"]}'), "/did.json is not that of this DID"),
        (http(b'{"id": "did:web:other"}'), "/did.json is not that of this DID"),
        (http(b"", "204 No Content", ""), "answered 204; it must hold the DID's document"),
        (http(b"gone", "404 Not Found"), "answered 404; it must hold the DID's document"),
        (http(b"this is not packed", Content_Encoding="gzip"), "what it answered cannot be unpacked"),
        (http(b"{}")[:-1], "it cannot be reached ("),
        (b"", "it cannot be reached ("),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "it cannot be reached ("),
        (redirect("http://localhost/x"), "is redirected to http://localhost/x, which is not an https URL"),
        (redirect("ftp://localhost/x"), "which is not an https URL"),
        (redirect("https://[half"), "it cannot be requested (Invalid IPv6 URL)"),
        (redirect("https://localhost:99999/"), "but no host can be read in it"),
        (redirect("https:///x"), "/x answered 404"),  # of the same host
        (redirect("https://elsewhere.example.org/"), "but elsewhere.example.org is not among the hosts"),
        (redirect("did.json"), "it redirects more than 5 times"),
        (bomb(), "it answered with more than 1,048,576 bytes, the most that are taken"),
    ],
)
def test_what_goes_wrong_is_one_sentence(server: Server, answer: bytes, sentence: str) -> None:
    said = server.problem(answer)
    assert sentence in said
    assert "\n" not in said and len(said) < 400


def test_a_document_without_a_service_for_messages(server: Server) -> None:
    for services in (None, [], {}, "text", [{"type": "LinkedDomains"}]):
        whole = {"id": server.did, "service": services}
        assert "has no service of type did-communication" in server.problem(http(json.dumps(whole).encode()))


@pytest.mark.parametrize(
    ("pickup", "named", "problem"),
    [
        ("none", ["https://localhost/m"], ""),
        ("websocket", ["https://localhost/m", "WSS://localhost/ws"], ""),
        ("http", ["ws://localhost/ws", "http://localhost"], ""),
        (
            "websocket",
            ["https://localhost/m"],
            "the endpoint that its document names is https://localhost/m, but stampede_mediator_pickup is websocket; "
            "one must start with ws:// or wss://",
        ),
        ("http", ["ws://localhost/a", "wss://localhost/b"], "is ws://localhost/a and wss://localhost/b, but"),
    ],
)
def test_phones_need_an_endpoint_of_the_right_kind(
    server: Server, pickup: str, named: list[str], problem: str
) -> None:
    services = [{"id": "#1", "type": "did-communication", "serviceEndpoint": endpoint} for endpoint in named]
    answer = http(json.dumps({"id": server.did, "service": services}).encode())
    server.service.oddities["mediator/did.json"] = Oddity(answer)
    found = mediator_problem(server.did, Targets([]), server.ca_file, pickup=pickup)
    assert problem in found and bool(problem) == bool(found)


def test_an_endpoint_elsewhere_is_refused(server: Server) -> None:
    whole = {"id": server.did, "service": SERVICE | {"serviceEndpoint": "https://elsewhere.example.org"}}
    answer = http(json.dumps(whole).encode())
    assert "names the endpoint https://elsewhere.example.org, but" in server.problem(answer)
    assert server.problem(answer, "", "elsewhere.example.org") == ""


@pytest.mark.parametrize("oddity", [endless, dripping, silent])
def test_an_answer_without_an_end(server: Server, monkeypatch: pytest.MonkeyPatch, oddity: Any) -> None:
    monkeypatch.setattr(stampede.prepare.fetching, "TIMEOUT", 1.0)
    server.service.oddities["mediator/did.json"] = Oddity(oddity)
    said = mediator_problem(server.did, Targets([]), server.ca_file)
    assert ("it answered with more than" if oddity is endless else "it did not answer within 1 s") in said


@pytest.mark.parametrize(
    "url",
    [
        "https://no-such-host.invalid/",
        "https://" + "a" * 64 + ".example.org/",
        "https://a..example.org/",
        "https://.example.org/",
        "https://xn--/",
        "https://localhost:1/",
        "https://localhost:99999/",
        "https://[::1/",
        "https://exa mple.org/",
        "https://ex\ud800ample.org/",
        "https:///",
        "ftp://localhost/",
        "not a URL",
    ],
)
def test_a_server_that_cannot_be_reached_is_one_sentence(url: str) -> None:
    for method in ("HEAD", "GET"):
        with pytest.raises(NotFetched) as caught:
            fetch(url, method=method)
        assert str(caught.value).startswith("it ")
        assert "\n" not in str(caught.value)


def test_a_server_that_speaks_no_tls_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def answer() -> None:
            connection, _ = listening.accept()
            connection.recv(9999)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NotFetched, match=r"certificate|cannot be reached"):
            fetch(f"https://127.0.0.1:{port}/")
        thread.join()


def test_every_request_of_a_service_is_probed(variables: dict[str, Any], server: Server) -> None:
    here, nowhere = f"https://localhost:{server.service.port}/", "https://localhost:1/${answer:/id}"
    server.service.oddities[""] = Oddity(http(b"", "404 Not Found"))
    services = {"verifier": {"invitation": {"url": here}, "result": {"url": nowhere}, "ca_file": server.ca_file}}
    settings = Settings.from_variables(variables | {"stampede_services": services, "stampede_mediator_did": ""})
    (said,) = probe(settings)
    assert said.startswith(f"stampede_services.verifier.result.url is {nowhere!r}, but it cannot be reached (")
