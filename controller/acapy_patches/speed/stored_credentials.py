"""What ACA-Py asks of a credential in a wallet is read from its JSON; AnonCreds reads it for a proof alone."""

from __future__ import annotations

import json
from typing import Any

from controller.acapy_patches.patch import Patch


def read_from_json() -> None:
    """Have the AnonCreds holder load what is in the wallet as ``StoredCredential``."""
    from acapy_agent.anoncreds import holder
    from anoncreds import Credential

    class StoredCredential(Credential):  # type: ignore[misc]  # anoncreds has no types
        """A credential as ``Credential.to_json_buffer`` wrote it into the wallet."""

        def __init__(self, value: bytes) -> None:
            self._value = value
            self._loaded: Any = None

        @property
        def handle(self) -> Any:
            """That of AnonCreds' own object. Raises AnoncredsError."""
            if self._loaded is None:
                self._loaded = Credential.load(self._value)
            return self._loaded.handle

        def to_dict(self) -> Any:
            return json.loads(self._value)

    class StoredOrReceived(Credential):  # type: ignore[misc]
        """Credentials come as bytes from the wallet, and as dictionaries from issuers."""

        @classmethod
        def load(cls, value: Any) -> Any:
            return StoredCredential(bytes(value)) if isinstance(value, bytes | memoryview) else Credential.load(value)

    holder.Credential = StoredOrReceived


STORED_CREDENTIALS = Patch(
    name="stored_credentials",
    reason=(
        "For each proof ACA-Py has AnonCreds read a credential three times, and write it as JSON two times, to learn "
        "its attributes and its registry."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0", "anoncreds": "0.2.3"},
    originals={
        "acapy_agent.anoncreds.holder": "cd71065984c0376e",
        "anoncreds.bindings:AnoncredsObject": "f9fcb0b178ac4570",
        "anoncreds.bindings:CredentialEntry": "6bae53bea3fb8aaf",
        "anoncreds.types:Credential": "c016ba0ec3c184d1",
        "anoncreds.types:PresentCredentials": "ca96af43794066ac",
    },
    apply=read_from_json,
)
