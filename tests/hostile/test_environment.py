"""Machines as people have them: proxies in the environment, little memory, no home, addresses of all kinds."""

from __future__ import annotations

import http.server
import ipaddress
import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from controller.agents import flags, process
from controller.agents.flags import AgentIdentity
from controller.agents.pool import AgentPool
from controller.agents.postgresql import Postgresql
from controller.agents.process import check_ports_free
from controller.agents.webhooks import WebhookReceiver
from controller.services.client import HttpServices
from reference.__main__ import parse
from reference.did_documents import DidDocuments
from stampede.influxdb.client import connect
from stampede.machine.files import user_path
from stampede.machine.proxies import proxy_notices, without_proxies
from stampede.machine.wallet_space import lacking_space
from stampede.prepare.folder_checks import no_space_for_wallets
from stampede.prepare.preflight import probe
from stampede.schema.errors import AgentError, BadInput
from stampede.schema.settings.influxdb_settings import Influxdb
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.settings.targets import Targets, did_web_url
from stampede.schema.settings.web_address import bare_host, in_url, is_loopback

PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "ws_proxy")
DEAD = "http://127.0.0.1:9"
IPV6 = Path("/proc/net/if_inet6").exists() and " lo\n" in Path("/proc/net/if_inet6").read_text()
needs_ipv6 = pytest.mark.skipif(not IPV6, reason="this machine has no ::1")


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers everything with an invitation."""

    def do_GET(self) -> None:
        content = b'{"@type": "https://didcomm.org/out-of-band/1.1/invitation", "services": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


class Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


@pytest.fixture(params=["127.0.0.1", "localhost", pytest.param("::1", marks=needs_ipv6)])
def service(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a service on loopback."""
    kind = Server6 if request.param == "::1" else http.server.ThreadingHTTPServer
    with kind((request.param, 0), Answers) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://{in_url(request.param)}:{server.server_address[1]}"
        server.shutdown()


def settings_with(variables: dict[str, Any], **changes: Any) -> Settings:
    named = {f"stampede_{name}": value for name, value in changes.items()}
    return Settings.from_variables(variables | {"stampede_mediator_did": ""} | named)


# ------------------------------------------------------------------------------- proxies


@pytest.fixture
def dead_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable that names a proxy names one that does not answer, and none is excepted."""
    for name in (*os.environ, *PROXIES):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name, raising=False)
    for name in PROXIES:
        monkeypatch.setenv(name, DEAD)


async def test_services_and_influxdb_are_reached_past_every_proxy(
    dead_proxies: None, service: str, variables: dict[str, Any]
) -> None:
    settings = settings_with(variables, services={"issuer": {"invitation": {"url": f"{service}/invitation"}}})
    assert probe(settings) == []
    async with HttpServices(settings, {}) as services:
        assert "@type" in await services.request_invitation("issuer", {})
    for target in (Influxdb(service, "d"), Influxdb(service, org="o", bucket="b")):
        assert connect(target, "word").write(b"x y=1 1\n").ok


AGENT = """
import asyncio, json, os, aiohttp, requests
service = os.environ["SERVICE"]
async def by_aiohttp():
    async with aiohttp.ClientSession(trust_env=True) as session:  # as ACA-Py makes all of its sessions
        async with session.get(service) as answer:
            return answer.status
print(json.dumps([asyncio.run(by_aiohttp()), requests.get(service, timeout=5).status_code]))
"""


async def test_an_agent_is_given_no_proxy(
    dead_proxies: None,
    service: str,
    variables: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The agent's process is replaced by one that sends requests with ACA-Py's libraries, and ends."""
    (tmp_path / "logs").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(process, "LAUNCHER", "libraries")
    monkeypatch.setattr(flags, "command_line", lambda settings, identity: [])
    monkeypatch.setenv("SERVICE", service)
    (tmp_path / "libraries.py").write_text(AGENT)
    async with aiohttp.ClientSession() as session, WebhookReceiver(()) as webhooks:
        agent = process.AgentProcess(
            0,
            settings_with(variables),
            admin_port=1,
            run_dir=tmp_path,
            wallet_dir=tmp_path,
            trust_file=tmp_path / "trust.pem",
            webhooks=webhooks,
            session=session,
            announce=lambda kind, text: None,
            postgresql=None,
        )
        (tmp_path / "trust.pem").touch()
        with pytest.raises(AgentError, match=r"its log ends with: \[200, 200\]"):
            await agent.start()


def test_which_variables_an_agent_is_not_given() -> None:
    kept = {"PATH": "/bin", "SSL_CERT_DIR": "/x", "PROXY": "no name that any library takes"}
    given = kept | dict.fromkeys(PROXIES, DEAD) | {"no_proxy": "*", "FTP_PROXY": DEAD, "NETRC": "/home/me/.netrc"}
    assert without_proxies(given) == kept


def test_a_proxy_that_is_set_is_told_not_to_be_used() -> None:
    (sentence,) = proxy_notices({"https_proxy": DEAD, "HTTP_PROXY": DEAD, "NO_PROXY": "localhost", "ALL_PROXY": ""})
    assert sentence.startswith("HTTP_PROXY, https_proxy are set, but a run uses no proxy: services, mediator and")
    assert DEAD not in sentence  # it may hold a password
    assert proxy_notices({"NO_PROXY": "localhost", "HTTP_PROXY": ""}) == []


# ---------------------------------------------------------------------------------- IPv6


@pytest.mark.parametrize("host", ["::1", "[::1]", "0:0:0:0:0:0:0:1"])
def test_an_agents_endpoint_has_an_ipv6_address_in_brackets(variables: dict[str, Any], host: str) -> None:
    settings = settings_with(variables, agent_host=host, agent_bind=host, agent_port=9000)
    agent = AgentIdentity(1, 21_001, Path("/home"), Path("/trust.pem"), "http://127.0.0.1:1/webhooks#key")
    words = flags.command_line(settings, agent)
    assert words[words.index("--endpoint") + 1] == "http://[::1]:9001"
    assert words[words.index("--inbound-transport") + 1 :][:3] == ["http", "::1", "9001"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("agent_host", "load-1.example.org:8600"),
        ("agent_host", "[::1]:8600"),
        ("agent_host", "http://load-1"),
        ("agent_host", "::1::2"),
        ("agent_host", "fe80::1%eth0"),
        ("agent_host", "[load-1]"),
        ("agent_host", "300.0.0.1"),
        ("agent_host", "bücher.example"),
        ("agent_host", ""),
        ("agent_bind", "0.0.0.0:8600"),
        ("agent_bind", "[::"),
        ("agent_bind", ":::"),
    ],
)
def test_a_host_that_makes_no_endpoint_is_told(variables: dict[str, Any], variable: str, value: str) -> None:
    (sentence,) = check_variables(variables | {f"stampede_{variable}": value})
    assert sentence.startswith(f"stampede_{variable} is {value!r}; it must be ") and "without a port" in sentence


@pytest.mark.parametrize(
    ("host", "bind", "right"),
    [
        ("::1", "127.0.0.1", "::1 or ::"),
        ("[::1]", "0.0.0.0", "::1 or ::"),
        ("127.0.0.1", "::", "127.0.0.1 or 0.0.0.0"),
        ("127.0.0.2", "127.0.0.1", "127.0.0.2 or 0.0.0.0"),
        ("::1", "::", ""),
        ("[::1]", "::1", ""),
        ("localhost", "::1", ""),
        ("2001:db8::5", "10.0.0.5", ""),  # may be translated on the way
    ],
)
def test_agents_that_nobody_reaches_are_told(variables: dict[str, Any], host: str, bind: str, right: str) -> None:
    sentences = check_variables(variables | {"stampede_agent_host": host, "stampede_agent_bind": bind})
    assert len(sentences) == bool(right)
    if right:
        host = host.strip("[]")
        assert sentences == [
            f"stampede_agent_bind is {bind!r}, where nobody reaches stampede_agent_host, which is {host!r}; it must "
            f"be {right}"
        ]


@needs_ipv6
@pytest.mark.parametrize("bind", ["::1", "[::1]", "::"])
def test_a_port_is_looked_at_where_the_agents_listen(variables: dict[str, Any], bind: str) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"port {port} of ::1? cannot be used for agent-0"):
            check_ports_free(settings_with(variables, agent_bind=bind, agent_port=port), 1)
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        port = elsewhere.getsockname()[1]
        check_ports_free(settings_with(variables, agent_bind=bind, agent_port=port), 1)


def test_a_postgresql_at_an_ipv6_address_with_a_login_of_any_kind() -> None:
    server = Postgresql.from_url("postgresql://stampede%40example@[fd00::2]:5433", "p@ss:wörd/%")
    environment = server.environment()
    assert (server.host, server.account) == ("fd00::2", "stampede@example")
    assert json.loads(environment["ACAPY_WALLET_STORAGE_CONFIG"])["url"] == "[fd00::2]:5433"
    assert json.loads(environment["ACAPY_WALLET_STORAGE_CREDS"])["password"] == "p@ss:wörd/%"


@pytest.mark.parametrize("url", ["http://[::1]:8086", "http://127.0.0.2:8086", "http://localhost:8086"])
def test_what_goes_to_this_machine_may_be_in_clear(variables: dict[str, Any], url: str) -> None:
    influxdb = {"metrics": "existing", "influxdb_url": url, "influxdb_user": "u", "influxdb_database": "d"}
    settings = settings_with(
        variables,
        **influxdb,
        **{f"influxdb_{name}": "" for name in ("org", "bucket", "ca_file")},
        secrets={"influxdb_password": "x"},
        services={"issuer": {"invitation": {"url": f"{url}/invitation"}}},
    )
    assert settings.influxdb is not None and settings.influxdb.url == url


@pytest.mark.parametrize("host", ["10.0.0.1", "example.org", "::", "::2", None, "", "127.0.0.1.example.org"])
def test_what_is_not_this_machine(host: str | None) -> None:
    assert not is_loopback(host)


def test_reference_services_at_an_ipv6_address() -> None:
    assert parse(["--public-host", "[::1]"]).public_host == "::1"
    did = DidDocuments("[::1]", 9443).did("mediator")
    assert did_web_url(did) == "https://[::1]:9443/mediator/did.json"
    with pytest.raises(SystemExit):
        parse(["--public-host", "localhost:9443"])


@pytest.mark.fuzz
@given(st.text(max_size=40) | st.from_regex(r"\[?[0-9a-f:.]{0,20}\]?", fullmatch=True) | st.ip_addresses().map(str))
def test_a_host_is_read_or_refused(text: str) -> None:
    try:
        host = bare_host(text)
    except ValueError:
        return
    assert host.isascii() and bare_host(in_url(host)) == host
    if ":" in host:
        assert ipaddress.ip_address(host)
    assert requests.Request("GET", f"http://{in_url(host)}:1/").url


# --------------------------------------------------------- international names among the targets


@pytest.mark.parametrize(
    ("entry", "ascii_form"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example:8443", "xn--bcher-kva.example:8443"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("faß.example", "xn--fa-hia.example"),
    ],
)
def test_an_international_name_is_told_as_requests_have_it(entry: str, ascii_form: str) -> None:
    with pytest.raises(BadInput) as caught:
        Targets([entry])
    assert str(caught.value) == (
        f"stampede_allowed_targets has {entry!r}; it must be written as requests have it: {ascii_form}"
    )
    targets = Targets([ascii_form])
    host, _, port = entry.replace("*", "shop").partition(":")
    assert targets.refusal(f"https://{host}:{port or 443}/x") == ""


def test_an_international_name_in_a_url_is_told_in_that_form(variables: dict[str, Any]) -> None:
    services = {"issuer": {"invitation": {"url": "https://bücher.example/invitation"}}}
    named = {"stampede_services": services, "stampede_mediator_did": ""}
    (sentence,) = check_variables(variables | named)
    assert "but xn--bcher-kva.example is not among the hosts that may be loaded" in sentence
    assert check_variables(variables | named | {"stampede_allowed_targets": ["xn--bcher-kva.example"]}) == []


@pytest.mark.parametrize(
    "entry", ["https://bücher.example", "bü cher.example", "bücher*.example", "ü..example", "\u200d"]
)
def test_what_is_no_international_name_is_told_as_anything_else(entry: str) -> None:
    with pytest.raises(BadInput, match=r"it must be a host \(issuer.example.org\)"):
        Targets([entry])


@pytest.mark.fuzz
@given(st.text(max_size=60) | st.from_regex(r"[a-zäöß.*?]{1,20}(:[0-9]{1,9})?", fullmatch=True))
def test_an_entry_of_the_targets_is_read_or_told(entry: str) -> None:
    try:
        targets = Targets([entry])
    except BadInput as error:
        assert str(error).startswith(f"stampede_allowed_targets has {entry!r}; it must be ")
        return
    assert not targets.allows("issuer.example.org", 443) or set(entry) & set("*?") or "issuer" in entry.lower()


@pytest.mark.fuzz
@given(st.text(max_size=60) | st.text(max_size=30).map("https://{}/x".format))
def test_no_url_is_more_than_a_refusal(url: str) -> None:
    assert Targets([]).refusal(url) == "" or Targets([]).refusal(url).startswith("but ")


# -------------------------------------------------------------------- memory for wallets, and a home


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A /dev/shm of 10 MB."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10_000_000))
    return tmp_path


@pytest.mark.parametrize(("storage", "holders", "needed"), [("memory", 200, "20.2"), ("sqlite", 40, "18.6")])
async def test_too_little_memory_is_told_before_a_wallet_is_made(
    small: Path, variables: dict[str, Any], tmp_path: Path, storage: str, holders: int, needed: str
) -> None:
    settings = settings_with(variables, holders=holders, agents=2, wallet_storage=storage)
    with pytest.raises(BadInput) as caught:
        await AgentPool(settings, tmp_path, lambda kind, text: None, {}).__aenter__()
    assert str(caught.value).startswith(
        f"local: /dev/shm has 10.0 MB left, but the wallets of {holders} holders in 2 agents take about {needed} MB; "
        "enlarge it"
    )
    assert not list(tmp_path.iterdir())
    (sentence,) = no_space_for_wallets(settings)
    assert sentence.startswith(f"stampede_holders is {holders}, but /dev/shm has 10.0 MB left")
    assert "postgresql" in sentence and "fewer holders" in sentence


def test_wallets_elsewhere_need_no_memory(small: Path, variables: dict[str, Any]) -> None:
    elsewhere = {"wallet_storage": "postgresql", "postgresql_url": "postgresql://u@localhost"}
    assert no_space_for_wallets(settings_with(variables, holders=10_000, **elsewhere)) == []


def test_enough_memory_is_enough(small: Path) -> None:
    assert lacking_space("sqlite", small, 1, 10) == lacking_space("memory", small, 1, 99) == ""
    assert "remount" not in lacking_space("sqlite", small, 1, 1000)  # it is another folder's


@pytest.mark.parametrize("path", ["~nobody-of-that-name/ca.pem"])
def test_a_home_that_is_not_there_is_told(path: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"stampede_ca_file is '~.*', but no home folder is known for it; it must be"):
        user_path("stampede_ca_file", path, tmp_path)


def test_no_home_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    with pytest.raises(BadInput, match=r"stampede_results_dir is '~/results', but no home folder is known for it"):
        user_path("stampede_results_dir", "~/results", tmp_path)
    assert user_path("stampede_results_dir", "results", tmp_path) == tmp_path / "results"
