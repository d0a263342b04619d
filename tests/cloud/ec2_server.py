"""EC2 by moto, with faults on demand. Run by the interpreter of moto's own virtual environment: PORT.

``POST /faults {"operation": "RunInstances", "after": 1, "code": "VcpuLimitExceeded", "status": 400, "message": ""}``
has that operation answered so from its second call on; ``{}`` ends it.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.ec2.models.elastic_block_store import Volume
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
from werkzeug.wrappers import Request, Response

ANSWER = "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
SNAPSHOT = "snap-0123456789abcdef0"


def have_snapshots() -> None:
    """List disks as EC2 does: one that is made from an image has a snapshot, which moto leaves out."""
    made = Volume.__init__

    def make(volume: Any, *arguments: Any, **named: Any) -> None:
        made(volume, *arguments, **named)
        volume.snapshot_id = volume.snapshot_id or SNAPSHOT

    Volume.__init__ = make


class WithFaults:
    """moto's application behind a door."""

    def __init__(self) -> None:
        self.app = DomainDispatcherApplication(create_backend_app)
        self.fault: dict[str, Any] = {}
        self.calls = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        if request.path == "/faults":
            self.fault, self.calls = json.loads(request.get_data()), 0
            return Response("")(environ, start_response)
        body = request.get_data(cache=True).decode(errors="replace")
        operation = parse_qs(body).get("Action", [""])[0]
        if self.fault and self.fault["operation"] in (operation, "*"):
            self.calls += 1
            if self.calls > self.fault.get("after", 0):
                text = ANSWER.format(**self.fault)
                return Response(text, self.fault["status"], mimetype="text/xml")(environ, start_response)
        environ["wsgi.input"] = request.stream if not body else io.BytesIO(body.encode())
        return self.app(environ, start_response)


if __name__ == "__main__":
    have_snapshots()
    run_simple("127.0.0.1", int(sys.argv[1]), WithFaults(), threaded=True)
