"""Certificate authorities as people have them: in a folder only, not as RFC 5280 wants them, or no certificates."""

from __future__ import annotations

import datetime
import http.server
import os
import shlex
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from controller.services.client import HttpServices
from stampede.influxdb.client import connect
from stampede.machine.trust import certificates_in, system_certificates, tls_context, write_trust_file
from stampede.machine.web_session import WebSession
from stampede.prepare.ca_checks import KEY_USAGE, RECREATE, ca_file_problems, ca_file_warnings
from stampede.prepare.preflight import probe
from stampede.schema.settings.influxdb_settings import Influxdb
from stampede.schema.settings.run_settings import Settings

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
USAGE = ("key_cert_sign", "crl_sign", "digital_signature")


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    do_HEAD = do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@dataclass
class Server:
    """An HTTPS server on loopback, and the CA that signed for it."""

    url: str
    ca_file: Path


Serve = Callable[[ssl.SSLContext], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers; gives the URL of each."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(context: ssl.SSLContext) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        server.handle_error = lambda request, client_address: None  # a client that refuses its certificate
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        return f"https://localhost:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(serve: Serve, tmp_path: Path) -> Server:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return Server(serve(context), tmp_path / "ca.pem")


def settings_for(variables: dict[str, Any], url: str, **changes: Any) -> Settings:
    service = {"issuer": {"invitation": {"url": f"{url}/invitation"}}}
    return Settings.from_variables(variables | {"stampede_services": service, "stampede_mediator_did": "", **changes})


# ------------------------------------------------------------ authorities in a folder only


@pytest.fixture
def only_a_folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine trusts a folder of files with hashed names, of which some are of no use, and has no bundle."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder = tmp_path / "authorities"
    folder.mkdir()
    shutil.copy(server.ca_file, folder / "own.pem")
    subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
    (folder / "01234567.0").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\xff\n-----END CERTIFICATE-----\n")
    (folder / "01234567.1").mkdir()
    (folder / "01234567.2").symlink_to("nowhere")
    (folder / "89abcdef.0").write_bytes(bytes(range(256)))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "no-bundle.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path / 'nowhere'}:{folder}")
    return folder


async def test_authorities_of_a_folder_are_trusted_by_preflight_controller_agents_and_influxdb(
    only_a_folder: Path, server: Server, variables: dict[str, Any], tmp_path: Path
) -> None:
    settings = settings_for(variables, server.url)
    assert probe(settings) == []
    async with HttpServices(settings, {}) as services:
        with pytest.raises(Exception, match="invitation"):  # none in the answer, which came over trusted TLS
            await services.request_invitation("issuer", {})
    assert connect(Influxdb(server.url, "d"), "").write(b"x y=1 1\n").ok

    trust_file = write_trust_file(tmp_path / "trust.pem", "")
    assert certificates_in(trust_file.read_bytes()) == certificates_in(server.ca_file.read_bytes())
    assert requests.get(server.url, verify=str(trust_file), timeout=5).status_code == 204  # noqa: ASYNC210
    agents = ssl.create_default_context(cafile=str(trust_file))
    async with aiohttp.ClientSession() as client, client.get(server.url, ssl=agents) as answer:
        assert answer.status == 204


def test_a_files_own_name_is_not_enough_in_a_folder(only_a_folder: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(only_a_folder / "another.pem"))  # OpenSSL never looks there
    assert len(system_certificates()) == 1


def test_an_authority_that_is_named_comes_on_top_of_the_systems(
    only_a_folder: Path, server: Server, serve: Serve, tmp_path: Path, variables: dict[str, Any]
) -> None:
    other = trustme.CA()
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    other.issue_cert("localhost").configure_cert(context)
    for url in (server.url, serve(context)):
        assert probe(settings_for(variables, url, stampede_ca_file=str(tmp_path / "other.pem"))) == []


def test_the_preflight_trusts_nobody_whom_the_holders_would_not(
    server: Server, variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.ca_file))  # known to the library requests only
    (problem,) = probe(settings_for(variables, server.url))
    assert "its certificate is not trusted (unable to get local issuer certificate)" in problem
    with pytest.raises(requests.exceptions.SSLError):
        WebSession().get(server.url, timeout=5)


def test_both_authorities_of_a_service_count(server: Server, variables: dict[str, Any], tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "of-service.pem"))
    settings = settings_for(variables, server.url, stampede_ca_file=str(server.ca_file))
    issuer = replace(settings.services["issuer"], ca_file=str(tmp_path / "of-service.pem"))
    assert probe(replace(settings, services={"issuer": issuer})) == []


# ----------------------------------------------- authorities that are not as RFC 5280 wants them


def extensions(
    usage: bool = True, critical: bool = True, key_id: bool = True, ca: bool = True
) -> list[tuple[Any, bool]]:
    """The extensions of a CA's certificate, as (extension, critical)."""
    unused = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    flags = dict.fromkeys((*unused, "encipher_only", "decipher_only"), False) | dict.fromkeys(USAGE, True)
    return [
        (x509.BasicConstraints(ca=ca, path_length=None), critical),
        *([(x509.KeyUsage(**flags), True)] if usage else []),
        *([(KEY_ID, False)] if key_id else []),
    ]


KEY_ID = "subject key identifier"


@dataclass
class Authority:
    """A CA made as told."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, kinds: list[tuple[Any, bool]], start: Any = NOW - DAY, end: Any = NOW + DAY) -> Authority:
        key, name = (
            ec.generate_private_key(ec.SECP256R1()),
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")]),
        )
        builder = x509.CertificateBuilder(name, name, key.public_key(), 7, start, end)
        for kind, critical in kinds:
            value = x509.SubjectKeyIdentifier.from_public_key(key.public_key()) if kind == KEY_ID else kind
            builder = builder.add_extension(value, critical)
        return cls(key, builder.sign(key, hashes.SHA256()))

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def server_context(self, folder: Path) -> ssl.SSLContext:
        """TLS of a server for localhost that this CA signed for."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateBuilder(
            self.certificate.subject,
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
            key.public_key(),
            8,
            NOW - DAY,
            NOW + DAY,
        )
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = builder.add_extension(issuer, False).sign(self.key, hashes.SHA256())
        file = folder / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@pytest.mark.parametrize(
    ("kinds", "dates", "sentence"),
    [
        (extensions(), (NOW - DAY, NOW + DAY), ""),
        (extensions(usage=False), (NOW - DAY, NOW + DAY), "has no keyUsage, so that TLS refuses it"),
        (extensions(critical=False), (NOW - DAY, NOW + DAY), "has basicConstraints that are not marked critical"),
        (extensions(key_id=False), (NOW - DAY, NOW + DAY), "has no subjectKeyIdentifier"),
        (extensions(usage=False, key_id=False), (NOW - DAY, NOW + DAY), "has no keyUsage, has no subjectKeyId"),
        (extensions(), (NOW - 3 * DAY, NOW - DAY), "expired on 20"),
        (extensions(), (NOW + DAY, NOW + 3 * DAY), "is valid only from 20"),
    ],
)
def test_an_authority_is_refused_exactly_when_tls_would_refuse_it(
    serve: Serve, tmp_path: Path, kinds: Any, dates: Any, sentence: str
) -> None:
    authority = Authority.make(kinds, *dates)
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.pem())
    url = serve(authority.server_context(tmp_path))
    problems = ca_file_problems({"stampede_ca_file": str(file)})
    if not sentence:
        assert problems == []
        assert WebSession(str(file)).get(url, timeout=5).status_code == 204
        return
    (problem,) = problems
    assert problem.startswith(f"stampede_ca_file is '{file}', in which the certificate 'CN=Test CA' {sentence}")
    with pytest.raises(requests.exceptions.SSLError):
        WebSession(str(file)).get(url, timeout=5)


def test_what_helps_an_authority_without_key_usage_does_help(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "old.pem"
    file.write_bytes(Authority.make(extensions(usage=False)).pem())
    (problem,) = ca_file_problems({"stampede_services.issuer.ca_file": str(file)})
    assert problem.endswith(RECREATE) and f"create it anew with {KEY_USAGE}, such as with openssl req" in problem
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    command = shlex.split(problem.partition("such as with ")[2])
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert ca_file_problems({"stampede_ca_file": str(tmp_path / "ca.pem")}) == []
    key: Any = serialization.load_pem_private_key((tmp_path / "ca.key").read_bytes(), None)
    made = Authority(key, x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes()))
    url = serve(made.server_context(tmp_path))
    assert WebSession(str(tmp_path / "ca.pem")).get(url, timeout=5).status_code == 204


def test_a_server_whose_authority_lacks_key_usage_is_told_with_what_to_do(
    serve: Serve, tmp_path: Path, variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a CA may be the system's own, so that no setting names it."""
    authority = Authority.make(extensions(usage=False))
    (tmp_path / "system.pem").write_bytes(authority.pem())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    (problem,) = probe(settings_for(variables, serve(authority.server_context(tmp_path))))
    assert "CA cert does not include key usage extension" in problem and RECREATE in problem


# ------------------------------------------------------------------- files that are no CA


def test_files_that_hold_no_authority(tmp_path: Path) -> None:
    authority = Authority.make(extensions())
    der = authority.certificate.public_bytes(serialization.Encoding.DER)
    key = authority.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    contents = {
        "der.crt": (der, "which is in DER; it must be a PEM file: openssl x509 -inform DER -in"),
        "key.pem": (authority.pem() + key, "which holds a private key, and would be copied to the load hosts"),
        "empty.pem": (b"", "which holds no certificate; it must be a PEM file that can be read"),
        "damaged.pem": (authority.pem().replace(b"\n", b"\n!", 2), "whose certificate 1 of 1 is damaged"),
        "cut.pem": (authority.pem()[:200], "which holds no certificate"),
    }
    for name, (content, sentence) in contents.items():
        (tmp_path / name).write_bytes(content)
        (problem,) = ca_file_problems({"stampede_ca_file": str(tmp_path / name)})
        assert problem.startswith(f"stampede_ca_file is '{tmp_path / name}', {sentence}"), problem
        assert "must be a PEM file" in problem
    (problem,) = ca_file_problems({"stampede_ca_file": str(tmp_path / "none.pem")})
    assert "which cannot be read (No such file" in problem and "must be a PEM file that can be read" in problem
    os.mkfifo(tmp_path / "fifo")
    for no_file in (tmp_path, tmp_path / "fifo", Path("/dev/zero")):
        (problem,) = ca_file_problems({"stampede_ca_file": str(no_file)})
        assert "which is no file of at most" in problem and "must be a PEM file that can be read" in problem


def test_a_servers_own_certificate_is_told_and_a_bundle_with_an_old_one_too(tmp_path: Path) -> None:
    leaf, good = Authority.make(extensions(ca=False, usage=False)), Authority.make(extensions())
    old = Authority.make(extensions(), NOW - 3 * DAY, NOW - DAY)
    file = tmp_path / "ca.pem"
    for content, sentence in (
        (leaf.pem(), "is not that of a certificate authority"),
        (good.pem() + old.pem() * 2, "of whose 3 certificates 2 make no CA, the first 'CN=Test CA' expired on"),
    ):
        file.write_bytes(content)
        assert ca_file_problems({"stampede_ca_file": str(file)}) == []
        (warning,) = ca_file_warnings({"stampede_ca_file": str(file)})
        assert sentence in warning
    file.write_bytes(Authority.make(extensions(ca=False, usage=False), NOW - 3 * DAY, NOW - DAY).pem())
    (problem,) = ca_file_problems({"stampede_ca_file": str(file)})
    assert "expired on" in problem
    file.write_bytes(b"# remarks\r\n" + good.pem().replace(b"\n", b"\r\n"))
    assert (
        ca_file_problems({"stampede_ca_file": str(file)}) == ca_file_warnings({"stampede_ca_file": str(file)}) == []
    )
    tls_context(str(file))


@pytest.mark.fuzz
@given(st.binary(max_size=300), st.sampled_from([b"", b"-----BEGIN CERTIFICATE-----\n"]))
def test_no_content_of_a_ca_file_is_more_than_a_sentence(tmp_path_factory: Any, content: bytes, begin: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.pem"
    file.write_bytes(begin + content + b"\n-----END CERTIFICATE-----")
    (problem,) = ca_file_problems({"stampede_ca_file": str(file)})
    assert problem.startswith("stampede_ca_file is ") and "must be a PEM file" in problem
    assert ca_file_warnings({"stampede_ca_file": str(file)}) == []
    assert os.linesep not in problem
