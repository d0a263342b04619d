"""A phone without an agent: DIDComm by hand, to see what a mediator sends, and when."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import base58
from acapy_agent.askar.didcomm.v1 import pack_message, unpack_message
from aries_askar import Key, KeyAlg
from did_peer_4 import encode, resolve
from did_peer_4.input_doc import KeySpec, input_doc_from_keys_and_services

DIDCOMM = "https://didcomm.org/"
PICKUP = f"{DIDCOMM}messagepickup/2.0/"
PATIENCE = 60  # seconds for any answer
ENVELOPE = {"Content-Type": "application/didcomm-envelope-enc"}


@dataclass
class Entry:
    """As in a session of Askar."""

    key: Key


class Keys:
    """Those that one agent has."""

    def __init__(self) -> None:
        self._keys: dict[str, Key] = {}

    def new(self) -> str:
        key = Key.generate(KeyAlg.ED25519)
        verkey = base58.b58encode(key.get_public_bytes()).decode()
        self._keys[verkey] = key
        return verkey

    async def fetch_key(self, verkey: str) -> Entry | None:
        key = self._keys.get(verkey)
        return Entry(key) if key else None

    def pack(self, message: dict[str, Any], to: str, sender: str = "") -> bytes:
        return pack_message([to], self._keys.get(sender), json.dumps(message).encode())

    async def unpack(self, packed: bytes) -> dict[str, Any]:
        message, _, _ = await unpack_message(self, packed)
        return json.loads(message)


class BarePhone:
    """A holder with a mediator that has a did:web DID; it speaks by a socket while one is open, else by POST."""

    def __init__(self, session: aiohttp.ClientSession, mediator_did: str) -> None:
        self._session = session
        self._mediator_did = mediator_did
        self._keys = Keys()
        self._key = self._keys.new()
        self._their_key = ""
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._gone: list[aiohttp.ClientWebSocketResponse | None] = []
        self.endpoints: dict[str, str] = {}
        """The mediator's, by scheme."""
        self.routing_key = ""
        self.pairwise = self._keys.new()
        """The key by which others reach this phone."""

    async def find_mediator(self) -> None:
        host, name = self._mediator_did.split(":")[2:]
        async with self._session.get(f"https://{host.replace('%3A', ':')}/{name}/did.json") as response:
            document = await response.json()
        self._their_key = document["verificationMethod"][0]["publicKeyBase58"]
        self.endpoints = {one["serviceEndpoint"].split(":")[0]: one["serviceEndpoint"] for one in document["service"]}

    async def open(self) -> None:
        self._socket = await self._session.ws_connect(self.endpoints["wss"])

    async def close(self) -> None:
        assert self._socket
        await self._socket.close()
        self._socket = None

    def vanish(self) -> None:
        """The network is gone, and nobody closes the socket."""
        self._gone.append(self._socket)
        self._socket = None

    async def connect(self) -> None:
        """Connection, mediation, and the key for others."""
        service = {
            "id": "#didcomm-0",
            "type": "did-communication",
            "recipientKeys": ["#key-0"],
            "routingKeys": [],
            "serviceEndpoint": "didcomm:transport/queue",
            "priority": 0,
        }
        key = KeySpec(multikey=_multikey(self._key), relationships=["authentication", "keyAgreement"])
        did = encode(input_doc_from_keys_and_services(keys=[key], services=[service]))
        request = {"label": "bare phone", "did": did}
        answer = await self.ask("didexchange/1.1/request", pthid=self._mediator_did, **request)
        document = resolve(answer["did"])
        self._their_key = _base58(document["verificationMethod"][0]["publicKeyMultibase"])
        await self.tell("didexchange/1.1/complete", thid=answer["~thread"]["thid"], pthid=self._mediator_did)
        granted = await self.ask("coordinate-mediation/1.0/mediate-request")
        self.routing_key = _base58(granted["routing_keys"][0].split(":")[2].partition("#")[0])
        update = {"action": "add", "recipient_key": self.pairwise}
        await self.ask("coordinate-mediation/1.0/keylist-update", updates=[update])

    async def tell(self, kind: str, **fields: Any) -> dict[str, Any] | None:
        """Send a message; what comes back at once where it is a POST."""
        packed = self._keys.pack(_message(kind, **fields), self._their_key, self._key)
        if self._socket:
            await self._socket.send_bytes(packed)
            return None
        async with self._session.post(self.endpoints["https"], data=packed, headers=ENVELOPE) as response:
            body = await response.read()
            assert response.status == 200, body
        return await self._keys.unpack(body) if body else None

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a message; the next one that comes."""
        return await self.tell(kind, **fields) or await self.next()

    async def next(self) -> dict[str, Any]:
        """The next message on the socket."""
        assert self._socket
        async with asyncio.timeout(PATIENCE):
            return await self._keys.unpack(await self._socket.receive_bytes())

    async def unpack(self, delivery: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """What a delivery of pickup 2.0 holds, by the ids that acknowledge it."""
        assert delivery["@type"] == f"{PICKUP}delivery", delivery
        return {
            one["@id"]: await self._keys.unpack(base64.b64decode(one["data"]["base64"]))
            for one in delivery["~attach"]
        }

    async def is_sent(self, *messages: str) -> None:
        """Somebody sends these to the phone, all at the same time."""

        async def send(text: str) -> None:
            inner = self._keys.pack(_message("basicmessage/1.0/message", content=text), self.pairwise)
            forward = _message("routing/1.0/forward", to=self.pairwise, msg=json.loads(inner))
            packed = self._keys.pack(forward, self.routing_key)
            async with self._session.post(self.endpoints["https"], data=packed, headers=ENVELOPE) as response:
                assert response.status == 200

        await asyncio.gather(*map(send, messages))


def _message(kind: str, thid: str = "", pthid: str = "", **fields: Any) -> dict[str, Any]:
    message_id = str(uuid4())
    thread = {"thid": thid or message_id} | ({"pthid": pthid} if pthid else {})
    return {
        "@type": DIDCOMM + kind,
        "@id": message_id,
        "~thread": thread,
        "~transport": {"return_route": "all"},
        **fields,
    }


def did_key(verkey: str) -> str:
    """A key in base58 (Ed25519) as did:key."""
    return f"did:key:{_multikey(verkey)}"


def _multikey(verkey: str) -> str:
    return "z" + base58.b58encode(b"\xed\x01" + base58.b58decode(verkey)).decode()


def _base58(multikey: str) -> str:
    return base58.b58encode(base58.b58decode(multikey[1:])[2:]).decode()
