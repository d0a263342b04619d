"""A mediator that is known by its invitation instead of its DID."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controller.holder.holder import Holder
from controller.run.run import Run
from controller.run.simulated import SimulatedServices, SimulatedWallet, SimulatedWallets
from stampede.prepare.preflight import probe
from stampede.schema.errors import BadInput, ServiceRefused
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.settings.secret_settings import not_sendable

type Play = Callable[..., Run]

INVITATION: dict[str, Any] = {
    "@type": "https://didcomm.org/out-of-band/1.1/invitation",
    "@id": "i1",
    "handshake_protocols": ["https://didcomm.org/didexchange/1.1"],
    "services": [
        {
            "id": "#inline",
            "type": "did-communication",
            "recipientKeys": ["did:key:z6MkmjY8GnV5i9YTDtPETC2uUAW6ejw3nk5mXF5yci5ab7th"],
            "serviceEndpoint": "http://localhost:9000",
        }
    ],
}
ELDER = {
    "@type": "https://didcomm.org/connections/1.0/invitation",
    "@id": "i",
    "serviceEndpoint": "http://localhost:9000",
}


def url_of(message: Any, parameter: str = "oob") -> str:
    return f"https://m.example.org/?{parameter}={base64.urlsafe_b64encode(json.dumps(message).encode()).decode()}"


@pytest.fixture
def mediated(variables: dict[str, Any]) -> Callable[[Any], dict[str, Any]]:
    """Settings with a mediator's invitation."""
    return lambda value: variables | {"stampede_mediator_did": "", "stampede_mediator_invitation": value}


@pytest.mark.parametrize(("message", "parameter"), [(INVITATION, "oob"), (ELDER, "c_i")])
def test_an_invitation_in_a_url_is_read_at_the_check(mediated: Any, message: Any, parameter: str) -> None:
    known = Settings.from_variables(mediated(url_of(message, parameter))).mediator_invitation
    assert known is not None
    assert (known.message, known.service) == (message, None)


@pytest.mark.parametrize(
    ("value", "method", "found_at"),
    [
        ("https://localhost/short/1", "GET", ""),
        ({"url": "https://localhost/invitation", "found_at": "/invitation"}, "POST", "/invitation"),
    ],
)
def test_a_request_for_an_invitation(mediated: Any, value: Any, method: str, found_at: str) -> None:
    settings = Settings.from_variables(mediated(value))
    assert settings.mediator_invitation is not None and settings.mediator_invitation.service is not None
    request = settings.mediator_invitation.service.invitation
    assert (request.method, request.found_at) == (method, found_at)
    assert set(settings.asked) == {"issuer", "verifier", "the mediator"}
    assert set(settings.services) == {"issuer", "verifier"}


def test_several_requests_for_an_invitation(mediated: Any) -> None:
    value = [{"url": "https://localhost/session"}, {"url": "https://localhost/i?s=${answer:/id}", "method": "GET"}]
    settings = Settings.from_variables(mediated(value))
    assert [url for _, url in settings.asked["the mediator"].urls()] == [each["url"] for each in value]
    said = check_variables(mediated([value[0], {"url": "https://elsewhere.example.net/"}]))
    assert [each.split(" is ")[0] for each in said] == ["stampede_mediator_invitation[1].url"]


@pytest.mark.parametrize("value", ["", {}])
def test_without_an_invitation_there_is_none(mediated: Any, value: Any) -> None:
    assert Settings.from_variables(mediated(value)).mediator_invitation is None


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            "https://m.example.org/?oob=%%%",
            "is no invitation: the URL's oob= does not hold base64url-encoded JSON: %%%",
        ),
        (url_of({"@type": "https://didcomm.org/trust_ping/1.0/ping"}), "carries no invitation, but {'@type':"),
        (
            url_of(INVITATION | {"~timing": {"expires_time": "2020-01-01T00:00:00Z"}}),
            "carries an invitation that expired at 2020-01-01T00:00:00Z; it must be one that has not",
        ),
        (url_of(INVITATION | {"handshake_protocols": []}), "carries an invitation without handshake_protocols"),
        (
            url_of(INVITATION | {"services": [{"serviceEndpoint": "https://elsewhere.example.net"}]}),
            "', but elsewhere.example.net is not among the hosts that may be loaded",
        ),
        (url_of(INVITATION | {"handshake_protocols": "x"}), "without handshake_protocols that holders speak"),
        (url_of(INVITATION | {"handshake_protocols": [5]}), "without handshake_protocols that holders speak"),
        (url_of(INVITATION | {"services": []}), "carries an invitation without a service; it must name a DID, or"),
        (url_of(INVITATION | {"services": "x"}), "carries an invitation without a service"),
        (url_of(ELDER | {"serviceEndpoint": None}, "c_i"), "carries an invitation without a service"),
        (url_of(INVITATION | {"services": [{"serviceEndpoint": "ftp://localhost"}]}), " to ftp://localhost; it must"),
        (INVITATION, " is a mapping with an invitation in it; it must be the URL that carries the invitation in"),
        ({"url": url_of(INVITATION)}, " is a mapping with an invitation in it; it must be the URL that carries"),
        ("ftp://m.example.org", ".url is 'ftp://m.example.org'; it must be a URL"),
        ("http://m.example.org", ".url is 'http://m.example.org'; it must start with https://"),
        ("https://m.example.org/i", ".url is 'https://m.example.org/i', but m.example.org is not among the hosts"),
        ({"method": "GET"}, ".url is ''; it must be a URL"),
        ({"url": "https://localhost/", "boddy": 1}, " has the key 'boddy'; it may have"),
        ({"url": "https://localhost/${secret:none}"}, " uses ${secret:none}, but stampede_secrets has no 'none'"),
        (
            {"url": "https://localhost/", "headers": {"X-API-Key": "abc"}},
            ".headers.X-API-Key holds a secret in clear",
        ),
        (5, " is 5; it must be a URL, a request or a list of requests"),
        ({"url": "https://localhost/${given:x}"}, " uses ${given:x}, but no script gives values to it"),
        (["https://localhost/"], " is ['https://localhost/']; it must be a URL, a request or a list of requests"),
        ("https://localhost/\n", " is 'https://localhost/\\n'; it must be a URL, a request or a list of requests"),
    ],
)
def test_what_is_wrong_with_it_is_told_in_one_sentence(mediated: Any, value: Any, sentence: str) -> None:
    allowed = [] if value == "https://m.example.org/i" else ["m.example.org"]
    settings = mediated(value) | {"stampede_allowed_targets": allowed}
    said = [each for each in check_variables(settings) if each.startswith("stampede_mediator")]
    assert len(said) == 1
    assert sentence in said[0] or said[0].startswith(f"stampede_mediator_invitation{sentence}")


def test_a_secret_that_no_header_can_hold_is_told(mediated: Any) -> None:
    request = {"url": "https://localhost/", "headers": {"X-API-Key": "${secret:key}"}}
    (said,) = not_sendable(mediated(request) | {"stampede_secrets": {"key": "two\nlines"}})
    assert said.startswith("stampede_mediator_invitation.headers.X-API-Key uses stampede_secrets.key, which ")


def test_a_mediator_by_did_and_by_invitation_at_once(mediated: Any) -> None:
    both = mediated(url_of(INVITATION)) | {"stampede_mediator_did": "did:web:localhost"}
    (said,) = (each for each in check_variables(both) if "left out" in each)
    assert said == (
        "stampede_mediator_invitation is set, but stampede_mediator_did is 'did:web:localhost' too; one of them must "
        "be left out"
    )


def test_phones_are_told_that_an_invitation_has_no_websocket(mediated: Any) -> None:
    settings = mediated(url_of(INVITATION)) | {"stampede_mediator_pickup": "websocket"}
    services = {"issuer": {"invitation": {"url": "https://${run_id}.localhost/"}}}  # which is not probed
    (said,) = probe(Settings.from_variables(settings | {"stampede_services": services}))
    assert said == (
        "stampede_mediator_invitation leads to http://localhost:9000, but stampede_mediator_pickup is websocket; one "
        "must start with ws or wss"
    )


@pytest.mark.parametrize(
    "message", [INVITATION | {"services": ["did:sov:abc"]}, {"@type": ELDER["@type"], "did": "did:sov:abc"}]
)
def test_of_a_did_only_the_agents_can_tell(mediated: Any, message: Any) -> None:
    assert check_variables(mediated(url_of(message))) == []


@pytest.mark.parametrize(
    ("services", "problem", "said"),
    [
        (["did:web:localhost"], "", []),
        (["did:web:localhost", INVITATION["services"][0]], "it has none", []),
        (["did:web:localhost"], "it has none", ["did:web:localhost, which cannot be used: it has none"]),
    ],
)
def test_the_endpoints_of_a_did_in_an_invitation_are_those_of_its_document(
    mediated: Any, monkeypatch: pytest.MonkeyPatch, services: list[Any], problem: str, said: list[str]
) -> None:
    monkeypatch.setattr("stampede.prepare.preflight.mediator_problem", lambda did, *_, **__: problem if did else "")
    pickup = "http" if len(services) > 1 else "websocket"
    settings = mediated(url_of(INVITATION | {"services": services})) | {"stampede_mediator_pickup": pickup}
    without_probes = {"issuer": {"invitation": {"url": "https://${run_id}.localhost/"}}}
    told = probe(Settings.from_variables(settings | {"stampede_services": without_probes}))
    assert told == [f"stampede_mediator_invitation leads to {each}" for each in said]


class Mediated(SimulatedWallet):
    """Notes by what it was told to connect to the mediator."""

    met: list[Any] = []  # noqa: RUF012  of the class, for the test to read

    async def connect_to_mediator(self, mediator: Any) -> None:
        self.met.append(mediator)
        await super().connect_to_mediator(mediator)


class Wallets(SimulatedWallets):
    def get(self, number: int) -> SimulatedWallet:
        return Mediated(str(number))


class Invited(SimulatedServices):
    async def request_invitation(self, service: str, values: Mapping[str, str]) -> Any:
        if service != "the mediator":
            raise ServiceRefused(service)
        return INVITATION | {"@id": f"for {values['holder']}"}


async def connect(holder: Holder) -> None:
    await holder.connect_to_mediator()


@pytest.mark.parametrize(
    ("changes", "met", "steps"),
    [
        ({}, [], {}),
        ({"mediator_did": "did:web:localhost"}, ["did:web:localhost"], {"connect_to_mediator": 1}),
        ({"mediator_invitation": url_of(INVITATION)}, [INVITATION], {"connect_to_mediator": 1}),
        (
            {"mediator_invitation": {"url": "https://localhost/"}},
            [INVITATION | {"@id": "for 0"}],
            {"request_invitation": 1, "connect_to_mediator": 1},
        ),
    ],
)
def test_holders_connect_by_whichever_is_configured(
    play: Play, changes: dict[str, Any], met: list[Any], steps: dict[str, int]
) -> None:
    Mediated.met.clear()
    settings = {"mediator_did": "", "iterations": 1, "holders": 1} | changes
    run = play(connect, Wallets(1), Invited(), on_failure="stop", **settings)
    assert (Mediated.met, run.figures.steps, run.figures.errors) == (met, steps, {})


def test_an_invitation_that_leads_elsewhere_ends_the_run(play: Play) -> None:
    class Elsewhere(SimulatedServices):
        async def request_invitation(self, service: str, values: Mapping[str, str]) -> Any:
            return INVITATION | {"services": [{"serviceEndpoint": "https://elsewhere.example.net"}]}

    settings = {"mediator_did": "", "mediator_invitation": {"url": "https://localhost/"}}
    run = play(connect, Wallets(1), Elsewhere(), holders=1, **settings)
    assert isinstance(run.bad_input, BadInput)
    assert "an invitation of the mediator leads to https://elsewhere.example.net" in str(run.bad_input)
