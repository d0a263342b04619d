"""ACA-Py 1.7.0 as it comes, without a ledger: notices, invitations, handshakes, attachments, odd verifiers."""

from __future__ import annotations

from typing import Any

import admin_api
import pytest
from deployments import Deployment
from journeys import (
    CONNECT,
    CONNECTED,
    PRESENT,
    PRESENTED,
    RECEIVE,
    RECEIVED,
    REVOCATION,
    REVOKE,
    REVOKED,
    Journey,
    Played,
)

pytestmark = pytest.mark.timeout(1500)  # the first test starts what all share

KEY = {"X-API-Key": "${secret:key}"}


def issuer(query: str = "", revocation: str = "") -> dict[str, Any]:
    return {
        "issuer": {
            "invitation": {"url": f"{{url}}/issuer/invitation?{query}"},
            "revocation": {"url": f"{{url}}/issuer/revocation?{revocation}", "body": REVOCATION},
        }
    }


def verifier(query: str = "") -> dict[str, Any]:
    return {"verifier": {"invitation": {"url": f"{{url}}/verifier/request?of=issuer&{query}"}}}


def receives(name: str, query: str) -> Journey:
    return Journey(name, issuer(query), RECEIVE, RECEIVED)


def presents(name: str, query: str, of: str = "") -> Journey:
    return Journey(name, issuer(of) | verifier(query), PRESENT, PRESENTED)


def connects(style: str) -> Journey:
    return Journey(f"answer_{style.replace('&enc=', '_')}", issuer(f"offer=none&as={style}"), CONNECT, CONNECTED)


OVER_CONNECTION = RECEIVE + 'verifier = await holder.connect(s("verifier"))\nawait holder.present_proof(verifier)\n'
AGAIN = 'again = await holder.connect(s("issuer"), name="again")\nawait holder.receive_credential(again)\n'

JOURNEYS = [
    Journey("notice_2", issuer(revocation="version=v2_0"), RECEIVE + REVOKE, (*RECEIVED, *REVOKED)),
    receives("multi_use", "multi=1"),
    Journey("multi_use_again", issuer("multi=1"), RECEIVE + AGAIN, (*RECEIVED, *RECEIVED)),
    receives("did_web", "did=web"),
    receives("did_public", "did=public"),
    receives("did_peer_2", "did=did:peer:2"),
    receives("did_peer_4", "did=did:peer:4"),
    receives("did_exchange_10", "hs=didexchange/1.0"),
    receives("handshakes_of_two_kinds", "hs=didexchange/1.0,connections/1.0"),
    receives("offer_attached", "offer=attached"),
    presents("not_revocable", "plain=1", of="plain=1"),
    presents("request_by_public_did", "did=public"),
    presents("request_attached_and_handshake", "hs=didexchange/1.1"),
    Journey(
        "request_over_connection",
        issuer() | verifier("over=connection"),
        OVER_CONNECTION,
        (*RECEIVED, *CONNECTED, "present_proof"),
    ),
    Journey(
        "declined",
        issuer() | verifier("verify=decline"),
        PRESENT,
        (*PRESENTED[:-1], "present_proof: problem_report"),
    ),
    Journey(
        "unmatchable",
        issuer() | verifier("unmatchable=1"),
        PRESENT,
        (*PRESENTED[:-1], "present_proof: request_unmatched"),
    ),
    Journey("notice_1", issuer(), RECEIVE + REVOKE, (*RECEIVED, *REVOKED)),
    Journey("notice_1_of_the_thread", issuer(revocation="thread=1"), RECEIVE + REVOKE, (*RECEIVED, *REVOKED)),
    Journey(
        "known_by_its_did",
        issuer() | verifier("did=public&over=connection"),
        OVER_CONNECTION + 'again = await holder.connect(s("verifier"), name="again")\nawait holder.ping(again)\n',
        (*RECEIVED, *CONNECTED, "present_proof", *CONNECTED, "ping"),
    ),
    Journey(
        "known_with_a_request_attached",
        issuer() | verifier("did=public&hs=didexchange/1.1"),
        PRESENT + 'await holder.present_proof(s("verifier"))\n',
        (*PRESENTED, *PRESENTED[-2:]),
    ),
    Journey(
        "offer_without_connection",
        issuer("offer=attached&hs=none") | verifier(),
        'await holder.receive_credential(s("issuer"))\nawait holder.present_proof(s("verifier"))\n',
        ("request_invitation", "receive_credential", *PRESENTED[-2:]),
    ),
    presents("request_in_d_m", "d_m=1&as=redirect_deeplink"),
    presents("request_with_service", "d_m=1&as=bare"),
    Journey(
        "self_attested",
        issuer() | verifier("self=1"),
        RECEIVE + 'await holder.present_proof(s("verifier"), self_attested={"favourite colour": "blue"})\n',
        PRESENTED,
    ),
    Journey(
        "proposed",
        issuer("offer=none"),
        'issuer = await holder.connect(s("issuer"))\n'
        'values = {"name": "Alice", "number": 7, "since": 2026}\n'
        'await holder.propose_credential(issuer, values, {"cred_def_id": "{issuer:revocable}"})\n'
        "await holder.receive_credential(issuer)\n",
        (*CONNECTED, "propose_credential", "receive_credential"),
    ),
    Journey(
        "never_verified",
        issuer() | {"verifier": verifier("verify=never")["verifier"] | {"done": "sent"}},
        PRESENT,
        PRESENTED,
    ),
    Journey(
        "answer_that_is_not_ready",
        {
            "issuer": {
                "invitation": {
                    "url": "{url}/issuer/invitation?offer=none&as=202",
                    "poll": {"url": "${answer:/poll}", "interval": 0.2},
                }
            }
        },
        CONNECT,
        CONNECTED,
    ),
    *admin_api.JOURNEYS,
    Journey(
        "offered_twice",
        issuer("offer=twice") | verifier(),
        PRESENT + "await holder.receive_credential(issuer)\n",
        (*PRESENTED, "receive_credential"),
    ),
    Journey(
        "websocket_endpoint",
        {"issuer": {"invitation": {"url": "{url}/socket/invitation?offer=none"}}},
        CONNECT,
        CONNECTED,
    ),
    Journey(
        "by_get",
        {"issuer": {"invitation": {"url": "{url}/issuer/invitation", "method": "GET"}}},
        RECEIVE,
        RECEIVED,
    ),
    *map(
        connects,
        (
            *("bare", "urlfield", "strfield", "text", "deeplink", "redirect", "redirect_relative"),
            *("b64field", "short", "short_oobid", "202location"),
            *("redirect_deeplink", "short_redirect", "json&enc=bare", "redirect&enc=bare", "redirect&enc=standard"),
        ),
    ),
]


@pytest.fixture(scope="module")
def played(web_agents: Deployment) -> Played:
    return web_agents.play("without-ledger", JOURNEYS, agent_plugins=["reference.didweb_anoncreds"])


@pytest.mark.parametrize("journey", JOURNEYS, ids=str)
def test_journey(journey: Journey, played: Played) -> None:
    played.check(journey)
