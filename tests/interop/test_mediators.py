"""A stock ACA-Py mediator: a holder's life through it, by public DID."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from deployments import Deployment
from journeys import LIFE

pytestmark = pytest.mark.timeout(1500)  # the first test starts what all share


def by_public_did(given: Deployment) -> dict[str, Any]:
    return {"mediator_did": given.controllers.documents.did("mediator")}


MEDIATORS: dict[str, Callable[[Deployment], dict[str, Any]]] = {
    "public_did": by_public_did,
}


@pytest.mark.parametrize("mediator", MEDIATORS)
def test_a_life_through_a_mediator(mediator: str, web_agents: Deployment) -> None:
    settings = MEDIATORS[mediator](web_agents)
    played = web_agents.play(mediator, [LIFE], agent_plugins=["reference.didweb_anoncreds"], **settings)
    played.check(LIFE)
