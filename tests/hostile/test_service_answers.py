"""Services that answer in odd ways: each answer is an invitation, or a failed step with its class."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from odd_service import INVITATION, ODDITIES, Oddity, as_json, http, odd_service

import controller.holder.step
from controller.agents.acapy_wallet import AcapyWallet
from controller.agents.inbox import Inbox
from controller.agents.wallet import Presentation
from controller.holder.holder import Holder
from controller.metrics.journal import Journal
from controller.run.run import Run
from controller.run.simulated import SimulatedWallet, SimulatedWallets
from controller.services.client import HttpServices
from controller.services.invitation import from_response, request_thread_id
from stampede.results.journal_columns import JournalColumns
from stampede.results.journal_reader import read
from stampede.schema.errors import AgentError, BadInvitation, ServiceRefused, StepError
from stampede.schema.settings.run_settings import Settings

EVERY = sorted(name for name, oddity in ODDITIES.items() if oddity.error not in ("", "timeout"))
"""The answers that are failures, but for those that take their time."""


@contextlib.asynccontextmanager
async def client(variables: dict[str, Any], url: str, limit: str = "30s") -> AsyncIterator[HttpServices]:
    """The services with one issuer, of which everything is requested at ``url``."""
    services = {"issuer": {"invitation": {"url": url}, "revocation": {"url": url}}}
    changes = {"stampede_services": services, "stampede_step_timeout": limit, "stampede_mediator_did": ""}
    async with HttpServices(Settings.from_variables(variables | changes), {}) as made:
        yield made


@pytest.mark.parametrize("name", ODDITIES)
async def test_an_odd_answer(variables: dict[str, Any], name: str) -> None:
    oddity = ODDITIES[name]
    limit = "1s" if oddity.error == "timeout" else "30s"
    async with (
        odd_service() as service,
        client(variables, f"http://127.0.0.1:{service.port}/{name}", limit=limit) as it,
    ):
        if not oddity.error:
            assert await it.request_invitation("issuer", {}) == INVITATION
            return
        with pytest.raises(StepError) as caught:
            await it.request_invitation("issuer", {})
    assert caught.value.error_class == oddity.error, caught.value
    assert oddity.says in caught.value.detail
    assert caught.value.detail.isprintable() and len(caught.value.detail) <= 500
    assert "400" not in caught.value.detail, "a status that no service has answered"


@pytest.mark.parametrize("name", [name for name in EVERY if name != "to_bad_oob"])  # which leads elsewhere
async def test_a_revocation_is_requested_of_whoever_answers(variables: dict[str, Any], name: str) -> None:
    """Its answer needs no content: what has a status of 2xx and comes to an end is a success."""
    async with odd_service() as service, client(variables, f"http://127.0.0.1:{service.port}/{name}") as it:
        try:
            await it.request_revocation("issuer", {})
        except StepError as error:
            assert error.error_class in ("service_refused", "service_unreachable")


@pytest.mark.parametrize("status", ["101 Switching", "300 Multiple Choices", "304 Not Modified", "305 Use Proxy"])
async def test_a_revocation_is_done_when_a_status_says_so(variables: dict[str, Any], status: str) -> None:
    async with odd_service() as service, client(variables, f"http://127.0.0.1:{service.port}/odd") as it:
        service.oddities["odd"] = Oddity(http(b"", status, Location="/plain"))
        with pytest.raises(ServiceRefused, match=f"answered {status[:3]}, which does not say that it was done"):
            await it.request_revocation("issuer", {})


def test_every_odd_answer_is_a_journaled_step_and_the_script_goes_on(
    variables: dict[str, Any], tmp_path: Path
) -> None:
    """All of them in one run of real requests, with ``stampede_on_failure: continue``."""
    ended: list[int] = []

    async def script(holder: Holder) -> None:
        for name in EVERY:
            await holder.request_invitation(name)
        await holder.connect("plain")
        ended.append(holder.number)

    async def main() -> Run:
        async with odd_service() as service:
            names = [*EVERY, "plain"]
            services = {name: {"invitation": {"url": f"http://127.0.0.1:{service.port}/{name}"}} for name in names}
            changes = {"stampede_services": services, "stampede_on_failure": "continue", "stampede_holders": 1}
            settings = Settings.from_variables(variables | changes)
            with Journal(tmp_path / "journal.lp", {"run": "test-run"}) as journal:
                async with HttpServices(settings, {}) as http_services:
                    wallets = SimulatedWallets(1, 0.001)
                    run = Run(settings, script, services=http_services, wallets=wallets, journal=journal)
                    await run.play(run.clock.now())
                    return run

    pause = controller.holder.step.FAILURE_PAUSE
    try:
        controller.holder.step.FAILURE_PAUSE = 0.0
        run = asyncio.run(main())
    finally:
        controller.holder.step.FAILURE_PAUSE = pause
    assert ended == [0]
    assert run.bad_input is None
    journal = JournalColumns()
    read(journal, tmp_path / "journal.lp", "local")
    assert journal.readings["local"].not_understood == 0
    errors = [journal.errors.list[number] for number in journal.steps.error if number >= 0]
    assert errors == [ODDITIES[name].error for name in EVERY]
    assert [journal.step_names.list[number] for number in journal.steps.step][-2:] == [
        "request_invitation",
        "connect",
    ]


REQUEST = {"@type": "https://didcomm.org/present-proof/2.0/request-presentation", "@id": "r-1"}
SERVICE = {"recipientKeys": ["8HH5gYEeNc3z7PYXmd54d4x6qAfCNrqQqEB3nS7Zfu7K"], "serviceEndpoint": "http://127.0.0.1"}
ATTACHED: list[Any] = [
    None,
    "text",
    7,
    {},
    [None],
    ["text"],
    [[]],
    [{}],
    [{"data": None}],
    [{"data": "text"}],
    [{"data": []}],
    [{"data": {"json": None}}],
    [{"data": {"json": "text"}}],
    [{"data": {"json": [1]}}],
    [{"data": {"base64": 7}}],
    [{"data": {"base64": "%%%"}}],
    [{"data": {"base64": "e30"}}],
    [{"data": {"base64": "W10"}}],
    [{"data": {"links": ["https://example.org"]}}],
    [{"data": {"json": {"~thread": "text"}}}],
    [{"data": {"json": {"~thread": {"thid": {}}}}}],
]
ODD_INVITATIONS: list[dict[str, Any]] = [
    *({"requests~attach": attached} for attached in ATTACHED),
    {"services": None},
    {"services": "text"},
    {"services": 7},
    {"services": {"serviceEndpoint": 7}},
    {"services": [None, 7, [], {"serviceEndpoint": {"uri": {}}}]},
    {"services": ["did:peer:2.S" + "A" * 5000, "did:peer:4zQm:z" + "2" * 5000, "did:web:"]},
    {"services": [{"serviceEndpoint": "http://[half"}]},
    {"services": [{"serviceEndpoint": "http://127.0.0.1:99999/"}]},
    {"services": [{"serviceEndpoint": "http:///nowhere"}]},
    {"services": [{"serviceEndpoint": "://"}]},
    {"services": [{"serviceEndpoint": "http://\ud800/"}]},
    {"did": 7},
    {"did": ["did:web:"]},
    {"@type": REQUEST["@type"], "~service": "text"},
    {"@type": REQUEST["@type"], "~service": []},
    {"@type": REQUEST["@type"], "~service": SERVICE | {"recipientKeys": None}},
    {"@type": REQUEST["@type"], "~service": SERVICE | {"recipientKeys": "text"}},
    {"@type": REQUEST["@type"], "~service": SERVICE | {"recipientKeys": [7]}},
    {"@type": REQUEST["@type"], "~service": SERVICE | {"recipientKeys": ["0OIl"]}},
    {"@type": REQUEST["@type"], "~service": SERVICE | {"recipientKeys": ["2" * 100_000]}},
    {"@type": REQUEST["@type"], "~service": SERVICE | {"routingKeys": {"a": 1}}},
    {"@type": REQUEST["@type"], "~service": SERVICE | {"serviceEndpoint": ["http://[half"]}},
]


class Wallet(SimulatedWallet):
    """Does what a real one does before it asks its agent."""

    async def present_proof(self, invitation: dict[str, Any]) -> Presentation:
        if request_thread_id(invitation) is None:
            raise BadInvitation("the invitation carries no presentation request (no requests~attach in it)")
        return await super().present_proof(invitation)


class Wallets(SimulatedWallets):
    def get(self, number: int) -> SimulatedWallet:
        return Wallet(str(number))


@pytest.mark.parametrize("method", ["connect", "present_proof"])
@pytest.mark.parametrize("odd", ODD_INVITATIONS, ids=str)
def test_an_odd_invitation_is_a_failed_step_at_most(
    play: Callable[..., Run], tmp_path: Path, method: str, odd: dict[str, Any]
) -> None:
    class Services:
        async def request_invitation(self, service: str, values: Any) -> dict[str, Any]:
            return from_response(as_json(INVITATION | odd).decode())

    ended: list[int] = []

    async def script(holder: Holder) -> None:
        await getattr(holder, method)("verifier")
        ended.append(holder.number)

    run = play(script, Wallets(1), Services(), holders=1, on_failure="continue", iterations=1)
    assert ended == [0]
    assert run.bad_input is None
    assert set(run.figures.errors) <= {"bad_invitation"}
    assert run.figures.steps["request_invitation"] == run.figures.steps[method] == 1


class Agent:
    """An agent's admin API that answers every request alike."""

    def __init__(self, error: AgentError) -> None:
        self.error = error

    async def call(self, method: str, path: str, **_: Any) -> dict[str, Any]:
        raise self.error


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/out-of-band/receive-invitation", 400, BadInvitation),
        ("/out-of-band/receive-invitation", 422, BadInvitation),
        ("/out-of-band/receive-invitation", 500, BadInvitation),
        ("/connections/receive-invitation", 404, BadInvitation),
        ("/out-of-band/receive-invitation", 503, AgentError),
    ],
)
async def test_an_invitation_that_the_agent_does_not_take(path: str, status: int, error: type[StepError]) -> None:
    agent = Agent(AgentError(f"agent-0: POST {path} answered {status} Unprocessable"))
    kind = "https://didcomm.org/connections/1.0/invitation" if "connections" in path else INVITATION["@type"]
    wallet = AcapyWallet(cast(Any, agent), Inbox(), "w", "t", cast(Any, None))
    with pytest.raises(error) as caught:
        await wallet.accept_invitation(INVITATION | {"@type": kind}, "issuer")
    assert type(caught.value) is error
    assert f"answered {status}" in caught.value.detail
