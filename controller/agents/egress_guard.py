"""Keeps an agent from sending requests to hosts that must not be load-tested, no matter where the URL comes from:
another agent's DID document, a registry, a redirect.

Each request and each redirect is checked before a connection is made or a name resolved. The nodes of an Indy
ledger, whose genesis URL is a setting, are not contacted over HTTP and not checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import requests

from controller.acapy_patches.http_requests import HTTP_REQUESTS, NotIntercepted
from stampede.machine.files import write_atomically
from stampede.schema.settings.targets import Targets

REFUSED = "refused"
"""File in the run's folder with the sentence about the first request that an agent was kept from. It ends the run."""


class TargetNotAllowed(aiohttp.ClientError, requests.RequestException):
    """The host must not be load-tested."""


class GuardNotInstalled(Exception):
    """The process cannot be kept from hosts that must not be load-tested; the message is a sentence for the user."""


def install_egress_guard(targets: Targets, folder: Path) -> str:
    """Check all further requests of this process; the first one that is refused is reported in ``folder``.

    The guard is installed in changed libraries too, as long as a probe shows that it works there. Returns what the
    agent's log should say about such a change, or ''. Raises GuardNotInstalled when it does not work.
    """

    def check(url: Any) -> None:
        if refusal := targets.refusal(url):
            if not (folder / REFUSED).exists():
                write_atomically(folder / REFUSED, f"A holder agent tried to send a request, {refusal}\n")
            raise TargetNotAllowed(refusal)

    changed = HTTP_REQUESTS.why_not()
    try:
        HTTP_REQUESTS.apply(check)
    except NotIntercepted as error:
        raise GuardNotInstalled(
            "this agent does not start, because it could send requests to hosts that stampede_allowed_targets does "
            f"not allow: {error}" + (f" ({changed})" if changed else "")
        ) from error
    return f"the egress guard works, but {changed}" if changed else ""
