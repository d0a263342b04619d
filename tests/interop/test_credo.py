"""Credo-TS as issuer, verifier and mediator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from connections_plugin import connections_plugin
from credo import Credo
from deployments import Deployment
from installs import had
from journeys import LIFE, PRESENT, PRESENTED, RECEIVE, RECEIVED, Journey, Played

pytestmark = pytest.mark.timeout(1500)  # the first test starts what all share


def services(issuer: str, verifier: str = "/verifier/invitation") -> dict[str, object]:
    return {
        "issuer": {"invitation": {"url": "{credo}" + issuer}},
        "verifier": {"invitation": {"url": "{credo}" + verifier}},
    }


JOURNEYS = [
    Journey("did_exchange", services("/issuer/invitation"), PRESENT, PRESENTED),
    Journey("for_all", services("/issuer/invitation?multi=1"), RECEIVE, RECEIVED),
    Journey("offer_attached", services("/issuer/attached?handshake=1"), RECEIVE, RECEIVED),
    Journey(
        "request_attached",
        services("/issuer/invitation", "/verifier/invitation?handshake=1"),
        PRESENT,
        PRESENTED,
    ),
    Journey("rfc_0160", services("/issuer/elder"), RECEIVE, RECEIVED),
    Journey("request_in_d_m", services("/issuer/invitation", "/verifier/elder"), PRESENT, PRESENTED),
    Journey(
        "offer_without_connection",
        services("/issuer/attached"),
        'await holder.receive_credential(s("issuer"))\n',
        ("request_invitation", "receive_credential"),
    ),
]


@pytest.fixture(scope="module")
def credo(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Credo]:
    """An agent with a did:web DID whose AnonCreds objects lie in the gateway's registry."""
    controllers = deployment.controllers
    did = controllers.publish("credo", "http://127.0.0.1:1")
    trust = controllers.authority.ca_file
    folder = tmp_path_factory.mktemp("credo")
    issuer = {"did": did, "registry": controllers.registry, "token": controllers.token}
    found = had(lambda: Credo(folder, trust, **issuer))
    try:
        found.wait()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def played(credo: Credo, deployment: Deployment) -> Played:
    return deployment.play(
        "credo",
        JOURNEYS,
        places={"credo": credo.control},
        agent_packages=[str(had(connections_plugin))],
        agent_plugins=["reference.didweb_anoncreds", "connections"],
    )


def test_the_mission_of_phones_through_its_mediator(credo: Credo, web_agents: Deployment) -> None:
    """Messages by the implicit return route: the mediator delivers at once."""
    phones = {"mediator_invitation": credo.invitation("/mediator/invitation"), "mediator_pickup": "websocket"}
    plugins = ["reference.didweb_anoncreds"]
    web_agents.play_mission("credo-mediator", "issuer", "verifier", "v2_0", agent_plugins=plugins, **phones)


@pytest.fixture(scope="module")
def queue(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Credo]:
    """A mediator that keeps messages until they are fetched by pickup 2.0 (RFC 0685)."""
    trust = deployment.controllers.authority.ca_file
    folder = tmp_path_factory.mktemp("queue")
    found = had(lambda: Credo(folder, trust, strategy="QueueAndLiveModeDelivery"))
    try:
        found.wait()
        yield found
    finally:
        found.stop()


@pytest.mark.parametrize("pickup", ["websocket", "http"])
def test_a_life_of_phones_through_its_queue(pickup: str, queue: Credo, web_agents: Deployment) -> None:
    """In live mode, or by polling."""
    played = web_agents.play(
        f"credo-queue-{pickup}",
        [LIFE],
        agent_plugins=["reference.didweb_anoncreds"],
        mediator_invitation=queue.invitation("/mediator/invitation"),
        mediator_pickup=pickup,
    )
    played.check(LIFE)


@pytest.mark.parametrize("journey", JOURNEYS, ids=str)
def test_journey(journey: Journey, played: Played) -> None:
    played.check(journey)
