"""A plugin of ACA-Py that writes down what an agent sends and gets: DIDComm messages in plain, and HTTPS requests.

One JSON value a line goes to the file that the environment variable WITNESS names.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import aiohttp
import requests
from acapy_agent.wallet.askar import AskarWallet


async def setup(context: Any) -> None:
    """ACA-Py calls it."""
    path = Path(os.environ["WITNESS"])

    def note(kind: str, **what: Any) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **what}) + "\n")

    watch_wallet(note)
    watch_requests(note)


def watch_wallet(note: Any) -> None:
    """Note each message before it is packed and after it was unpacked."""
    pack, unpack = AskarWallet.pack_message, AskarWallet.unpack_message

    async def pack_message(self: Any, message: Any, to_verkeys: Any, from_verkey: Any = None) -> Any:
        plain = json.loads(message)
        note("sent", to=list(to_verkeys), sender=from_verkey, message=plain, fields=list(plain))
        return await pack(self, message, to_verkeys, from_verkey)

    async def unpack_message(self: Any, enc_message: Any) -> Any:
        message, sender, recipient = await unpack(self, enc_message)
        note("received", to=[recipient], sender=sender, message=json.loads(message))
        return message, sender, recipient

    AskarWallet.pack_message, AskarWallet.unpack_message = pack_message, unpack_message


def watch_requests(note: Any) -> None:
    """Note each request that an agent sends elsewhere than to its controller."""
    request, send = aiohttp.ClientSession._request, requests.Session.send

    async def _request(self: Any, method: str, url: Any, **options: Any) -> Any:
        if str(url).startswith("https:"):
            headers = {**self.headers, **(options.get("headers") or {})}
            has_body = options.get("data") is not None or options.get("json") is not None
            note("request", method=method, url=str(url), headers=headers, body=has_body)
        return await request(self, method, url, **options)

    def send_prepared(self: Any, prepared: Any, **options: Any) -> Any:
        note(
            "request",
            method=prepared.method,
            url=prepared.url,
            headers=dict(prepared.headers),
            body=bool(prepared.body),
        )
        return send(self, prepared, **options)

    aiohttp.ClientSession._request, requests.Session.send = _request, send_prepared
