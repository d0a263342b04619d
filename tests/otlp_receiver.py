"""A receiver of OTLP over HTTP on loopback: it parses what comes with ``opentelemetry-proto``, and keeps it."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

PROTOBUF = "application/x-protobuf"


@dataclass
class Trouble:
    """What the receiver answers instead of taking a request."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


def partly(rejected: int, why: str) -> Trouble:
    """An answer that is ok, and says that some data points were not taken."""
    partial = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=why)
    body = ExportMetricsServiceResponse(partial_success=partial).SerializeToString()
    return Trouble(200, body, {"Content-Type": PROTOBUF})


class Receiver:
    """Takes metrics at ``url``; ``troubles`` are what it answers first, in this order."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        """Those that were acknowledged, wholly or in part."""
        self.headers: list[dict[str, str]] = []
        """Those of all requests, in lower case."""
        self.troubles: list[Trouble] = []
        self._context = context
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._context else ''}://127.0.0.1:{self._port}/v1/metrics"

    def start(self) -> None:
        """Listen; again at the same port."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        if self._context:
            self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        self._server.shutdown()
        self._server.server_close()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert request.path == "/v1/metrics" and request.headers["Content-Type"] == PROTOBUF
        trouble = self.troubles.pop(0) if self.troubles else Trouble(200, b"", {"Content-Type": PROTOBUF})
        if trouble.status == 200 and body:
            self.requests.append(ExportMetricsServiceRequest.FromString(body))
        time.sleep(trouble.delay)
        try:
            request.send_response(trouble.status)
            for name, value in {"Content-Length": str(len(trouble.body)), **trouble.headers}.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(trouble.body)
        except OSError:
            pass  # whoever asked has gone

    def metrics(self, number: int = -1) -> dict[str, Any]:
        """The metrics of one request, the newest by default, by name."""
        return {
            metric.name: metric
            for resource in self.requests[number].resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def counts(self, *names: str, number: int = -1) -> dict[tuple[str, ...], int]:
        """How many steps there are by these attributes."""
        found: dict[tuple[str, ...], int] = {}
        for point in self.metrics(number)["stampede.step.count"].sum.data_points:
            of_point = attributes(point)
            key = tuple(of_point.get(name, "") for name in names)
            found[key] = found.get(key, 0) + point.as_int
        return found


def attributes(point: Any) -> dict[str, Any]:
    """The attributes of a data point or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in point.attributes}


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver, for as long as the block takes."""
    receiver = Receiver(context)
    try:
        yield receiver
    finally:
        receiver.stop()
