"""What ACA-Py asks of a credential in a wallet is read from its JSON; AnonCreds reads it for a proof alone."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from controller.acapy_patches.patch import Patch

ASKED_FOR = frozenset({"schema_id", "cred_def_id", "rev_reg_id", "values", "signature"})
"""What ACA-Py reads in a credential."""


def read_from_json() -> None:
    """Have the AnonCreds holder load what is in the wallet as ``StoredCredential``."""
    from acapy_agent.anoncreds import holder
    from anoncreds import Credential

    class StoredCredential(Credential):  # type: ignore[misc]  # anoncreds has no types
        """A credential as ``Credential.to_json_buffer`` wrote it into the wallet."""

        def __init__(self, value: bytes) -> None:
            self._value = value
            self._own: Any = None

        @classmethod
        def load(cls, value: Any) -> Any:
            """They come as bytes from the wallet, and as dictionaries from issuers."""
            return cls(bytes(value)) if isinstance(value, bytes | memoryview) else Credential.load(value)

        @property
        def handle(self) -> Any:
            """That of AnonCreds' own object. Raises AnoncredsError."""
            if self._own is None:
                self._own = Credential.load(self._value)
            return self._own.handle

        def to_dict(self) -> Any:
            """Raises AnoncredsError."""
            with contextlib.suppress(ValueError, TypeError):
                read = json.loads(self._value)
                if isinstance(read, dict) and read.keys() >= ASKED_FOR and "r_credential" in read["signature"]:
                    return read
            return Credential(self.handle).to_dict()

        def copy(self) -> Any:
            return Credential(self.handle).copy()

    holder.Credential = StoredCredential


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
