"""A stock ACA-Py mediator: a holder's life through it, by public DID or invitation, with a port open or as phones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from deployments import Deployment
from journeys import LIFE

pytestmark = pytest.mark.timeout(1500)  # the first test starts what all share

INVITING = {
    "handshake_protocols": ["https://didcomm.org/didexchange/1.1"],
    "goal_code": "aries.vc.mediate",
    "goal": "Mediate",
}
INVITATION = "/out-of-band/create-invitation"


def by_public_did(given: Deployment) -> dict[str, Any]:
    return {"mediator_did": given.controllers.documents.did("mediator")}


def by_url(given: Deployment) -> dict[str, Any]:
    """One invitation for all."""
    agent = given.controllers.agents["mediator"]
    made = given.run(agent.post(INVITATION, INVITING, auto_accept="true", multi_use="true"))
    return {"mediator_invitation": made["invitation_url"]}


def by_request(given: Deployment) -> dict[str, Any]:
    """An invitation for each holder, from the mediator's admin API."""
    request = {
        "url": f"{given.controllers.agents['mediator'].admin}{INVITATION}?auto_accept=true",
        "headers": {"X-API-Key": "${secret:key}"},
        "body": INVITING,
        "found_at": "/invitation",
    }
    return {"mediator_invitation": request}


def phones(given: Deployment) -> dict[str, Any]:
    """A WebSocket for each holder; no port of theirs is open."""
    return by_url(given) | {"mediator_pickup": "websocket"}


MEDIATORS: dict[str, Callable[[Deployment], dict[str, Any]]] = {
    "public_did": by_public_did,
    "invitation_url": by_url,
    "invitation_request": by_request,
    "phones": phones,
}


@pytest.mark.parametrize("mediator", MEDIATORS)
def test_a_life_through_a_mediator(mediator: str, web_agents: Deployment) -> None:
    settings = MEDIATORS[mediator](web_agents)
    asked = ("request_invitation",) if mediator == "invitation_request" else ()
    life = replace(LIFE, steps=(*asked, *LIFE.steps))
    played = web_agents.play(mediator, [life], agent_plugins=["reference.didweb_anoncreds"], **settings)
    played.check(life)
