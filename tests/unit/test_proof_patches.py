"""The patches ``revocation_states`` and ``stored_credentials``: proofs of AnonCreds' own, from what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from acapy_agent.anoncreds import holder
from acapy_agent.anoncreds.holder import AnonCredsHolder, AnonCredsHolderError
from acapy_agent.utils.testing import create_test_profile
from acapy_models import Change, outcome
from anoncreds import (
    AnoncredsError,
    Credential,
    CredentialDefinition,
    CredentialOffer,
    CredentialRequest,
    CredentialRevocationConfig,
    CredentialRevocationState,
    Presentation,
    PresentationRequest,
    PresentCredentials,
    RevocationRegistryDefinition,
    RevocationStatusList,
    Schema,
    create_link_secret,
    generate_nonce,
)

from controller.acapy_patches.speed import revocation_states
from controller.acapy_patches.speed.revocation_states import REVOCATION_STATES, RevocationStates
from controller.acapy_patches.speed.stored_credentials import STORED_CREDENTIALS

ISSUER = "did:web:issuer.example"
SCHEMA_ID, CRED_DEF_ID, REGISTRY_ID = f"{ISSUER}/schema", f"{ISSUER}/cred-def", f"{ISSUER}/registry"
WALLET = {
    "wallet.type": "askar-anoncreds",
    "auto_provision": True,
    "wallet.key": "5BngFuBpS4wjFfVFCtPqoix3ZXG2XR8XJ7qosUzMak7R",
    "wallet.key_derivation_method": "RAW",
}
INDEX = 5
"""Of the holder's credential in its registry."""


class Issuer:
    """A real issuer with a registry of 20 credentials, and its holder's credential."""

    def __init__(self, tails: Path) -> None:
        self.schema = Schema.create("badge", "1.0", ISSUER, ["name", "age"])
        self.cred_def, private, key_proof = CredentialDefinition.create(
            SCHEMA_ID, self.schema, ISSUER, "default", "CL", support_revocation=True
        )
        self.registry, self._registry_private = RevocationRegistryDefinition.create(
            CRED_DEF_ID, self.cred_def, ISSUER, "default", "CL_ACCUM", 20, tails_dir_path=str(tails)
        )
        self.link_secret = create_link_secret()
        offer = CredentialOffer.create(SCHEMA_ID, CRED_DEF_ID, key_proof)
        request, metadata = CredentialRequest.create(
            "entropy", None, self.cred_def, self.link_secret, "default", offer
        )
        issued = Credential.create(
            self.cred_def,
            private,
            offer,
            request,
            {"name": "Ada", "age": "36"},
            revocation_config=CredentialRevocationConfig(
                self.registry, self._registry_private, self.status(1), INDEX
            ),
        )
        self.credential = issued.process(metadata, self.link_secret, self.cred_def, self.registry)

    def status(self, timestamp: int, *revoked: int) -> RevocationStatusList:
        """The status list at a time, with these credentials revoked."""
        first = RevocationStatusList.create(
            self.cred_def, REGISTRY_ID, self.registry, self._registry_private, ISSUER, True, timestamp
        )
        return first.update(self.cred_def, self.registry, self._registry_private, [], list(revoked), timestamp)

    def is_proved(self, state: CredentialRevocationState, status: RevocationStatusList, timestamp: int) -> bool:
        """Whether a verifier takes the credential for not revoked at a time, proved from a state."""
        request = PresentationRequest.load(
            {
                "name": "proof",
                "version": "1.0",
                "nonce": generate_nonce(),
                "requested_attributes": {"name": {"name": "name", "non_revoked": {"from": 0, "to": timestamp}}},
                "requested_predicates": {},
            }
        )
        shown = PresentCredentials()
        shown.add_attributes(self.credential, "name", reveal=True, timestamp=timestamp, rev_state=state)
        schemas, definitions = {SCHEMA_ID: self.schema}, {CRED_DEF_ID: self.cred_def}
        presentation = Presentation.create(request, shown, {}, self.link_secret, schemas, definitions)
        verified: bool = presentation.verify(
            request, schemas, definitions, {REGISTRY_ID: self.registry}, [status], None
        )
        return verified


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("tails"))


@pytest.fixture
def calculated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each state came to be: ``anew``, or by an ``update``."""
    how: list[str] = []
    create = CredentialRevocationState.create

    def counted(*arguments: Any) -> Any:
        how.append("anew" if len(arguments) == 4 else "update")
        return create(*arguments)

    monkeypatch.setattr(CredentialRevocationState, "create", counted)
    return how


class TestRevocationStates:
    """``RevocationStates.state``."""

    def state(
        self, states: RevocationStates, issuer: Issuer, status: RevocationStatusList, index: int = INDEX
    ) -> Any:
        return states.state(issuer.registry.to_dict(), status.to_dict(), index, issuer.registry.tails_location)

    def test_an_updated_state_proves_as_one_that_was_calculated(self, issuer: Issuer, calculated: list[str]) -> None:
        states = RevocationStates()
        for timestamp, revoked in ((2, (3,)), (3, (3, 4, 9)), (4, (3, 4, 9)), (5, ()), (6, (19,))):
            status = issuer.status(timestamp, *revoked)
            assert issuer.is_proved(self.state(states, issuer, status), status, timestamp), revoked
        assert calculated == ["anew", *["update"] * 4]

    def test_an_older_list_may_follow(self, issuer: Issuer, calculated: list[str]) -> None:
        states, older, newer = RevocationStates(), issuer.status(2, 3), issuer.status(3, 3, 4)
        self.state(states, issuer, newer)
        assert issuer.is_proved(self.state(states, issuer, older), older, 2)
        assert calculated == ["anew", "update"]

    def test_a_revoked_credential_proves_nothing(self, issuer: Issuer, calculated: list[str]) -> None:
        states, revoked = RevocationStates(), issuer.status(3, INDEX)
        self.state(states, issuer, issuer.status(2))
        assert not issuer.is_proved(self.state(states, issuer, revoked), revoked, 3)
        again = issuer.status(4)
        assert issuer.is_proved(self.state(states, issuer, again), again, 4)
        assert calculated == ["anew"] * 3, "its state is as AnonCreds calculates it, and none goes on from it"

    def test_a_state_that_cannot_be_updated_is_calculated(
        self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        states, status = RevocationStates(), issuer.status(3, 4)
        self.state(states, issuer, issuer.status(2))
        create = CredentialRevocationState.create

        def broken(*arguments: Any) -> Any:
            if len(arguments) > 4:
                raise AnoncredsError(1, "no update")
            return create(*arguments)

        monkeypatch.setattr(CredentialRevocationState, "create", broken)
        assert issuer.is_proved(self.state(states, issuer, status), status, 3)

    def test_each_credential_has_its_own(self, issuer: Issuer, calculated: list[str]) -> None:
        states = RevocationStates()
        for index in (INDEX, 6, INDEX, 6):
            self.state(states, issuer, issuer.status(2), index)
        assert calculated == ["anew", "anew", "update", "update"]

    def test_those_that_were_used_last_are_kept(
        self, issuer: Issuer, calculated: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(revocation_states, "MOST_KEPT", 2)
        states = RevocationStates()
        for index in (1, 2, 1, 3, 1, 2):
            self.state(states, issuer, issuer.status(2), index)
        assert calculated == ["anew", "anew", "update", "anew", "update", "anew"]

    @pytest.mark.parametrize(
        "faulty",
        [
            pytest.param([0] * 10, id="shorter"),
            pytest.param([0] * 25, id="longer"),
            pytest.param([0] * 22 + [1] + [0] * 2, id="an entry of no credential"),
            pytest.param([1] + [0] * 20, id="the entry 0"),
            pytest.param([0] * 9 + [1] * 11, id="others are revoked"),
        ],
    )
    def test_a_faulty_list_spoils_no_later_proof(self, issuer: Issuer, faulty: list[int]) -> None:
        states, right = RevocationStates(), issuer.status(3, 4)
        for entries in (issuer.status(2).to_dict()["revocationList"], faulty):
            published = issuer.status(2).to_dict() | {"revocationList": entries}
            states.state(issuer.registry.to_dict(), published, INDEX, issuer.registry.tails_location)
        assert issuer.is_proved(self.state(states, issuer, right), right, 3)

    def test_a_registry_that_is_published_anew_is_another_one(
        self, issuer: Issuer, calculated: list[str], tmp_path: Path
    ) -> None:
        states, status = RevocationStates(), issuer.status(2)
        anew, _ = RevocationRegistryDefinition.create(
            CRED_DEF_ID, issuer.cred_def, ISSUER, "default", "CL_ACCUM", 20, tails_dir_path=str(tmp_path)
        )
        states.state(anew.to_dict(), status.to_dict(), INDEX, anew.tails_location)
        states.state(issuer.registry.to_dict(), status.to_dict(), INDEX, anew.tails_location)
        assert issuer.is_proved(self.state(states, issuer, status), status, 2)
        assert calculated == ["anew"] * 3

    @pytest.mark.parametrize(
        "published", [{"revocationList": [0] * 3}, {"revRegDefId": None}, {"revocationList": [0] * 30}]
    )
    def test_odd_lists_come_to_what_anoncreds_makes_of_them(self, issuer: Issuer, published: dict[str, Any]) -> None:
        odd = issuer.status(2).to_dict() | published
        odd = {name: value for name, value in odd.items() if value is not None}
        arguments = issuer.registry.to_dict(), odd, INDEX, issuer.registry.tails_location

        def calculate() -> Any:
            registry, listed, index, tails = arguments
            return CredentialRevocationState.create(registry, listed, index, tails)

        assert outcome(lambda: RevocationStates().state(*arguments).to_dict()) == outcome(
            lambda: calculate().to_dict()
        )

    async def test_acapy_gets_the_state_as_json_and_errors_as_its_own(self, issuer: Issuer) -> None:
        wallet = AnonCredsHolder(await create_test_profile(dict(WALLET)))
        registry, status = issuer.registry.to_dict(), issuer.status(2)
        with Change(REVOCATION_STATES).made():
            for _ in range(2):
                state = await wallet.create_revocation_state(
                    str(INDEX), registry, status.to_dict(), issuer.registry.tails_location
                )
                assert issuer.is_proved(CredentialRevocationState.load(state), status, 2)
            with pytest.raises(AnonCredsHolderError, match="Error creating revocation state"):
                await wallet.create_revocation_state(str(INDEX + 1), registry, status.to_dict(), "/no/tails")


class TestStoredCredentials:
    """What ACA-Py's holder asks of a credential."""

    @pytest.fixture
    async def wallet(self, issuer: Issuer) -> AnonCredsHolder:
        """A holder's wallet with the credential."""
        profile = await create_test_profile(dict(WALLET))
        async with profile.session() as session:
            await session.handle.insert(
                holder.CATEGORY_CREDENTIAL,
                "the credential",
                issuer.credential.to_json_buffer(),
                tags={"attr::name::value": "Ada", "attr::age::value": "36"},
            )
            await session.handle.insert(
                holder.CATEGORY_MASTER_SECRET, AnonCredsHolder.MASTER_SECRET_ID, issuer.link_secret
            )
        return AnonCredsHolder(profile)

    async def test_acapy_finds_what_it_found(self, wallet: AnonCredsHolder) -> None:
        request = {"requested_attributes": {"a": {"name": "name"}}, "requested_predicates": {"p": {"name": "age"}}}

        async def found() -> list[Any]:
            stored = await wallet._get_credential("the credential")
            find = wallet.get_credentials_for_presentation_request_by_referent
            chosen = await find(request, (), offset=0, limit=10)
            for credential in chosen:
                credential["presentation_referents"].sort()
            return [
                await wallet.get_credentials(offset=0, limit=10, wql={}),
                json.loads(await wallet.get_credential("the credential")),
                chosen,
                [getattr(stored, name) for name in ("schema_id", "cred_def_id", "rev_reg_id", "rev_reg_index")],
            ]

        before = await found()
        with Change(STORED_CREDENTIALS).made():
            assert await found() == before
        assert before[1]["attrs"] == {"name": "Ada", "age": "36"} and before[1]["cred_rev_id"] == str(INDEX)

    async def test_anoncreds_reads_it_once_for_a_proof(
        self, wallet: AnonCredsHolder, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request = {
            "name": "proof",
            "version": "1.0",
            "nonce": generate_nonce(),
            "requested_attributes": {"a": {"name": "name"}},
            "requested_predicates": {"p": {"name": "age", "p_type": ">=", "p_value": 18}},
        }
        chosen = {
            "requested_attributes": {"a": {"cred_id": "the credential", "revealed": True}},
            "requested_predicates": {"p": {"cred_id": "the credential"}},
        }
        load, loads = Credential.load, []
        monkeypatch.setattr(Credential, "load", classmethod(lambda cls, value: loads.append(value) or load(value)))

        class Native:
            """An object of AnonCreds as ACA-Py keeps it."""

            def __init__(self, native: Any) -> None:
                self.to_native = lambda: native

        with Change(STORED_CREDENTIALS).made():
            proof = await wallet.create_presentation(
                request, chosen, {SCHEMA_ID: Native(issuer.schema)}, {CRED_DEF_ID: Native(issuer.cred_def)}, {}
            )
        assert len(loads) == 1
        assert Presentation.load(proof).verify(
            PresentationRequest.load(request), {SCHEMA_ID: issuer.schema}, {CRED_DEF_ID: issuer.cred_def}
        )

    @pytest.mark.parametrize("damage", [b"{", b"[]", b'{"signature": 7}', b"\xff", b'{"schema_id": "s"}'])
    async def test_what_is_damaged_is_an_error_of_anoncreds(self, damage: bytes) -> None:
        with Change(STORED_CREDENTIALS).made():
            for use in (
                lambda stored: stored.to_dict(),
                lambda stored: stored.schema_id,
                lambda stored: stored.copy(),
            ):
                with pytest.raises(AnoncredsError):
                    use(holder.Credential.load(damage))

    async def test_a_credential_that_others_wrote_is_read_by_anoncreds(self, issuer: Issuer) -> None:
        without = issuer.credential.to_dict()
        del without["rev_reg_id"], without["rev_reg"], without["witness"], without["signature"]["r_credential"]
        as_bytes = json.dumps(without).encode()
        with Change(STORED_CREDENTIALS).made():
            stored = holder.Credential.load(as_bytes)
            assert stored.to_dict() == Credential.load(as_bytes).to_dict()
            assert stored.copy().cred_def_id == stored.cred_def_id == CRED_DEF_ID
            assert isinstance(stored, holder.Credential)

    def test_what_issuers_send_is_read_at_once(self, issuer: Issuer) -> None:
        with Change(STORED_CREDENTIALS).made():
            received = holder.Credential.load(issuer.credential.to_dict())
            assert received.schema_id == SCHEMA_ID
            with pytest.raises(AnoncredsError):
                holder.Credential.load({"no": "credential"})
