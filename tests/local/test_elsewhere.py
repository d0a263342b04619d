"""A service that leads the holders to a host that the user did not name ends the run, and that host hears nothing.

The services are stand-ins; the holders are real. On the way the service is told secrets of all origins.
"""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme
from local_playbook import Playbook

KEY = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
PROTOCOL = "https://didcomm.org/didexchange/1.1"


class Bystander:
    """A server at an address of this machine that is not loopback. It is not asked for its opinion."""

    def __init__(self, address: str) -> None:
        self.heard: list[bytes] = []
        self._socket = socket.create_server((address, 0))
        self.endpoint = f"http://{address}:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.heard.append(connection.recv(100))
            connection.close()

    def close(self) -> None:
        self._socket.close()


class Verifier(http.server.ThreadingHTTPServer):
    """Answers with an invitation: ``/inline`` with an endpoint in it, ``/document`` with a did:web whose document
    has the endpoint."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.endpoint = endpoint
        self.words: list[str | None] = []
        self.ca_file = folder / "ca.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def did(self) -> str:
        return f"did:web:localhost%3A{self.server_port}:verifier"

    def document(self) -> dict[str, Any]:
        method = {"id": f"{self.did}#key-1", "type": "Ed25519VerificationKey2020", "controller": self.did}
        service = {
            "id": f"{self.did}#didcomm",
            "type": "did-communication",
            "priority": 0,
            "recipientKeys": [method["id"]],
            "routingKeys": [],
            "serviceEndpoint": self.endpoint,
        }
        return {
            "@context": "https://www.w3.org/ns/did/v1",
            "id": self.did,
            "verificationMethod": [method | {"publicKeyMultibase": KEY}],
            "authentication": [method["id"]],
            "service": [service],
        }

    def invitation(self, path: str) -> dict[str, Any]:
        inline = {
            "id": "#inline",
            "type": "did-communication",
            "recipientKeys": [f"did:key:{KEY}"],
            "serviceEndpoint": self.endpoint,
        }
        return {
            "@type": "https://didcomm.org/out-of-band/1.1/invitation",
            "@id": "8d2d9a5c-5d4c-4d0c-9a2b-0f8b3c6f3f11",
            "label": "elsewhere",
            "handshake_protocols": [PROTOCOL],
            "services": [self.did if path == "/document" else inline],
        }


class Answers(http.server.BaseHTTPRequestHandler):
    server: Verifier

    def do_POST(self) -> None:
        self.server.words.append(self.headers["X-Words"])
        self._answer(self.server.invitation(self.path))

    def do_GET(self) -> None:
        self._answer(self.server.document())

    do_HEAD = do_GET

    def _answer(self, value: dict[str, Any]) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def bystander() -> Iterator[Bystander]:
    addresses = (item for items in psutil.net_if_addrs().values() for item in items if item.family == socket.AF_INET)
    address = next((item.address for item in addresses if not item.address.startswith("127.")), None)
    if address is None:
        pytest.skip("this machine has no address but loopback")
    server = Bystander(address)
    yield server
    server.close()


@pytest.fixture
def verifier(tmp_path: Path, bystander: Bystander) -> Iterator[Verifier]:
    with Verifier(tmp_path, bystander.endpoint) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("path", ["/inline", "/document"])
def test_a_host_that_is_not_named_hears_nothing_and_the_run_ends(
    tmp_path: Path, verifier: Verifier, bystander: Bystander, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    script = tmp_path / "meet.py"
    script.write_text("async def script(holder):\n    await holder.connect('verifier')\n")
    url = f"https://localhost:{verifier.server_port}{path}"
    monkeypatch.setenv("STAMPEDE_TEST_WORD", "hush-by-environment")
    user = Playbook(
        tmp_path,
        {
            "stampede_reference_services": False,
            "stampede_agents": 1,
            "stampede_holders": 1,
            "stampede_script": str(script),
            "stampede_mediator_did": "",
            "stampede_ca_file": str(verifier.ca_file),
            "stampede_services": {"verifier": {"invitation": {"url": url, "headers": {"X-Words": WORDS}}}},
        },
    )
    code, output = user.run(*secrets(tmp_path))
    host = bystander.endpoint.removeprefix("http://")
    begun = f"an invitation of verifier leads to {bystander.endpoint}" if path == "/inline" else "A holder agent"
    assert code != 0 and f"but {host} is not among the hosts that may be loaded" in output, output
    assert begun in output
    assert not bystander.heard
    assert verifier.words == ["hush-in-clear hush-by-environment hush-by-vault"]
    assert "hush-" not in output
    assert not user.left_running()
    for file in (*user.results.rglob("*"), *user.run_dir.rglob("*")):
        assert not file.is_file() or b"hush-" not in file.read_bytes(), file


WORDS = "${secret:clear} ${secret:environment} ${secret:vault}"


def secrets(folder: Path) -> list[str]:
    """Words for ansible-playbook that give it three secrets, each in one of the ways that the docs describe."""
    password = folder / "password"
    password.write_text("open sesame")
    encrypted = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-vault"),
            *("encrypt_string", "--vault-password-file", password, "--name", "    vault", "hush-by-vault"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    file = folder / "secrets.yml"
    file.write_text(
        "stampede_secrets:\n    clear: hush-in-clear\n"
        "    environment: \"{{ lookup('ansible.builtin.env', 'STAMPEDE_TEST_WORD', default=undef()) }}\"\n"
        + encrypted.replace("\n          ", "\n            ")
    )
    return ["-vvv", "-e", f"@{file}", "--vault-password-file", str(password)]
