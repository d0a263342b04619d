"""Requests to InfluxDB and what its answers mean, on a server of the test's own."""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from stampede.influxdb.client import Response, connect, failure_message
from stampede.prepare.preflight import probe_influxdb
from stampede.schema.errors import BadInput
from stampede.schema.settings.influxdb_settings import Influxdb

POINT = b"step,step=s n=1i 1700000000000000000\n"


@dataclass
class Influx:
    """What the server was asked, and what it answers."""

    url: str
    ca_file: str
    status: int = 204
    words: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def target(self, **more: str) -> Influxdb:
        return Influxdb(**{"url": self.url, "database": "stampede", "ca_file": self.ca_file} | more)


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[Influx]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known.asked.append((self.path, dict(self.headers), body))
            self.send_response(known.status)
            for name, value in known.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(known.words)))
            self.end_headers()
            self.wfile.write(known.words)

        def log_message(self, *args: object) -> None:
            pass

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        known = Influx(f"https://localhost:{server.server_address[1]}", str(tmp_path / "ca.pem"))
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield known
        server.shutdown()


@pytest.mark.parametrize("api", [{"user": "w"}, {"org": "o", "bucket": "b"}])
def test_a_secret_that_the_server_repeats_is_not_told(influx: Influx, api: dict[str, str]) -> None:
    influx.status = 401
    basic = base64.b64encode(b"w:hush-hush").decode()
    influx.words = json.dumps({"error": f"{'x' * 190} hush-hush, {basic} are wrong"}).encode()
    answer = connect(influx.target(**api), "hush-hush").write(POINT)
    assert "***" in answer.message
    assert "hu" not in failure_message(influx.target(**api), answer)
    assert basic[5:10] not in answer.message


def test_influxdb_1(influx: Influx) -> None:
    assert connect(influx.target(user="w", database="a b"), "hush").write(POINT).ok
    ((path, headers, body),) = influx.asked
    assert path == "/write?db=a+b&precision=ns"
    assert headers["authorization"] == f"Basic {base64.b64encode(b'w:hush').decode()}"
    assert headers["Content-Encoding"] == "gzip" and gzip.decompress(body) == POINT


def test_the_v2_write_api(influx: Influx) -> None:
    assert connect(influx.target(org="o", bucket="b"), "hush").write(POINT).ok
    ((path, headers, body),) = influx.asked
    assert path == "/api/v2/write?org=o&bucket=b&precision=ns"
    assert headers["Authorization"] == "Token hush"
    assert headers["Content-Encoding"] == "gzip" and gzip.decompress(body) == POINT


@pytest.mark.parametrize("api", [{}, {"org": "o", "bucket": "b"}], ids=["v1", "v2"])
def test_answers(influx: Influx, api: dict[str, str]) -> None:
    server = connect(influx.target(**api), "hush")
    influx.status, influx.headers = 429, {"Retry-After": "17"}
    assert server.write(POINT) == Response(429, "", retry_after=17)
    influx.headers = {"Retry-After": "9999999"}
    assert server.write(POINT).retry_after == 300
    influx.status, influx.headers, influx.words = 404, {}, b'{"error": "database not found"}'
    assert server.write(POINT) == Response(404, "database not found")
    influx.words = b'{"code": "not found", "message": "bucket not found"}'
    assert server.write(POINT) == Response(404, "bucket not found")
    influx.status, influx.words = 502, b"<html>bad\n gateway</html>"
    assert server.write(POINT) == Response(502, "<html>bad gateway</html>")
    influx.words = b"[" * 100_000
    assert server.write(POINT).status == 502
    before = len(influx.asked)
    influx.status, influx.headers = 307, {"Location": f"{influx.url}/elsewhere"}
    assert server.write(POINT).status == 307 and len(influx.asked) == before + 1, "no redirect is followed"


@pytest.mark.parametrize("api", [{}, {"org": "o", "bucket": "b"}], ids=["v1", "v2"])
def test_no_answers(influx: Influx, api: dict[str, str]) -> None:
    untrusted = connect(influx.target(ca_file="", **api), "hush").write(POINT)
    assert untrusted.untrusted and "certificate is not trusted (" in untrusted.message
    nobody = connect(influx.target(url="https://localhost:1", **api), "hush").write(POINT)
    assert nobody == Response(0, "Connection refused")
    assert influx.asked == []


def test_complaints_say_where_and_what(influx: Influx) -> None:
    target = Influxdb("https://i.example.org", "stampede", "w")
    assert failure_message(target, Response(401, "authorization failed")) == (
        "InfluxDB at https://i.example.org (database stampede) answered 401: user, password or token is wrong: "
        "authorization failed"
    )
    assert failure_message(target, Response(0, "Connection refused")) == (
        "InfluxDB at https://i.example.org (database stampede) cannot be reached: Connection refused"
    )
    assert len(failure_message(target, Response(500, "x" * 1000))) < 300


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    for file in (tmp_path / "none.pem", Path(__file__)):
        with pytest.raises(BadInput, match=r"stampede_influxdb_ca_file is '.*'; it must be a PEM file"):
            connect(Influxdb("https://localhost", "d", ca_file=str(file)), "")


@pytest.mark.parametrize(
    ("status", "problem", "warning"),
    [
        (204, "", ""),
        (400, "", ""),
        (401, "Points cannot be pushed: InfluxDB at", ""),
        (404, "there is no such database", ""),
        (302, "answered 302", ""),
        (503, "", "The run continues without it"),
        (429, "", "The run continues without it"),
    ],
)
def test_the_probe(influx: Influx, status: int, problem: str, warning: str) -> None:
    influx.status = status
    problems, warnings = probe_influxdb(influx.target(), "")
    assert gzip.decompress(influx.asked[0][2]).strip() == b"", "no point is written"
    assert problem in " ".join(problems) and bool(problem) == bool(problems)
    assert warning in " ".join(warnings) and bool(warning) == bool(warnings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ca_file": ""}, "name the CA's PEM file in stampede_influxdb_ca_file"),
        ({"ca_file": "/none.pem"}, "stampede_influxdb_ca_file is '/none.pem'"),
        ({"url": ""}, "role influxdb has not said where its server is"),
    ],
)
def test_what_the_probe_refuses_unseen(influx: Influx, change: dict[str, Any], sentence: str) -> None:
    (problem,), warnings = probe_influxdb(influx.target(**change), "")
    assert sentence in problem and warnings == []
    assert influx.asked == []
