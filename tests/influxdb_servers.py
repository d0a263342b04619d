"""Servers that points are pushed to, of the tests' own: InfluxDB 1, and VictoriaMetrics for the v2 write API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from points import rows

from stampede.machine.ports import free_ports

DATABASE = "stampede"
PASSWORD = "1nflux-w0rd"
CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{port}"
auth-enabled = true
log-enabled = false
"""


def program(name: str, package: str) -> str:
    """Where a server is; skips the test, or fails it, when it is not installed."""
    found = shutil.which(name)
    if not found:
        reason = f"{name} is not installed (Debian: apt install {package})"
        if os.environ.get("STAMPEDE_REQUIRE_INFLUXDB") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Server:
    """A server on this machine that can be stopped and started."""

    def __init__(self, arguments: list[str], url: str, ready: str) -> None:
        self.url = url
        self._arguments = arguments
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        self._process = subprocess.Popen(self._arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{self.url}{self._ready}", timeout=5).close()
                return
            except OSError:
                assert self._process.poll() is None, f"{self._arguments[0]} ended at start"
                assert time.monotonic() < deadline, f"{self._arguments[0]} does not answer"
                time.sleep(0.05)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


class Influxd(Server):
    """InfluxDB 1 with authentication, a database ``stampede`` and a user ``writer`` who may write to it only."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stampede-test-influxdb-"))
        port = free_ports(2)
        file = self.folder / "influxdb.conf"
        file.write_text(CONFIGURATION.format(folder=self.folder, port=port, rpc=port + 1))
        super().__init__([program("influxd", "influxdb"), "-config", str(file)], f"http://127.0.0.1:{port}", "/ping")

    def set_up(self) -> None:
        self.query(f"CREATE USER admin WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES")
        self.query(f"CREATE DATABASE {DATABASE}")
        self.query(f"CREATE USER writer WITH PASSWORD '{PASSWORD}'")
        self.query(f"GRANT WRITE ON {DATABASE} TO writer")

    def query(self, words: str) -> list[dict[str, Any]]:
        """What the administrator is answered: see ``points.rows``."""
        return rows(words, self._ask("query?epoch=ns", urllib.parse.urlencode({"db": DATABASE, "q": words}).encode()))

    def series(self, words: str) -> list[dict[str, Any]]:
        """What Grafana is answered, as it is: series with ``tags``, ``columns`` and ``values``, times in ms."""
        answer = self._ask("query?epoch=ms", urllib.parse.urlencode({"db": DATABASE, "q": words}).encode())
        found: list[dict[str, Any]] = json.loads(answer)["results"][0].get("series", [])
        return found

    def write(self, lines: bytes) -> None:
        """Write line protocol, with times in ns."""
        self._ask(f"write?db={DATABASE}", lines)

    def _ask(self, path: str, body: bytes) -> str:
        request = urllib.request.Request(f"{self.url}/{path}", body)
        request.add_header("Authorization", "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()}") from None


class VictoriaMetrics(Server):
    """A server that speaks the v2 write API. It keeps numbers only, a series for each field."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stampede-test-victoria-"))
        port = free_ports(1)
        super().__init__(
            [
                program("victoria-metrics", "victoria-metrics"),
                f"-httpListenAddr=127.0.0.1:{port}",
                f"-storageDataPath={self.folder}",
            ],
            f"http://127.0.0.1:{port}",
            "/health",
        )

    def values(self, name: str) -> dict[tuple[str, str], list[float]]:
        """All values of a series, by step and outcome."""
        urllib.request.urlopen(f"{self.url}/internal/force_flush", timeout=30).close()
        query = urllib.parse.urlencode({"match[]": name})
        found: dict[tuple[str, str], list[float]] = {}
        with urllib.request.urlopen(f"{self.url}/api/v1/export?{query}", timeout=30) as answer:
            for line in answer:
                series = json.loads(line)
                tags = series["metric"]
                found.setdefault((tags["step"], tags["outcome"]), []).extend(series["values"])
        return found


@contextmanager
def running[S: (Influxd, VictoriaMetrics)](kind: type[S]) -> Iterator[S]:
    """A server for a while; nothing of it is left."""
    server = kind()
    try:
        server.start()
        if isinstance(server, Influxd):
            server.set_up()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder)
