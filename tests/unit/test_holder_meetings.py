"""What a holder keeps of those whom it meets again, or meets by an invitation that carries a message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from controller.agents.wallet import Connection, Credential, Presentation
from controller.holder.holder import Holder
from controller.run.run import Run
from controller.run.simulated import SimulatedWallet, SimulatedWallets
from stampede.schema.errors import ProblemReport

type Play = Callable[..., Run]


def steps(folder: Path) -> list[dict[str, str]]:
    """The steps of the journal: their names, services, details and errors."""
    found = []
    for line in (folder / "journal.lp").read_text().splitlines():
        if line.startswith("step,"):  # names and details here are single words
            parts = (part.partition("=")[::2] for part in line.replace(" ", ",").split(","))
            found.append({name: value.strip('"') for name, value in parts})
    return found


class Public(SimulatedWallet):
    """A wallet to which each service has a DID: what meets it again is the connection that there is."""

    async def accept_invitation(self, invitation: dict[str, Any], name: str) -> Connection:
        made = await super().accept_invitation(invitation, name)
        reused = self._seen
        self._seen = True
        return Connection(name, "the one", invitation_msg_id=made.connection_id, reused=reused)

    _seen = False


class Wallets(SimulatedWallets):
    def __init__(self, kind: type[SimulatedWallet]) -> None:
        super().__init__(1)
        self._kind = kind

    def get(self, number: int) -> SimulatedWallet:
        return self._kind(str(number))


def test_a_service_met_again_is_the_connection_that_is_kept(play: Play, tmp_path: Path) -> None:
    met: list[Any] = []

    async def script(holder: Holder) -> None:
        first = await holder.connect("issuer")
        await holder.receive_credential(first)
        again = await holder.connect("issuer", name="again")
        met.extend((first, again, holder.connections["again"], len(holder.credentials["issuer"])))
        await holder.request_revocation("issuer", "again")

    run = play(script, Wallets(Public), holders=1, iterations=1, on_failure="stop")
    first, again, kept, credentials = met
    assert again is first and kept is first and credentials == 1
    assert first.reused and first.invitation_msg_id == "connection-3"
    assert run.figures.steps["request_revocation"] == 1
    details = [step.get("detail", "") for step in steps(tmp_path) if step["step"] == "connect"]
    assert details == ["", "reused"]


class Offering(SimulatedWallet):
    """A wallet that is offered credentials with invitations, once with a connection and once without."""

    accepted = 0

    async def accept_offer(self, invitation: dict[str, Any], name: str) -> tuple[Connection, Credential]:
        connection, credential = await super().accept_offer(invitation, name)
        self.accepted += 1
        if self.accepted == 2:
            connection.connection_id = "c2"
        return connection, credential


def test_a_credential_offered_with_an_invitation(play: Play, tmp_path: Path) -> None:
    kept: list[Any] = []

    async def script(holder: Holder) -> None:
        await holder.receive_credential("issuer")
        await holder.request_revocation("issuer")
        await holder.receive_revocation_notification("issuer")
        await holder.receive_credential("issuer")
        kept.append(holder.connections["issuer"].connection_id)
        await holder.receive_credential("issuer", invitation={"@type": "x/invitation", "@id": "own"})
        kept.append(len(holder.credentials["issuer"]))

    run = play(script, Wallets(Offering), holders=1, iterations=1, on_failure="stop")
    assert run.figures.errors == {}
    assert run.figures.steps["receive_credential"] == 3
    assert run.figures.steps["request_invitation"] == 2
    assert kept == ["c2", 2]
    services = {step["service"] for step in steps(tmp_path) if step["step"] == "receive_credential"}
    assert services == {"issuer"}


def test_no_invitation_is_requested_for_an_offer_where_connecting_has_failed(play: Play) -> None:
    class Refused(SimulatedWallet):
        async def accept_invitation(self, invitation: dict[str, Any], name: str) -> Connection:
            raise ProblemReport("no")

    async def script(holder: Holder) -> None:
        await holder.connect("issuer")
        await holder.receive_credential("issuer")
        await holder.receive_credential(None)

    run = play(script, Wallets(Refused), holders=1, iterations=1, on_failure="continue")
    assert run.figures.errors == {"problem_report": 1, "no_connection": 2}
    assert run.figures.steps["request_invitation"] == 1


def test_a_script_adds_to_what_holders_say_of_themselves(play: Play) -> None:
    said: list[dict[str, str]] = []

    class Speaking(SimulatedWallet):
        async def present_proof(self, invitation: dict[str, Any]) -> Presentation:
            said.append(dict(self.self_attested))
            return await super().present_proof(invitation)

        async def present_proof_to(self, connection: Connection) -> Presentation:
            return await self.present_proof({})

    async def script(holder: Holder) -> None:
        await holder.present_proof("verifier", self_attested={"colour": "red", "age": 7})
        await holder.present_proof("verifier")
        verifier = await holder.connect("verifier")
        assert verifier is not None
        await holder.propose_presentation(verifier, {"requested_attributes": {"a": {"name": "name"}}})
        await holder.present_proof(verifier, self_attested={"town": "Basel"})
        await holder.propose_credential(verifier, {"name": "Alice", "age": 7})

    run = play(
        script, Wallets(Speaking), holders=1, iterations=1, on_failure="stop", self_attested={"colour": "green"}
    )
    assert run.figures.errors == {}
    assert said == [{"colour": "red", "age": "7"}, {"colour": "green"}, {"colour": "green", "town": "Basel"}]
    assert run.figures.steps["propose_presentation"] == run.figures.steps["propose_credential"] == 1
