"""Keeps an agent from sending any request to a host that may not be loaded, whoever named that host: another
agent's DID document, a registry, a redirect.

Every request that ACA-Py and its plugins make by aiohttp or requests is looked at, each redirect anew, before a
connection is made or a name resolved. The nodes of an Indy ledger, whose genesis URL the user named, are not
reached by HTTP and not looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import requests
from aiohttp.connector import BaseConnector
from requests.adapters import HTTPAdapter

from stampede.machine.files import write_atomically
from stampede.schema.targets import Targets

REFUSED = "refused"
"""In the run's folder: the sentence about the first host that an agent was kept from. It ends the run."""


class NotAllowed(aiohttp.ClientError, requests.RequestException):
    """The host may not be loaded."""


def stand_guard(targets: Targets, folder: Path) -> None:
    """Look at all further requests of this process; the first that is refused is told in ``folder``."""
    connect, send = BaseConnector.connect, HTTPAdapter.send

    def check(url: Any) -> None:
        if refusal := targets.refusal(url):
            if not (folder / REFUSED).exists():
                write_atomically(
                    folder / REFUSED, f"An agent of the holders was about to send a request, {refusal}\n"
                )
            raise NotAllowed(refusal)

    async def guarded_connect(self: BaseConnector, req: Any, *rest: Any, **more: Any) -> Any:
        check(req.url)
        return await connect(self, req, *rest, **more)

    def guarded_send(self: HTTPAdapter, request: Any, *rest: Any, **more: Any) -> Any:
        check(request.url)
        return send(self, request, *rest, **more)

    BaseConnector.connect = guarded_connect  # type: ignore[method-assign]
    HTTPAdapter.send = guarded_send  # type: ignore[method-assign]
