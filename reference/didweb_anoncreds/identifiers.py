"""Identifiers of AnonCreds objects that live under a did:web DID.

An object's identifier is a DID URL, `<did>?service=anoncreds&relativeRef=/schema/<id>`, whose last part is
the base58 SHA-256 of the object in canonical JSON (RFC 8785), so that a client can verify the object that it
fetched. This is the did:web AnonCreds method that Credo's `DidWebAnonCredsRegistry` implements.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, unquote

import base58
import canonicaljson

SERVICE = "anoncreds"
SERVICE_TYPE = "AnonCredsRegistry"
SCHEMA = "schema"
CRED_DEF = "credDef"
REV_REG_DEF = "revRegDef"
KINDS = (SCHEMA, CRED_DEF, REV_REG_DEF)


def object_hash(value: Any) -> str:
    """The object's base58 SHA-256 over its canonical JSON.

    AnonCreds objects have no fractions and only ASCII keys; for those `canonicaljson` conforms to RFC 8785.
    """
    return base58.b58encode(sha256(canonicaljson.encode_canonical_json(value)).digest()).decode()


@dataclass(frozen=True)
class ObjectId:
    """The identifier of one object: its DID, the service that publishes it, and its path there, with its hash."""

    did: str
    service: str
    relative_ref: str

    @classmethod
    def build(cls, did: str, kind: str, value: Any) -> "ObjectId":
        """The identifier of the object `value` of this `kind` under `did`."""
        return cls(did, SERVICE, f"/{kind}/{object_hash(value)}")

    @classmethod
    def parse(cls, identifier: str) -> "ObjectId":
        """Parse `did:web:…?service=anoncreds&relativeRef=/kind/hash`. Raises ValueError with the reason."""
        did, _, query = identifier.partition("?")
        if not did.startswith("did:web:"):
            raise ValueError(f"{identifier} is not a did:web DID URL")
        fields = parse_qs(query)
        for name in ("service", "relativeRef"):
            if len(fields.get(name, [])) != 1:
                raise ValueError(f"{identifier} needs exactly one query parameter '{name}'")
        relative_ref = fields["relativeRef"][0]
        if not relative_ref.startswith("/") or not relative_ref.rsplit("/", 1)[-1]:
            raise ValueError(f"{identifier}: relativeRef '{relative_ref}' does not end in an object's hash")
        return cls(did, fields["service"][0], relative_ref)

    @property
    def hash(self) -> str:
        """The expected hash of the object."""
        return self.relative_ref.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        """The DID URL."""
        return f"{self.did}?service={self.service}&relativeRef={self.relative_ref}"


def did_document_url(did: str) -> str:
    """The URL of a did:web DID's document (https://w3c-ccg.github.io/did-method-web/#read-resolve)."""
    host, *path = did.removeprefix("did:web:").split(":")
    folder = "/".join(unquote(part) for part in path) or ".well-known"
    return f"https://{unquote(host)}/{folder}/did.json"
