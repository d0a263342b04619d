"""The key of a store, from what ACA-Py opens it with, and what it encrypts."""

from __future__ import annotations

import os

import base58
from aries_askar import AskarError, AskarErrorCode
from aries_askar.kdf import Argon2, Argon2Parameters
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES, KEY_BYTES, SALT_BYTES = 12, 32, 16
DERIVATIONS = {
    "kdf:argon2i": Argon2Parameters.MODERATE,
    "kdf:argon2i:mod": Argon2Parameters.MODERATE,
    "kdf:argon2i:int": Argon2Parameters.INTERACTIVE,
}


class Cipher:
    """AES-256-GCM, of ``cryptography``."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = AESGCM(key)

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        """The data, encrypted; ``context`` is what must be given again to decrypt it."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._key.encrypt(nonce, data, context)

    def decrypt(self, data: bytes, context: bytes) -> bytes | None:
        """What was encrypted; None when this is not what ``encrypt`` returned for this key and context."""
        try:
            return self._key.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):  # ValueError: it is too short
            return None


def derive(method: str | None, pass_key: str | None, salt: bytes) -> bytes:
    """The key for Askar's ``key_method`` and ``pass_key``. Raises AskarError: UNSUPPORTED for another method, INPUT
    for what is no raw key."""
    method = (method or "kdf:argon2i").lower()
    if method == "raw":
        try:
            key = base58.b58decode(pass_key or "")
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise AskarError(AskarErrorCode.INPUT, f"a raw key must be {KEY_BYTES} bytes in base58")
        return key
    if method not in DERIVATIONS:
        raise AskarError(
            AskarErrorCode.UNSUPPORTED, f"the key method is {method!r}; it must be raw, {', '.join(DERIVATIONS)}"
        )
    derived: bytes = Argon2.derive_password(DERIVATIONS[method], pass_key or "", salt)
    return derived
