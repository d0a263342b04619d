"""Issuers and verifiers on a real Indy ledger, of today and of before."""

from __future__ import annotations

from typing import Any

import pytest
from deployments import Deployment
from journeys import PRESENT, PRESENTED, REVOCATION, REVOKE, REVOKED, Journey, Played

pytestmark = pytest.mark.timeout(1500)  # the first test starts what all share

LIFE = PRESENT + REVOKE


def network(issuer: str, verifier: str, query: str = "", revocation: str = "version=v2_0") -> dict[str, Any]:
    return {
        "issuer": {
            "invitation": {"url": f"{{url}}/{issuer}/invitation?{query}"},
            "revocation": {"url": f"{{url}}/{issuer}/revocation?{revocation}", "body": REVOCATION},
        },
        "verifier": {"invitation": {"url": f"{{url}}/{verifier}/request?of={issuer}&{query}"}},
    }


def life(issuer: str, verifier: str, query: str = "", revocation: str = "version=v2_0") -> Journey:
    """A credential is received, presented, revoked, and its holder told."""
    return Journey(
        f"{issuer}_to_{verifier}_{query or 'revocable'}".replace("=", "_"),
        network(issuer, verifier, query, revocation),
        LIFE,
        (*PRESENTED, *REVOKED),
    )


def presented(issuer: str, verifier: str, query: str) -> Journey:
    name = f"{issuer}_to_{verifier}_{query}".replace("=", "_")
    return Journey(name, network(issuer, verifier, query), PRESENT, PRESENTED)


BY_PUBLIC_DID = {
    "issuer": {"invitation": {"url": "{url}/classic/invitation"}},
    "verifier": {"invitation": {"url": "{url}/registered/request?of=classic&did=public"}},
}
ANONCREDS = [
    life("classic", "classic"),
    life("anoncreds", "anoncreds"),
    life("classic", "anoncreds"),
    life("anoncreds", "classic"),
    presented("classic", "classic", "plain=1"),
    presented("classic", "classic", "offer=attached"),
    Journey("request_by_public_did", BY_PUBLIC_DID, PRESENT, PRESENTED),
]
"""Holders with wallets of type askar-anoncreds."""
ASKAR = [
    life("classic", "classic"),
    life("old0", "old0"),
    life("old1", "old1"),
    life("old0", "classic"),
    presented("old0", "old1", "plain=1"),
]
"""Holders with wallets of type askar, which elder issuers need."""


@pytest.fixture(scope="module")
def anoncreds(indy_agents: Deployment) -> Played:
    genesis = indy_agents.controllers.genesis_url
    return indy_agents.play("indy-anoncreds", ANONCREDS, genesis_url=genesis)


@pytest.fixture(scope="module")
def askar(old_agents: Deployment) -> Played:
    genesis = old_agents.controllers.genesis_url
    return old_agents.play("indy-askar", ASKAR, genesis_url=genesis, wallet_type="askar")


@pytest.mark.parametrize("journey", ANONCREDS, ids=str)
def test_wallets_of_type_askar_anoncreds(journey: Journey, anoncreds: Played) -> None:
    anoncreds.check(journey)


@pytest.mark.parametrize("journey", ASKAR, ids=str)
def test_wallets_of_type_askar(journey: Journey, askar: Played) -> None:
    askar.check(journey)


def test_the_mission_with_an_issuer_of_today(indy_agents: Deployment) -> None:
    """Through a mediator whose public DID is on the ledger."""
    controllers = indy_agents.controllers
    settings = {"genesis_url": controllers.genesis_url, "mediator_did": f"did:sov:{controllers.sov['registered']}"}
    indy_agents.play_mission("indy-mission", "classic", "anoncreds", "v2_0", **settings)


def test_the_mission_with_an_elder_issuer(old_agents: Deployment) -> None:
    """Its notifications are of version 1.0, and holders know of two ledgers."""
    genesis = old_agents.controllers.genesis_url
    ledgers = [{"id": name, "genesis_url": genesis} for name in ("ours", "another")]
    old_agents.play_mission("elder-mission", "old0", "old0", "v1_0", ledgers=ledgers, wallet_type="askar")
