"""A stock ACA-Py mediator: a holder's life through it, by public DID."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from deployments import Deployment
from journeys import PRESENT, PRESENTED, REVOKE, REVOKED, Journey

pytestmark = pytest.mark.timeout(1500)  # the first test starts what all share

REVOCATION = {"rev_reg_id": "${rev_reg_id}", "cred_rev_id": "${cred_rev_id}"}
LIFE = Journey(
    "life",
    {
        "issuer": {
            "invitation": {"url": "{url}/issuer/invitation"},
            "revocation": {"url": "{url}/issuer/revocation", "body": REVOCATION},
        },
        "verifier": {"invitation": {"url": "{url}/verifier/request?of=issuer"}},
    },
    "await holder.connect_to_mediator()\n" + PRESENT + REVOKE,
    ("connect_to_mediator", *PRESENTED, *REVOKED),
)
MEDIATORS: dict[str, Callable[[Deployment], dict[str, Any]]] = {
    "public_did": lambda given: {"mediator_did": given.controllers.documents.did("mediator")},
}


@pytest.mark.parametrize("mediator", MEDIATORS)
def test_a_life_through_a_mediator(mediator: str, web_agents: Deployment) -> None:
    settings = MEDIATORS[mediator](web_agents)
    played = web_agents.play(mediator, [LIFE], agent_plugins=["reference.didweb_anoncreds"], **settings)
    played.check(LIFE)
