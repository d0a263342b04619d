"""Whatever stands where an invitation is to be, it is one, or it is refused with BadInvitation."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.services.answer import Answer, json_or_text, scalar_text
from controller.services.invitation import as_out_of_band, from_response, from_url, request_thread_id
from controller.services.out_of_band import OFFER, REQUEST, attached_thread, for_agent
from stampede.prepare.mediator_document import didcomm_services
from stampede.schema.errors import BadInvitation, ServiceRefused, UnsupportedProtocol
from stampede.schema.settings.placeholders import fill_in_url
from stampede.schema.settings.targets import Targets, did_urls, endpoints, invitation_urls

pytestmark = pytest.mark.fuzz

words = st.sampled_from(
    [
        *("@type", "@id", "type", "services", "did", "requests~attach", "data", "json", "base64", "~thread", "thid"),
        *("~service", "recipientKeys", "routingKeys", "serviceEndpoint", "uri", "s", "invitation", "service", "id"),
        *("https://didcomm.org/out-of-band/1.1/invitation", "https://didcomm.org/present-proof/2.0/request"),
        *("did:peer:2.", "did:peer:2.SeyJzIjoiaHR0cDovL3gifQ", "did:peer:4zQm:z", "did:web:", "did:web:a%3A1:b"),
        *("https://e.org/?oob=", "?oob=eyJAdHlwZSI6IngifQ", "#/a?c_i=%%%&d_m=e30", "http://[half", "{", "[", '"'),
        *(
            "services",
            "~timing",
            "expires_time",
            "goal",
            "goal_code",
            "https://didcomm.org/issue-credential/2.0/offer",
        ),
        *("8HH5gYEeNc3z7PYXmd54d4x6qAfCNrqQqEB3nS7Zfu7K", "did-communication", "DIDCommMessaging"),
    ]
)
texts = st.text(max_size=20) | words | st.builds("".join, st.lists(words | st.text(max_size=5), max_size=5))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=6), max_leaves=25
)
messages = st.dictionaries(words | texts, values, max_size=8)
bodies = (
    st.binary(max_size=200)
    | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | values.map(lambda value: json.dumps(value).encode())
)


@given(bodies, st.sampled_from(["", "utf-8", "latin-1", "utf-16", "utf-7", "idna", "no-such", "hex", "\udcff"]))
def test_the_text_of_an_answer(body: bytes, charset: str) -> None:
    try:
        text = Answer("issuer", 200, body, charset).text()
    except ServiceRefused as error:
        assert error.detail.startswith("issuer answered 200")
    else:
        scalar_text(json_or_text(text))


@given(texts | values.map(json.dumps), st.sampled_from(["", "url", "/a", "/services/0", "/~0~1/9999999999/-", "/"]))
@example('{"@type": "x/invitation", "a":' + "[" * 5000 + "]" * 5000 + "}", "")
@example("[" * 100_000, "/0")
@example('"' * 3, "url")
def test_an_answer(text: str, found_at: str) -> None:
    try:
        invitation = from_response(text, found_at)
    except BadInvitation:
        return
    assert isinstance(invitation, dict)
    json.dumps(invitation)


@given(texts | messages.map(lambda message: f"x?oob={base64.b64encode(json.dumps(message).encode()).decode()}&y"))
def test_a_url(url: str) -> None:
    try:
        invitation = from_url(url)
    except BadInvitation:
        return
    assert invitation is None or isinstance(invitation.get("@type") or invitation.get("type"), str)


@given(messages)
def test_a_message(message: dict[str, Any]) -> None:
    for read in (as_out_of_band, request_thread_id):
        with contextlib.suppress(BadInvitation):
            read(message)
    try:
        wrapped = as_out_of_band(message)
    except BadInvitation:
        return
    with contextlib.suppress(BadInvitation, UnsupportedProtocol):
        ready = for_agent(message)
        assert attached_thread(ready, REQUEST) != "" and attached_thread(ready, OFFER) != ""
    for url in invitation_urls(wrapped):
        assert Targets([]).refusal(url) == "" or "but" in Targets([]).refusal(url)


@given(texts)
@example("did:peer:4z:z" + "1" * 100_000)
@example("did:peer:2.S" + base64.b64encode(b"[" * 50_000).decode())
@example("did:peer:2.S" + base64.b64encode(b"[" * 900 + b"]" * 900).decode())
def test_a_did(did: str) -> None:
    assert all(isinstance(url, str) for url in did_urls(did))


@given(values)
def test_services_of_a_document(value: Any) -> None:
    assert all(isinstance(url, str) for url in endpoints(value))
    assert all(isinstance(service, dict) for service in didcomm_services({"service": value}))


@given(texts, st.sampled_from(["https://${x}/", "https://h/${x}", "https://h/a?b=${x}&c", "https://h/#${x}"]))
def test_a_value_in_a_url(value: str, template: str) -> None:
    try:
        filled = fill_in_url(template, {"x": value})
    except ValueError:
        return
    assert filled.count("/") == template.count("/")
    assert filled.count("&") == template.count("&")
