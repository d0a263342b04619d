"""A mediator that is ACA-Py as it comes, with a public did:web, for tests with phones."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import trustme
from aiohttp import web

from reference.wallets import create_wallet_folder
from stampede.machine.ports import HeldPorts
from stampede.machine.processes import die_with_parent


class StockMediator:
    """`aca-py` with HTTP and WebSocket. Its DID's document is served by HTTPS, and so is its WebSocket (wss)."""

    def __init__(self, folder: Path, *arguments: str, transports: tuple[str, ...] = ("http", "ws")) -> None:
        """``transports``: those of its endpoints; ``wss`` is ``ws`` behind a TLS proxy."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._home = create_wallet_folder()
        """In memory: on a busy disk its SQLite is too slow for ACA-Py, which then loses messages."""
        self._ports = HeldPorts(5)
        self.http_port, self.ws_port, self._admin_port, self._https_port, self.wss_port = range(
            self._ports.first, self._ports.first + 5
        )
        self.did = f"did:web:localhost%3A{self._https_port}"
        self._endpoints = [
            {
                "http": f"http://127.0.0.1:{self.http_port}",
                "ws": f"ws://127.0.0.1:{self.ws_port}",
                "wss": f"wss://localhost:{self.wss_port}",
            }[kind]
            for kind in transports
        ]
        self._arguments = arguments
        self._document: dict[str, Any] = {}
        authority = trustme.CA(organization_name="Stampede test mediator")
        self._certificate = authority.issue_cert("localhost")
        self.ca_file = folder / "mediator-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.process: subprocess.Popen[bytes] | None = None
        self._server = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._server.start()

    def start(self) -> None:
        """Start the process, for the first time or again, and return when it answers."""
        with (self._folder / "mediator.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    Path(sys.executable).with_name("aca-py"),
                    *("start", "--label", "Stock mediator"),
                    *("--inbound-transport", "http", "127.0.0.1", str(self.http_port)),
                    *("--inbound-transport", "ws", "127.0.0.1", str(self.ws_port)),
                    *("--outbound-transport", "http", "--outbound-transport", "ws", "--endpoint", *self._endpoints),
                    *("--admin", "127.0.0.1", str(self._admin_port), "--admin-insecure-mode"),
                    *("--wallet-type", "askar", "--wallet-name", "mediator", "--wallet-key", "key"),
                    *("--auto-provision", "--no-ledger", "--open-mediation", "--public-invites"),
                    *("--requests-through-public-did", "--auto-accept-requests", "--auto-accept-invites"),
                    *("--auto-ping-connection", "--log-level", "warning", *self._arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=os.environ
                | {"HOME": str(self._home), "ACAPY_HOME": str(self._home), "SSL_CERT_FILE": str(self.ca_file)},
                preexec_fn=die_with_parent,
            )
        deadline = time.monotonic() + 60
        while True:
            with suppress(OSError):
                self.admin("GET", "/status/ready")
                break
            assert self.process.poll() is None, (self._folder / "mediator.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the mediator did not start"
            time.sleep(0.1)
        if not self._document:
            self._publish()

    def kill(self) -> None:
        """As by kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it for good."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self._home)
        self._ports.release()

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """A request to its admin API."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._admin_port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def sockets(self) -> int:
        """WebSockets that are open."""
        assert self.process is not None
        connections = psutil.Process(self.process.pid).net_connections(kind="tcp")
        return sum(
            1 for each in connections if each.status == psutil.CONN_ESTABLISHED and each.laddr.port == self.ws_port
        )

    def variables(self, *ca_files: str) -> dict[str, Any]:
        """Settings of a run by it, without the prefix; ``ca_files``: those of the services."""
        together = self._folder / "ca.pem"
        together.write_text("".join(Path(each).read_text() for each in (*ca_files, str(self.ca_file))))
        return {"mediator_did": self.did, "ca_file": str(together)}

    def _publish(self) -> None:
        made = self.admin(
            "POST", "/wallet/did/create", {"method": "web", "options": {"did": self.did, "key_type": "ed25519"}}
        )
        key = f"{self.did}#key-1"
        self._document = {
            "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/ed25519-2018/v1"],
            "id": self.did,
            "verificationMethod": [
                {
                    "id": key,
                    "type": "Ed25519VerificationKey2018",
                    "controller": self.did,
                    "publicKeyBase58": made["result"]["verkey"],
                }
            ],
            "authentication": [key],
            "assertionMethod": [key],
            "service": [
                {
                    "id": f"{self.did}#didcomm-{number}",
                    "type": "did-communication",
                    "priority": number,
                    "recipientKeys": [key],
                    "routingKeys": [],
                    "serviceEndpoint": endpoint,
                }
                for number, endpoint in enumerate(self._endpoints)
            ],
        }
        self.admin("POST", f"/wallet/did/public?did={urllib.parse.quote(self.did)}")

    async def _serve(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._certificate.configure_cert(context)
        app = web.Application()

        async def document(request: web.Request) -> web.Response:
            return web.json_response(self._document)

        app.router.add_get("/.well-known/did.json", document)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "localhost", self._https_port, ssl_context=context).start()
        proxy = await asyncio.start_server(self._proxy, "localhost", self.wss_port, ssl=context)
        await proxy.serve_forever()

    async def _proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.ws_port)
        except OSError:
            writer.close()
            return
        ways = [asyncio.create_task(_copy(*way)) for way in ((reader, to_writer), (to_reader, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, to_writer):
            end.close()
        await asyncio.gather(*ways, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@contextmanager
def stock_mediator(
    folder: Path, *arguments: str, transports: tuple[str, ...] = ("http", "ws")
) -> Iterator[StockMediator]:
    """A mediator for a while."""
    mediator = StockMediator(folder, *arguments, transports=transports)
    try:
        mediator.start()
        yield mediator
    finally:
        mediator.stop()
