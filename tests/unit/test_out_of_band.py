"""Invitations as services send them, made into what ACA-Py takes."""

from __future__ import annotations

import base64
import datetime
import json
from typing import Any

import pytest

from controller.services.out_of_band import OFFER, REQUEST, attached_thread, for_agent, needs_connections_plugin
from stampede.schema.errors import BadInvitation, UnsupportedProtocol

INVITATION: dict[str, Any] = {
    "@type": "https://didcomm.org/out-of-band/1.1/invitation",
    "@id": "i1",
    "handshake_protocols": ["https://didcomm.org/didexchange/1.1"],
    "services": ["did:web:issuer.example.org"],
}
PROOF = {"@type": "https://didcomm.org/present-proof/2.0/request-presentation", "@id": "r1"}
CREDENTIAL = {"@type": "https://didcomm.org/issue-credential/2.0/offer-credential", "@id": "o1"}
KEY, AS_DID = (
    "8HH5gYEeNc3z7PYXmd54d4x6qAfCNrqQqEB3nS7Zfu7K",
    "did:key:z6MkmjY8GnV5i9YTDtPETC2uUAW6ejw3nk5mXF5yci5ab7th",
)


def attached(*messages: dict[str, Any], encode: bool = False) -> list[dict[str, Any]]:
    def data(message: dict[str, Any]) -> dict[str, Any]:
        if encode:
            return {"base64": base64.urlsafe_b64encode(json.dumps(message).encode()).decode()}
        return {"json": message}

    return [{"@id": f"a{number}", "data": data(message)} for number, message in enumerate(messages)]


def message_of(invitation: dict[str, Any]) -> dict[str, Any]:
    (only,) = for_agent(invitation)["requests~attach"]
    assert isinstance(only["data"]["json"], dict)
    return only["data"]["json"]


def service(url: str, **more: Any) -> dict[str, Any]:
    return {"id": "#x", "type": "did-communication", "recipientKeys": [AS_DID], "serviceEndpoint": url} | more


def test_an_invitation_that_is_right_stays_as_it_is() -> None:
    assert for_agent(INVITATION) == INVITATION
    elder = {"@type": "https://didcomm.org/connections/1.0/invitation", "@id": "i", "recipientKeys": [KEY]}
    assert for_agent(elder) == elder


@pytest.mark.parametrize("encode", [False, True])
@pytest.mark.parametrize("thread", [None, {"thid": "r1"}, {"pthid": "another"}, "nonsense"])
def test_attached_messages_name_the_invitation_as_their_parent(encode: bool, thread: Any) -> None:
    message = PROOF if thread is None else PROOF | {"~thread": thread}
    made = message_of(INVITATION | {"requests~attach": attached(message, encode=encode)})
    assert made["~thread"]["pthid"] == "i1"
    assert made["@id"] == "r1"


def test_a_connectionless_message_is_known_by_the_parent_that_it_names() -> None:
    decorated = PROOF | {"~service": {"recipientKeys": [KEY], "serviceEndpoint": "https://verifier.example.org"}}
    made = for_agent(decorated | {"~thread": {"pthid": "theirs"}})
    assert made["@id"] == "theirs"
    assert message_of(decorated | {"~thread": {"pthid": "theirs"}})["~thread"]["pthid"] == "theirs"
    without = for_agent(decorated)
    assert without["requests~attach"][0]["data"]["json"]["~thread"]["pthid"] == without["@id"] != ""


def test_the_message_that_holders_can_answer_is_found_among_others() -> None:
    elder = {"@type": "https://didcomm.org/present-proof/1.0/request-presentation", "@id": "r0"}
    made = for_agent(INVITATION | {"requests~attach": attached(elder, PROOF | {"~thread": {"thid": "t"}})})
    assert len(made["requests~attach"]) == 1
    assert attached_thread(made, REQUEST) == "t"
    assert attached_thread(made, OFFER) is None
    offered = for_agent(INVITATION | {"requests~attach": attached(CREDENTIAL)})
    assert attached_thread(offered, OFFER) == "o1"
    assert attached_thread(for_agent(INVITATION), OFFER) is None


@pytest.mark.parametrize("kind", ["issue-credential/1.0/offer-credential", "present-proof/1.0/request-presentation"])
def test_messages_of_elder_protocols_alone_are_refused_by_name(kind: str) -> None:
    message = {"@type": f"did:sov:BzCbsNYhMrjHiqZDTUASHg;spec/{kind}", "@id": "x"}
    with pytest.raises(UnsupportedProtocol, match=kind.replace("/1.0", " 1.0").split("/")[0]):
        for_agent(INVITATION | {"requests~attach": attached(message)})


@pytest.mark.parametrize(
    ("schemes", "urls", "chosen"),
    [
        (("https", "http", "wss", "ws"), ["ws://a", "http://a"], "http://a"),
        (("https", "http", "wss", "ws"), ["http://a", "https://a"], "https://a"),
        (("wss", "ws", "https", "http"), ["https://a", "ws://a"], "ws://a"),
        (("https", "http", "wss", "ws"), ["didcomm:x://queue", "ws://a"], "ws://a"),
        (("http",), ["http://a", "http://b"], "http://a"),
    ],
)
def test_of_several_services_the_preferred_transport_is_chosen(
    schemes: tuple[str, ...], urls: list[str], chosen: str
) -> None:
    made = for_agent(INVITATION | {"services": [service(url) for url in urls]}, schemes)
    assert [each["serviceEndpoint"] for each in made["services"]] == [chosen]


def test_a_did_among_services_is_preferred_unless_its_endpoint_is_known() -> None:
    assert for_agent(INVITATION | {"services": [service("http://a"), "did:web:a"]})["services"] == ["did:web:a"]
    block = base64.urlsafe_b64encode(json.dumps({"t": "dm", "s": "ws://a"}).encode()).decode().rstrip("=")
    peer = f"did:peer:2.Ez6LS.Vz6Mk.S{block}"
    assert for_agent(INVITATION | {"services": [peer, service("http://a")]})["services"][0] != peer
    assert for_agent(INVITATION | {"services": [peer, service("http://a")]}, ("ws", "http"))["services"] == [peer]


def test_the_endpoint_of_a_did_is_not_where_its_document_lies() -> None:
    assert for_agent(INVITATION, ("wss", "ws"))["services"] == ["did:web:issuer.example.org"]


def test_services_without_a_known_transport_are_refused() -> None:
    with pytest.raises(BadInvitation, match=r"are at smtp://a, for which agents have no transport"):
        for_agent(INVITATION | {"services": [service("smtp://a")]})


def test_a_mediator_without_the_transport_of_phones_is_refused_with_the_setting() -> None:
    with pytest.raises(
        BadInvitation, match=r"are at https://a, which stampede_mediator_pickup does not use; .* wss, ws"
    ):
        for_agent(INVITATION | {"services": [service("https://a")]}, ("wss", "ws"))


def test_services_get_the_form_that_acapy_reads() -> None:
    odd = {"recipientKeys": [KEY], "routingKeys": None, "serviceEndpoint": {"uri": "https://a", "accept": []}}
    (made,) = for_agent(INVITATION | {"services": [odd]})["services"]
    assert made == {
        "id": "#inline",
        "type": "did-communication",
        "recipientKeys": [AS_DID],
        "serviceEndpoint": "https://a",
    }
    with pytest.raises(BadInvitation, match="recipientKeys of its services is"):
        for_agent(INVITATION | {"services": [service("https://a", recipientKeys=["no key"])]})


@pytest.mark.parametrize(
    ("goals", "wanted"),
    [
        ({"goal_code": "issue-vc"}, {"goal_code": "issue-vc", "goal": "issue-vc"}),
        ({"goal_code": "issue-vc", "goal": "To issue"}, {"goal_code": "issue-vc", "goal": "To issue"}),
        ({"goal": "To issue"}, {}),
        ({"goal": None, "goal_code": None}, {}),
    ],
)
def test_goal_and_code_come_together_or_not_at_all(goals: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert for_agent(INVITATION | goals) == INVITATION | wanted


def test_images_are_left_out() -> None:
    assert for_agent(INVITATION | {"imageUrl": "data:image/png;base64,AAAA", "label": None}) == INVITATION


@pytest.mark.parametrize(
    "timing",
    [
        {"~timing": {"expires_time": "2020-01-01T00:00:00Z"}},
        {"~timing": {"expires_time": "2020-01-01 00:00:00"}},
        {"expires_time": 1_600_000_000},
    ],
)
def test_an_expired_invitation_is_told(timing: dict[str, Any]) -> None:
    with pytest.raises(BadInvitation, match=r"the invitation expired at (2020|16)"):
        for_agent(INVITATION | timing)


@pytest.mark.parametrize("when", [1e300, "soon", None, [], True, "2999-01-01T00:00:00+02:00"])
def test_a_time_that_is_none_or_has_not_come_expires_nothing(when: Any) -> None:
    if when is not True:  # which is the first second of 1970
        assert for_agent(INVITATION | {"~timing": {"expires_time": when}})["@id"] == "i1"
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    assert for_agent(INVITATION | {"~timing": {"expires_time": later.isoformat()}})["@id"] == "i1"


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({}, False),
        ({"handshake_protocols": ["https://didcomm.org/connections/1.0"]}, True),
        ({"handshake_protocols": ["connections/1.0", "https://didcomm.org/didexchange/1.0"]}, False),
        ({"handshake_protocols": []}, False),
        ({"@type": "https://didcomm.org/connections/1.0/invitation"}, True),
    ],
)
def test_what_needs_the_plugin_of_rfc_0160(change: dict[str, Any], needed: bool) -> None:
    assert needs_connections_plugin(INVITATION | change) is needed
