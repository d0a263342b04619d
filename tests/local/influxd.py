"""A real InfluxDB 1.x, which the test starts itself: on loopback, in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from controller.ports import free_ports

DATABASE = "stampede"


def needed() -> str:
    """The path of influxd; without one the test is skipped, which STAMPEDE_REQUIRE_INFLUXDB=1 makes a failure."""
    path = shutil.which("influxd")
    if path is None:
        reason = "InfluxDB is not installed (Debian: apt install influxdb)"
        if os.environ.get("STAMPEDE_REQUIRE_INFLUXDB") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


class Influxd:
    """A server that runs on ``port`` of loopback, with one database; nobody has to sign in."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def query(self, words: str) -> list[dict[str, Any]]:
        """All rows of all series of one statement, by column and tag; times in ns. Fails with its words."""
        body = urllib.parse.urlencode({"q": words, "db": DATABASE}).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/query?epoch=ns", body, timeout=60) as answer:
                result = json.load(answer)["results"][0]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from None
        assert "error" not in result, f"{words}: {result['error']}"
        return [
            series.get("tags", {}) | dict(zip(series["columns"], values, strict=True))
            for series in result.get("series", ())
            for values in series["values"]
        ]

    def write(self, lines: bytes) -> None:
        """Write line protocol, with times in ns."""
        urllib.request.urlopen(f"{self.url}/write?db={DATABASE}", lines, timeout=60).close()


@contextmanager
def running() -> Iterator[Influxd]:
    """Start a server, and end it."""
    path = needed()
    port = free_ports(2)
    folder = Path(tempfile.mkdtemp(prefix="stampede-test-influxdb-"))
    (folder / "empty.conf").touch()
    environment = {
        "INFLUXDB_REPORTING_DISABLED": "true",
        "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{port + 1}",
        "INFLUXDB_META_DIR": str(folder / "meta"),
        "INFLUXDB_DATA_DIR": str(folder / "data"),
        "INFLUXDB_DATA_WAL_DIR": str(folder / "wal"),
        "INFLUXDB_DATA_QUERY_LOG_ENABLED": "false",
        "INFLUXDB_MONITOR_STORE_ENABLED": "false",
        "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
        "INFLUXDB_HTTP_LOG_ENABLED": "false",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [path, "-config", folder / "empty.conf"], env=os.environ | environment, stdout=log, stderr=log
        )
    try:
        await_port(port, process, folder / "log")
        server = Influxd(port)
        server.query(f"CREATE DATABASE {DATABASE}")
        yield server
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server listens. Fails with its log."""
    deadline = time.monotonic() + 60
    while True:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
