"""What a holder asks of the services under test, whether they are real or simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from controller.services.invitation import Json


class Verdict(StrEnum):
    """What a verifier says of a presentation when it is asked."""

    VERIFIED = "verified"
    REFUSED = "refused"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Result:
    """A verdict, and a sentence with the words of the verifier."""

    verdict: Verdict
    sentence: str
    pause: float = 0.0
    """Seconds after which a verifier whose verdict is pending wants to be asked again; 0 when it does not say."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a service answered to a request of the script."""

    value: Any
    """JSON, or text where it is none."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """What further requests to the service use of it, by the names of their placeholders."""


class Services(Protocol):
    """The HTTPS requests of a holder; ``values`` replace ``${name}`` in URL, headers and body."""

    async def request_invitation(self, service: str, values: Mapping[str, Any]) -> Json:
        """An out-of-band invitation from ``service``."""

    async def request_revocation(self, service: str, values: Mapping[str, Any]) -> None:
        """Ask ``service`` to revoke the credential that ``values`` identify."""

    async def request_result(self, service: str, values: Mapping[str, Any]) -> Result:
        """Ask ``service`` once what it found of the presentation that ``values`` identify."""

    async def request(self, service: str, name: str, values: Mapping[str, Any]) -> Answered:
        """Send the request ``name`` of ``service``; the one without a name is its ``request``."""


def string_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Values for ``fill_in``: None becomes empty text."""
    return {key: "" if value is None else str(value) for key, value in values.items()}
