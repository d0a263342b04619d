"""Invitations as services really hand them out."""

from __future__ import annotations

import base64
import json

import pytest

from controller.services.invitation import as_out_of_band, from_response, from_url, request_thread_id
from stampede.schema.errors import BadInvitation

INVITATION = {
    "@type": "https://didcomm.org/out-of-band/1.1/invitation",
    "@id": "69212a3a-d068-4f9d-a2dd-4741bca89af3",
    "label": "Späti & Söhne?",
}


def encoded(message: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(message).encode()).decode().rstrip("=")


@pytest.mark.parametrize("parameter", ["oob", "c_i", "d_m"])
def test_urls_carry_invitations(parameter: str) -> None:
    assert from_url(f"https://example.org/ssi?x=1&{parameter}={encoded(INVITATION)}") == INVITATION


def test_a_url_may_carry_none() -> None:
    assert from_url("https://example.org/ssi?x=1") is None


def test_padding_and_plain_base64_are_taken() -> None:
    text = base64.b64encode(json.dumps(INVITATION).encode()).decode().replace("+", "%2B")
    assert from_url(f"didcomm://launch?oob={text}") == INVITATION


@pytest.mark.parametrize(
    ("body", "found_at"),
    [
        (INVITATION, ""),
        ({"invitation": INVITATION, "oob_id": "1"}, ""),  # ACA-Py's out-of-band/create-invitation
        ({"invitation": INVITATION}, "/invitation"),
        ({"data": [{"a/b": INVITATION}]}, "/data/0/a~1b"),
        ({"data": {"link": f"https://e.org/?oob={encoded(INVITATION)}"}}, ""),
        ({"data": {"link": f"https://e.org/?oob={encoded(INVITATION)}"}}, "/data/link"),
        (f"https://e.org/?oob={encoded(INVITATION)}", "url"),
        ({"text": json.dumps(INVITATION)}, "/text"),
    ],
)
def test_responses(body: object, found_at: str) -> None:
    assert from_response(json.dumps(body), found_at) == INVITATION


def test_a_url_as_plain_text() -> None:
    assert from_response(f"https://e.org/?c_i={encoded(INVITATION)}\n", "url") == INVITATION


@pytest.mark.parametrize(
    ("text", "found_at", "sentence"),
    [
        ("<html>Welcome</html>", "", "no invitation in the response: <html>"),
        ('{"a": 1}', "/b", "nothing at /b"),
        ('{"a": 1}', "/a", "no invitation at /a"),
        ("https://e.org/?oob=%%%", "url", "oob= does not hold base64url-encoded JSON"),
        ("https://e.org/?oob=" + encoded([1]), "url", "oob= holds no JSON object"),
    ],
)
def test_no_invitation_says_what_came(text: str, found_at: str, sentence: str) -> None:
    with pytest.raises(BadInvitation, match=r".") as caught:
        from_response(text, found_at)
    assert sentence in caught.value.detail


def test_thread_of_an_attached_request() -> None:
    attached = {"@type": "https://didcomm.org/present-proof/2.0/request-presentation", "@id": "abc"}
    as_json = INVITATION | {"requests~attach": [{"data": {"json": attached}}]}
    as_base64 = INVITATION | {"requests~attach": [{"data": {"base64": encoded(attached)}}]}
    threaded = INVITATION | {"requests~attach": [{"data": {"json": attached | {"~thread": {"thid": "t"}}}}]}
    assert [request_thread_id(each) for each in (as_json, as_base64, threaded)] == ["abc", "abc", "t"]
    assert request_thread_id(INVITATION) is None


def test_a_connectionless_request_becomes_an_invitation() -> None:
    request = {
        "@type": "https://didcomm.org/present-proof/2.0/request-presentation",
        "@id": "abc",
        "~service": {
            "recipientKeys": ["8HH5gYEeNc3z7PYXmd54d4x6qAfCNrqQqEB3nS7Zfu7K"],
            "serviceEndpoint": "https://verifier.example.org",
        },
    }
    invitation = as_out_of_band(request)
    service = invitation["services"][0]
    # the did:key of the did:key method's own example key
    assert service["recipientKeys"] == ["did:key:z6MkmjY8GnV5i9YTDtPETC2uUAW6ejw3nk5mXF5yci5ab7th"]
    assert service["serviceEndpoint"] == "https://verifier.example.org"
    assert request_thread_id(request) == "abc"
    assert invitation["@id"].startswith("connectionless:")
    assert as_out_of_band(request | {"~thread": {"pthid": "theirs"}})["@id"] == "theirs"
    assert as_out_of_band(INVITATION) is INVITATION
