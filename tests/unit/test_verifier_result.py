"""A presentation counts as what its verifier says of it, when the verifier is asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.agents.wallet import Connection, Presentation
from controller.holder.holder import Holder
from controller.run.run import Run
from controller.run.simulated import SimulatedServices, SimulatedWallet, SimulatedWallets
from controller.services.interface import Result, Verdict
from controller.services.invitation import Invitation, Json
from stampede.schema.errors import PresentationUnverified, ServiceUnreachable
from stampede.schema.settings.run_settings import Settings, check_variables

Play = Callable[..., Run]
PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^, ]+)')
INVITATION = {"url": "https://verifier.example.org/invitation"}
RESULT = {"url": "https://verifier.example.org/${answer:/id}", "found_at": "/state"}
VERIFIED, REFUSED, PENDING = (Result(verdict, f"it says {verdict}") for verdict in Verdict)


def presentations(folder: Path) -> list[dict[str, str]]:
    lines = [line for line in (folder / "journal.lp").read_text().splitlines() if "step=present_proof" in line]
    return [{key: value.strip('"') for key, value in PAIR.findall(line)} for line in lines]


class Services(SimulatedServices):
    """Say one result after the other, each after a second; ``asked`` has what they were asked with."""

    def __init__(self, *results: Result | Exception) -> None:
        self.results: Iterator[Result | Exception] = iter(results)
        self.asked: list[dict[str, str]] = []

    async def request_invitation(self, service: str, values: Mapping[str, str]) -> Json:
        return Invitation({"@type": "x/invitation", "@id": "i-1"}, {"answer:/id": "p-1"})

    async def request_result(self, service: str, values: Mapping[str, str]) -> Result:
        self.asked.append(dict(values))
        await asyncio.sleep(1)
        result = next(self.results)
        if isinstance(result, Exception):
            raise result
        return result


class Wallets(SimulatedWallets):
    """Wallets in which a presentation takes two seconds."""

    def get(self, number: int) -> SimulatedWallet:
        class Wallet(SimulatedWallet):
            async def present_proof(self, invitation: Json) -> Presentation:
                await asyncio.sleep(2)
                return Presentation("e-1", "t-1")

            async def present_proof_to(self, connection: Connection) -> Presentation:
                return await self.present_proof({})

        return Wallet("1")


async def present(holder: Holder) -> None:
    await holder.present_proof("verifier")


async def present_over_a_connection(holder: Holder) -> None:
    connection = await holder.connect("verifier", "agency")
    assert connection is not None
    await holder.present_proof(connection)


@pytest.fixture
def played(play: Play, variables: dict[str, Any], tmp_path: Path) -> Callable[..., list[dict[str, str]]]:
    """``played(services, script, result={...})``: the presentations of one holder, as they are journaled."""

    def played(services: Services, script: Any = present, result: Any = None, **changes: Any) -> list[dict[str, str]]:
        verifier = {"invitation": INVITATION, "result": RESULT | (result or {})}
        variables["stampede_services"] = {"verifier": verifier}
        play(script, Wallets(1), services, holders=1, iterations=1, on_failure="stop", ramp_up=0, **changes)
        return presentations(tmp_path)

    return played


type Played = Callable[..., list[dict[str, str]]]


@pytest.mark.parametrize("script", [present, present_over_a_connection])
def test_a_verified_presentation_is_timed_until_its_acknowledgement(played: Played, script: Any) -> None:
    services = Services(PENDING, PENDING, VERIFIED)
    (step,) = played(services, script)
    assert (step["outcome"], step["detail"]) == ("ok", "verified")
    assert float(step["service_time"]) == pytest.approx(2)  # however long the verifier took to say so
    assert len(services.asked) == 3


def test_a_refused_presentation_is_rejected(played: Played) -> None:
    (step,) = played(Services(PENDING, REFUSED))
    assert (step["outcome"], step["error"], step["detail"]) == ("failed", "presentation_rejected", "it says refused")


@pytest.mark.parametrize(
    "error", [PresentationUnverified("it says 'maybe'"), ServiceUnreachable("verifier: Connection refused")]
)
def test_what_says_neither_is_a_failure_of_its_own_class(played: Played, error: Any) -> None:
    (step,) = played(Services(PENDING, error))
    assert (step["outcome"], step["error"], step["detail"]) == ("failed", error.error_class, error.detail)


def test_a_result_is_awaited_for_its_limit(played: Played) -> None:
    services = Services(*[PENDING] * 99)
    (step,) = played(services, result={"limit": "10s", "interval": "1.5s"})
    assert (step["outcome"], step["error"]) == ("failed", "timeout")
    assert step["detail"] == "waited for the result of verifier: it says pending, for 10 s"
    assert len(services.asked) == 4  # after 0, 2.5, 5 and 7.5 s


def test_a_verifier_may_say_when_it_wants_to_be_asked_again(played: Played) -> None:
    services = Services(*[Result(Verdict.PENDING, "it says pending", pause=4)] * 99)
    (step,) = played(services, result={"limit": "10s", "interval": "0.5s"})
    assert (step["outcome"], step["error"]) == ("failed", "timeout")
    assert len(services.asked) == 2  # after 0 and 5 s


def test_a_result_is_awaited_for_the_steps_timeout_at_most(played: Played) -> None:
    (step,) = played(Services(*[PENDING] * 99), result={"limit": "10m"}, step_timeout="20s")
    assert step["error"] == "timeout"
    assert step["detail"] == "waited for the result of verifier: it says pending, for 20 s"
    assert float(step["service_time"]) == pytest.approx(20)


def test_what_a_result_request_may_use(played: Played) -> None:
    services = Services(VERIFIED, VERIFIED)
    played(services)
    assert services.asked[0] == {
        "run_id": "test-run",
        "holder": "0",
        "connection_id": "",
        "my_did": "",
        "their_did": "",
        "invitation_msg_id": "i-1",
        "thread_id": "t-1",
        "pres_ex_id": "e-1",
        "answer:/id": "p-1",
    }
    (step,) = played(services, present_over_a_connection)[1:]
    assert step["service"] == "agency"
    assert services.asked[1]["connection_id"] == "connection-1"
    assert services.asked[1]["answer:/id"] == "p-1"


def test_without_a_result_request_nobody_is_asked(play: Play, tmp_path: Path) -> None:
    services = Services()
    play(present, Wallets(1), services, holders=1, iterations=1)
    (step,) = presentations(tmp_path)
    assert step["outcome"] == "ok"
    assert "detail" not in step
    assert services.asked == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"verified": []}, "result.verified is empty; it must list what says that a presentation is verified"),
        ({"verified": [{}]}, "result.verified has {}; it must list texts, numbers, true or false"),
        ({"pending": True}, "result has 'true' more than once; it must mean one of verified, refused and pending"),
        ({"found_at": "url"}, "result.found_at is 'url'; it must be empty or a JSON pointer such as /state"),
        ({"interval": 0}, "result.interval is 0; it must be a number of seconds or a duration such as 90s, 5m or"),
        ({"limit": "soon"}, "result.limit is 'soon'; it must be a number of seconds or a duration"),
        ({"url": "http://verifier.example.org/"}, "result.url is 'http://verifier.example.org/'; it must start with"),
        (
            {"url": "https://elsewhere.example.com/"},
            "elsewhere.example.com is not among the hosts that may be loaded",
        ),
        ({"body": "${answer:id}"}, "result uses ${answer:id}; it must be a JSON pointer into the answer"),
        ({"body": "${rev_reg_id}"}, "result uses ${rev_reg_id}, which is not known at this request"),
        ({"until": 1}, "result has the key 'until'; it may have body, found_at, headers, interval, limit, method"),
    ],
)
def test_a_wrong_result_request(variables: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    services = {"verifier": {"invitation": INVITATION, "result": RESULT | change}}
    (said,) = check_variables(variables | {"stampede_services": services})
    assert said.startswith("stampede_services.verifier.result")
    assert sentence in said


def test_an_invitation_request_cannot_use_its_own_answer(variables: dict[str, Any]) -> None:
    services = {"verifier": {"invitation": {"url": "https://verifier.example.org/${answer:/id}"}}}
    (said,) = check_variables(variables | {"stampede_services": services})
    assert "stampede_services.verifier.invitation uses ${answer:/id}; it must be" in said


def test_a_result_request_is_read(variables: dict[str, Any]) -> None:
    result = RESULT | {"verified": [True, 1, "yes"], "refused": False, "pending": ["404"], "limit": "1m"}
    services = {"verifier": {"invitation": INVITATION, "result": result}}
    read = Settings.from_variables(variables | {"stampede_services": services}).services["verifier"]
    assert read.result is not None
    assert (read.result.method, read.result.interval, read.result.limit) == ("GET", 0.5, 60)
    assert read.result.verified == ("true", "1", "yes")
    assert (read.result.refused, read.result.pending) == (("false",), ("404",))
    assert read.answer_pointers() == {"/id": "result"}
