"""Sends requests without looking for a proxy and a login in the environment first, where agents have none."""

from __future__ import annotations

from typing import Any

from controller.acapy_patches.patch import Patch

FETCHING = "acapy_agent.utils.http"
POSTING = "acapy_agent.transport.outbound.http"
SOCKETS = "acapy_agent.transport.outbound.ws"


def look_for_none() -> None:
    """Have ACA-Py's HTTP clients take no notice of the environment."""
    from acapy_agent.transport.outbound import http as posting
    from acapy_agent.transport.outbound import ws as sockets
    from acapy_agent.utils import http as fetching
    from aiohttp import ClientSession

    def session_without_environment(**arguments: Any) -> ClientSession:
        return ClientSession(**arguments | {"trust_env": False})

    for module in (fetching, posting, sockets):
        vars(module)["ClientSession"] = session_without_environment


PROXY_LOOK_UPS = Patch(
    name="proxy_look_ups",
    reason=(
        "Before each request two threads read the environment and ~/.netrc, which takes more CPU than the request; "
        "agents are started without a proxy and without such a file (stampede.machine.proxies)."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={POSTING: "8454e04b6e5a7d23", SOCKETS: "b0422e29c6b59f65", FETCHING: "eb5bd89c766fa535"},
    apply=look_for_none,
)
