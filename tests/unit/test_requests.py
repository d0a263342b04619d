"""Requests as scripts send them and settings have them: lists, values that scripts give, and when a presentation is
done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from test_verifier_result import PAIR, presentations

from controller.agents.wallet import Connection, Presentation
from controller.holder.holder import Holder
from controller.run.dry_run import dry_run
from controller.run.run import Run
from controller.run.simulated import SimulatedServices, SimulatedWallet, SimulatedWallets
from controller.services.interface import Answered, Result, Verdict
from controller.services.invitation import Invitation, Json
from stampede.schema.errors import BadInput
from stampede.schema.settings.request_settings import ScriptRequest
from stampede.schema.settings.run_settings import Settings, check_variables

Play = Callable[..., Run]
URL = "https://verifier.example.org/x"
HERE = {"url": URL}
ALLOWED = ["verifier.example.org"]
NO_MEDIATOR = {"stampede_mediator_did": ""}


def settings_of(variables: dict[str, Any], service: Any) -> dict[str, Any]:
    return variables | {"stampede_services": {"verifier": service}, "stampede_allowed_targets": ALLOWED} | NO_MEDIATOR


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        ({"requests": {}}, "verifier.requests is a mapping; it must map names to requests"),
        ({"requests": {"a b": HERE}}, "verifier.requests has the name 'a b'; it must be 1 to 64 of"),
        ({"requests": {"a": 7}}, "verifier.requests.a is a number; it must be a mapping with a url in it"),
        (
            {"requests": {"a": HERE | {"when": 1}}},
            "verifier.requests.a has the key 'when'; it may have body, example,",
        ),
        (
            {"requests": {"a": HERE | {"found_at": "url"}}},
            "verifier.requests.a.found_at is 'url'; it must be empty or",
        ),
        ({"requests": {"a": HERE | {"example": {1: 2}}}}, "verifier.requests.a.example has the key 1; it must be a"),
        ({"requests": {"a": {"url": "http://verifier.example.org"}}}, "verifier.requests.a.url is 'http://verifier"),
        (
            {"requests": {"a": {"url": "https://e.com"}}},
            "verifier.requests.a.url is 'https://e.com', but e.com is not",
        ),
        ({"request": {"url": URL + "${holdr}"}}, "verifier.request uses ${holdr}; it may use connection_id, holder,"),
        ({"request": HERE | {"body": "${given:a b}"}}, "what a script gives must have a name such as ${given:email}"),
        ({"request": {"url": URL + "${given:connection}"}}, "none of connection, self, service"),
        (
            {"request": [HERE, {"url": URL + "${answer2:/a}"}]},
            "verifier.request[1] uses ${answer2:/a}, but only 1 of",
        ),
        ({"request": {"url": URL + "${secret:a}"}}, "verifier.request uses ${secret:a}, but stampede_secrets has no"),
        ({"invitation": []}, "verifier.invitation is a list of 0; it must have 1 to 10 requests"),
        ({"invitation": [HERE] * 11}, "verifier.invitation is a list of 11; it must have 1 to 10 requests"),
        ({"invitation": [HERE, "x"]}, "verifier.invitation[1] is a text; it must be a mapping with a url in it"),
        ({"invitation": [HERE | {"found_at": "/a"}, HERE]}, "verifier.invitation[0] has the key 'found_at'; it may"),
        (
            {"invitation": [{"url": URL + "${answer:/a}"}, HERE]},
            "verifier.invitation[0] uses ${answer:/a}; it must be",
        ),
        (
            {"invitation": [HERE, {"url": "https://e.com/"}]},
            "invitation[1].url is 'https://e.com/', but e.com is not",
        ),
        ({"invitation": [HERE, {"url": URL, "body": "${answer:a}"}]}, "invitation[1] uses ${answer:a}; it must be a"),
        ({"invitation": [HERE, {"url": "${run_id}"}]}, "invitation[1].url is '${run_id}'; it must be a URL"),
        ({"invitation": HERE | {"poll": 7}}, "invitation.poll is a number; it must be true, false, or a mapping"),
        ({"invitation": HERE | {"poll": {"every": 1}}}, "poll has the key 'every'; it may have found_at, interval,"),
        ({"invitation": HERE | {"poll": {"limit": 0}}}, "invitation.poll.limit is 0; it must be a number of seconds"),
        ({"invitation": HERE | {"poll": {"found_at": "/a"}}}, "poll.pending is empty; it must list what at /a means"),
        (
            {"invitation": HERE | {"poll": {"found_at": "a", "pending": 1}}},
            "poll.found_at is 'a'; it must be empty or",
        ),
        ({"invitation": HERE | {"poll": {"url": "ftp://a"}}}, "invitation.poll.url is 'ftp://a'; it must be a URL"),
        ({"invitation": HERE | {"poll": {"url": "https://e.com"}}}, "poll.url is 'https://e.com', but e.com is not"),
        (
            {"invitation": HERE | {"poll": {"url": URL + "${cred_ex_id}"}}},
            "uses ${cred_ex_id}, which is not known at",
        ),
        ({"invitation": HERE, "result": HERE | {"poll": True}}, "verifier.result has the key 'poll'; it may have"),
        (
            {"invitation": HERE, "result": HERE | {"when": "now"}},
            "result.when is 'now'; it must be one of acknowledged,",
        ),
        ({"invitation": HERE, "result": {"url": URL + "${given:a}"}}, "verifier.result uses ${given:a}; it may use"),
        (
            {"invitation": HERE, "done": "soon"},
            "verifier.done is 'soon'; it must be one of verified, acknowledged, se",
        ),
        ({"invitation": HERE, "done": "verified"}, "done is 'verified', but the service has no result request; it"),
        ({"done": "sent"}, "verifier is a mapping; it must be a mapping with an invitation request in it"),
    ],
)
def test_what_is_wrong_with_requests(variables: dict[str, Any], service: Any, sentence: str) -> None:
    (said,) = check_variables(settings_of(variables, service))
    assert said.startswith("stampede_services.verifier")
    assert sentence in said


def test_a_secret_in_a_header_is_looked_for_in_all_requests(variables: dict[str, Any]) -> None:
    clear = HERE | {"headers": {"Authorization": "Bearer abc"}}
    service = {"invitation": [clear, HERE], "requests": {"a": [clear, HERE]}}
    said = check_variables(settings_of(variables, service))
    assert [sentence.split()[0] for sentence in said] == [
        "stampede_services.verifier.invitation[0].headers.Authorization",
        "stampede_services.verifier.requests.a[0].headers.Authorization",
    ]
    of_the_moment = [HERE, HERE | {"headers": {"Authorization": "Bearer ${answer:/token}"}}]
    given = {"a": HERE | {"headers": {"Authorization": "Bearer ${given:token}"}}}
    assert check_variables(settings_of(variables, {"invitation": of_the_moment, "requests": given})) == []


def test_requests_are_read(variables: dict[str, Any]) -> None:
    service = {
        "request": [HERE, HERE | {"url": "${answer:/next}"}],
        "requests": {
            "get": HERE,
            "post": HERE | {"body": {"a": 1}, "example": [1]},
            "polled": HERE | {"poll": {"limit": "1m", "pending": [True], "found_at": "/a"}},
            "once": HERE | {"poll": False},
        },
    }
    settings = Settings.from_variables(settings_of(variables, service))
    read = settings.services["verifier"]
    assert [(key, request.method) for key, _, request in read.kinds()] == [
        ("request", "GET"),
        ("requests.get", "GET"),
        ("requests.post", "POST"),
        ("requests.polled", "GET"),
        ("requests.once", "GET"),
    ]
    assert [key for key, _ in read.urls()][:3] == ["request[0].url", "request[1].url", "requests.get.url"]
    get, post, polled, once = (read.requests[name] for name in ("get", "post", "polled", "once"))
    assert get.poll and not get.poll.at_once and once.poll is None
    assert polled.poll and (polled.poll.limit, polled.poll.pending, polled.poll.at_once) == (60, ("true",), True)
    assert isinstance(post, ScriptRequest) and post.example == [1]
    json.dumps(settings.public())


# ------------------------------------------------------------------------ scripts


class Services(SimulatedServices):
    """Note what was asked, and with which values."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    async def request_invitation(self, service: str, values: Mapping[str, Any]) -> Json:
        self.asked.append((service, "invitation", dict(values)))
        return Invitation({"@type": "x/invitation", "@id": "i-1"}, {"answer:/id": "of the invitation"})

    async def request_revocation(self, service: str, values: Mapping[str, Any]) -> None:
        self.asked.append((service, "revocation", dict(values)))

    async def request_result(self, service: str, values: Mapping[str, Any]) -> Result:
        self.asked.append((service, "result", dict(values)))
        return Result(Verdict.VERIFIED, "it says verified")

    async def request(self, service: str, name: str, values: Mapping[str, Any]) -> Answered:
        self.asked.append((service, name, dict(values)))
        return Answered({"state": name}, {"answer:/id": f"of {name}"})


SERVICE = {
    "invitation": {"url": URL + "/${given:email}"},
    "revocation": {"url": URL + "/${given:reason}/${answer:/id}"},
    "request": HERE,
    "requests": {"status": {"url": URL + "/${answer:/id}/${given:page}/${connection_id}"}},
}


def test_what_a_script_asks_and_gives(play: Play, variables: dict[str, Any], tmp_path: Path) -> None:
    async def script(holder: Holder) -> None:
        invitation = await holder.request_invitation("verifier", email="a@b")
        connection = await holder.connect("verifier", "agency", invitation)
        assert await holder.request("verifier.status", page=1) == {"state": "status"}
        assert await holder.request("verifier") == {"state": ""}
        await holder.request("verifier.status", connection="agency", page=[2])
        await holder.receive_credential(connection)
        await holder.request_revocation("verifier", "agency", reason=True)

    services = Services()
    variables |= settings_of(variables, SERVICE)
    run = play(script, services=services, holders=1, iterations=1, ramp_up=0, on_failure="stop")
    assert run.bad_input is None and set(run.figures.outcomes) == {"ok"}
    told = [(name, values.get("answer:/id"), values.get("given:page")) for _, name, values in services.asked]
    assert told == [
        ("invitation", None, None),
        ("status", "of the invitation", "1"),
        ("", "of status", None),
        ("status", "of the invitation", [2]),  # what came over the connection that it was told
        ("revocation", "of the invitation", None),
    ]
    assert services.asked[0][2]["given:email"] == "a@b"
    assert services.asked[3][2]["connection_id"] == "connection-1"
    assert services.asked[4][2]["given:reason"] == "true"
    lines = [line for line in (tmp_path / "journal.lp").read_text().splitlines() if "step=request," in line]
    assert [dict(PAIR.findall(line))["service"].strip('"') for line in lines] == [
        "verifier.status",
        "verifier",
        "verifier.status",
    ]


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda holder: holder.request("verifier.statu"), "did you mean 'verifier.status'?"),
        (lambda holder: holder.request("portal"), "it is no request of stampede_services, which has asker, verif"),
        (lambda holder: holder.request("verifier.status"), "uses ${given:page}, which the script does not give"),
        (
            lambda holder: holder.request("verifier", page=1),
            "gives 'page' to the request to 'verifier', which does no",
        ),
        (lambda holder: holder.request("verifier.status", page=None), "as nothing; it must be a text, a number, a"),
        (lambda holder: holder.connect("verifier"), "uses ${given:email}, which the script does not give"),
        (
            lambda holder: holder.request_revocation("verifier"),
            "uses ${given:reason}, which the script does not give",
        ),
        (
            lambda holder: holder.request_invitation("asker"),
            "stampede_services.asker has no invitation; it must have",
        ),
        (lambda holder: holder.present_proof("asker"), "stampede_services.asker has no invitation; it must have"),
    ],
)
def test_what_a_script_asks_in_vain(variables: dict[str, Any], ask: Callable[[Holder], Any], sentence: str) -> None:
    async def script(holder: Holder) -> None:
        await ask(holder)

    services = {"verifier": SERVICE, "asker": {"request": HERE}}
    changes = {"stampede_services": services, "stampede_allowed_targets": ALLOWED}
    with pytest.raises(BadInput) as caught:
        dry_run(script, Settings.from_variables(variables | changes | NO_MEDIATOR))
    assert sentence in str(caught.value)


def test_the_dry_run_answers_with_the_example_or_with_anything(variables: dict[str, Any]) -> None:
    found: list[Any] = []

    async def script(holder: Holder) -> None:
        example = await holder.request("verifier.example")
        example["list"].append(2)  # which is the holder's own
        anything = await holder.request("verifier.anything")
        found.append((example, anything["a"][0]["b"], f"{anything['id']}", anything.get("state")))

    requests = {"example": HERE | {"example": {"list": [1]}}, "anything": HERE}
    variables |= {"stampede_holders": 2, "stampede_iterations": 1}
    dry_run(script, Settings.from_variables(settings_of(variables, {"requests": requests})))
    assert found == [({"list": [1, 2]}, {}, "{}", None)] * 2


# ------------------------------------------------------------------------ when a presentation is done


class Wallets(SimulatedWallets):
    """Wallets in which a presentation is sent after two seconds, and acknowledged after three more."""

    def get(self, number: int) -> SimulatedWallet:
        class Wallet(SimulatedWallet):
            async def present_proof(self, invitation: Json) -> Presentation:
                await self.send_proof(invitation)
                await self._takes("acknowledged")
                return Presentation("e-1", "t-1")

            async def present_proof_to(self, connection: Connection) -> Presentation:
                return await self.present_proof({})

            async def send_proof(self, invitation: Json) -> Presentation:
                await self._takes("sent")
                return Presentation("e-1", "t-1")

            async def send_proof_to(self, connection: Connection) -> Presentation:
                return await self.send_proof({})

            async def _takes(self, action: str) -> None:
                await asyncio.sleep({"sent": 2, "acknowledged": 3}.get(action, 0))

        return Wallet("1")


@pytest.mark.parametrize(
    ("service", "seconds", "detail", "asked"),
    [
        ({}, 5, None, 0),
        ({"done": "acknowledged"}, 5, None, 0),
        ({"done": "sent"}, 2, "sent", 0),
        ({"result": HERE}, 5, "verified", 1),
        ({"result": HERE, "done": "verified"}, 5, "verified", 1),
        ({"result": HERE | {"when": "sent"}}, 2, "verified", 1),
        ({"result": HERE, "done": "acknowledged"}, 5, None, 0),
        ({"result": HERE | {"when": "sent"}, "done": "acknowledged"}, 5, None, 0),
        ({"result": HERE, "done": "sent"}, 2, "sent", 0),
    ],
)
@pytest.mark.parametrize("over_a_connection", [True, False])
def test_when_a_presentation_is_done(
    play: Play,
    variables: dict[str, Any],
    tmp_path: Path,
    service: dict[str, Any],
    seconds: float,
    detail: str | None,
    asked: int,
    over_a_connection: bool,
) -> None:
    async def script(holder: Holder) -> None:
        if over_a_connection:
            connection = await holder.connect("verifier", "agency")
            assert connection is not None
            await holder.present_proof(connection)
        else:
            await holder.present_proof("verifier")

    services = Services()
    variables |= settings_of(variables, {"invitation": HERE} | service)
    play(script, Wallets(1), services, holders=1, iterations=1, ramp_up=0, on_failure="stop")
    (step,) = presentations(tmp_path)
    assert (step["outcome"], step.get("detail")) == ("ok", detail)
    assert float(step["service_time"]) == pytest.approx(seconds)
    assert sum(kind == "result" for _, kind, _ in services.asked) == asked
