"""The messages that wait for recipients of the mediator until they have got them."""

import base64
import json
import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from uuid import uuid4

from acapy_agent.transport.outbound.message import OutboundMessage

LOGGER = logging.getLogger(__name__)
MAX_LETTERS = 1000  # of one recipient
MAX_BYTES = 16 * 1024**2  # of one recipient


@dataclass(slots=True)
class Letter:
    """A message that waits for its recipient."""

    message: OutboundMessage
    recipient_key: str
    """The key it was forwarded to, in base58; empty for a message of the mediator's own."""
    size: int
    """Bytes."""
    received: float
    """Seconds since the epoch."""
    handed_to: str = ""
    """The id of the session on which it was sent and not acknowledged yet."""
    id: str = field(default_factory=lambda: str(uuid4()))


class Mailbox:
    """The letters of one recipient, oldest first. When there are too many, the oldest are dropped and counted."""

    def __init__(self) -> None:
        """Empty."""
        self.explicit = False
        """Whether the recipient speaks pickup 2.0: then nothing is sent to it in another way."""
        self.dropped = 0
        self._letters: dict[str, Letter] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """The number of letters, including those that wait for their acknowledgement."""
        return len(self._letters)

    def __iter__(self) -> Iterator[Letter]:
        """A copy: letters may be added and removed meanwhile."""
        return iter(list(self._letters.values()))

    def add(self, message: OutboundMessage) -> Letter:
        """Keep a message."""
        content = message.enc_payload or message.payload or b""
        letter = Letter(message, recipient_key(message.enc_payload or b""), len(content), time.time())
        self._letters[letter.id] = letter
        self._bytes += letter.size
        while len(self._letters) > MAX_LETTERS or (self._bytes > MAX_BYTES and len(self._letters) > 1):
            self.remove([next(iter(self._letters))])
            self.dropped += 1
            if self.dropped == 1:
                LOGGER.warning("a mailbox is full: from now on its oldest messages are dropped")
        return letter

    def remove(self, ids: Collection[str]) -> None:
        """Forget these letters; ids that are not known are ignored."""
        for one in ids:
            if letter := self._letters.pop(one, None):
                self._bytes -= letter.size

    def waiting(self, session_id: str, key: str = "") -> list[Letter]:
        """The letters that were not sent on this session yet; with `key` those that were forwarded to it."""
        return [one for one in self if one.handed_to != session_id and key in ("", one.recipient_key)]


def recipient_key(envelope: bytes | str) -> str:
    """The first recipient of an encrypted message (RFC 0019), in base58; empty when it tells none."""
    try:
        protected = json.loads(envelope)["protected"]
        header = json.loads(base64.urlsafe_b64decode(protected + "=" * (-len(protected) % 4)))
        key = header["recipients"][0]["header"]["kid"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return key if isinstance(key, str) else ""
