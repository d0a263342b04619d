"""What a script's holder can do with DIDComm, and what it keeps of it. ``controller.agents.acapy_wallet`` does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from controller.services.invitation import Json
from stampede.schema.errors import StepError

if TYPE_CHECKING:
    from controller.agents.menu import Menu
    from controller.agents.question import Question


@dataclass(slots=True)
class Connection:
    """A DIDComm connection that the holder keeps, by the name under which the script knows it."""

    name: str
    connection_id: str
    my_did: str = ""
    their_did: str = ""
    invitation_msg_id: str = ""
    service: str = ""
    """The configured service whose invitation made it; empty when none is known."""
    answer: Mapping[str, Any] = field(default_factory=dict)
    """What requests to that service use of its answer, by the names of their placeholders."""
    reused: bool = field(default=False, compare=False)
    """Whether it was there already when its last invitation was accepted."""
    attached: bool = field(default=False, compare=False)
    """Whether it came with an offer attached to an invitation; its id is empty when no connection came of that."""


@dataclass(slots=True)
class Credential:
    """A credential in the holder's wallet. ``rev_reg_id`` is empty when it cannot be revoked."""

    credential_id: str
    cred_ex_id: str
    thread_id: str = ""
    rev_reg_id: str = ""
    cred_rev_id: str = ""


@dataclass(frozen=True, slots=True)
class Presentation:
    """A presentation that was sent. What the verifier found of it, not even ACA-Py's acknowledgement tells."""

    pres_ex_id: str
    thread_id: str


class Wallet(Protocol):
    """What a script's holder can do with DIDComm. Every method raises a StepError when it fails."""

    self_attested: Mapping[str, str]
    """By name, what the holder says of itself where a request allows that and no credential has it."""

    async def connect_to_mediator(self, mediator: str | Json) -> None:
        """Connect to a mediator, by its public DID or its invitation, and have mediation granted (Aries RFCs 0023,
        0434, 0211)."""

    async def disconnect(self) -> None:
        """Close the link to the mediator, as a phone does whose app goes to the background."""

    async def reconnect(self) -> None:
        """Open it again; return when the mediator has answered."""

    async def accept_invitation(self, invitation: Json, name: str) -> Connection:
        """Process an out-of-band invitation and connect (Aries RFCs 0434, 0023, 0160)."""

    async def propose_credential(
        self, connection: Connection, attributes: Mapping[str, str], filters: Mapping[str, str], comment: str
    ) -> None:
        """Propose to the issuer what to issue (Aries RFC 0453). ``filters`` narrow down by which definition."""

    async def receive_credential(self, connection: Connection) -> Credential:
        """Await offer, request and issued credential (Aries RFC 0453)."""

    async def accept_offer(self, invitation: Json, name: str) -> tuple[Connection, Credential]:
        """Accept the offer attached to an invitation (Aries RFCs 0434, 0453), connecting where it offers that."""

    async def propose_presentation(self, connection: Connection, request: Json, comment: str) -> None:
        """Propose to the verifier what to request (Aries RFC 0454)."""

    async def present_proof(self, invitation: Json) -> Presentation:
        """Answer the presentation request attached to an invitation (Aries RFCs 0434, 0454), and await the
        verifier's acknowledgement."""

    async def present_proof_to(self, connection: Connection) -> Presentation:
        """Answer the presentation request that comes over a connection (Aries RFC 0454), and await the verifier's
        acknowledgement."""

    async def send_proof(self, invitation: Json) -> Presentation:
        """As ``present_proof``, but done when the presentation is sent: verifiers need not acknowledge it."""

    async def send_proof_to(self, connection: Connection) -> Presentation:
        """As ``present_proof_to``, but done when the presentation is sent."""

    async def receive_revocation_notification(self, credentials: Sequence[Credential]) -> Credential:
        """Await the revocation notification (Aries RFC 0721) for one of these credentials; returns that one.

        Notifications for others are left for those who await them.
        """

    async def delete_credential(self, credential: Credential) -> None:
        """Remove a credential from the wallet."""

    async def credential_ids(self) -> list[str]:
        """Ids of all credentials in the wallet."""

    async def ping(self, connection: Connection) -> None:
        """Send a trust ping and await its response (Aries RFC 0048)."""

    async def send_message(self, connection: Connection, text: str) -> None:
        """Send a basic message (Aries RFC 0095); it is not acknowledged."""

    async def receive_message(self, connection: Connection) -> str:
        """Await the next basic message (Aries RFC 0095); returns its text."""

    async def request_menu(self, connection: Connection) -> None:
        """Ask for a menu (Aries RFC 0509)."""

    async def receive_menu(self, connection: Connection) -> Menu:
        """Await the next menu (Aries RFC 0509), which may come unasked."""

    async def choose_action(self, connection: Connection, menu: Menu, name: str, values: Mapping[str, str]) -> None:
        """Perform the action ``name`` of a menu, with the values of its form (Aries RFC 0509)."""

    async def receive_question(self, connection: Connection) -> Question:
        """Await the next question (Aries RFC 0113)."""

    async def answer_question(self, question: Question, answer: str) -> None:
        """Answer a question (Aries RFC 0113)."""

    async def discover_features(self, connection: Connection, match: str) -> list[str]:
        """Query the other agent's protocols (Aries RFC 0557); returns the identifiers that it discloses."""

    def cut_off(self) -> StepError | None:
        """What the wallet waited for when the last step was cancelled; told once."""

    async def ready(self) -> None:
        """Return when the wallet's agent is up. Raises AgentLost when it will not be."""

    async def remove(self) -> None:
        """Remove the wallet and all that is in it."""
