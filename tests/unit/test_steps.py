"""Steps declare themselves, and scripts may time steps of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.agents.acapy_wallet import Topics
from controller.agents.inbox import Inbox, Topic
from controller.agents.webhooks import WebhookReceiver
from controller.holder.holder import STEPS, Holder
from controller.run.run import Run
from controller.run.simulated import Assumed
from stampede.prepare.trial import try_script
from stampede.schema.errors import BadInput, ServiceRefused
from stampede.schema.settings.thresholds import parse

Play = Callable[..., Run]
TEMPLATES = Path(__file__).parents[2] / "templates"


def lines(folder: Path) -> list[str]:
    return [line for line in (folder / "journal.lp").read_text().splitlines() if line.startswith("step,")]


def test_the_steps_that_there_are() -> None:
    assert sorted(STEPS) == [
        "answer_question",
        "choose_action",
        "connect",
        "connect_to_mediator",
        "delete_credential",
        "disconnect",
        "discover_features",
        "ping",
        "present_proof",
        "propose_credential",
        "propose_presentation",
        "receive_credential",
        "receive_menu",
        "receive_message",
        "receive_question",
        "receive_revocation_notification",
        "reconnect",
        "request",
        "request_invitation",
        "request_menu",
        "request_revocation",
        "send_message",
    ]


def test_an_app_in_the_background(play: Play) -> None:
    async def script(holder: Holder) -> None:
        await holder.connect_to_mediator()
        await holder.disconnect()
        await holder.wait(5)
        await holder.reconnect()

    run = play(script, holders=2, mediator_pickup="websocket")
    assert run.figures.steps == {"connect_to_mediator": 2, "disconnect": 2, "reconnect": 2}


@pytest.mark.parametrize("method", ["disconnect", "reconnect"])
def test_only_phones_go_to_the_background(play: Play, method: str) -> None:
    async def script(holder: Holder) -> None:
        await getattr(holder, method)()

    run = play(script, holders=1)
    assert str(run.bad_input) == (
        f"the script calls holder.{method}(), but stampede_mediator_pickup is none; it must be websocket or http"
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda it: it.propose_credential(None, ["a"]),
            "propose_credential() a list as attributes; it must be a dict",
        ),
        (
            lambda it: it.propose_credential(None, {"a": {1: 2}}),
            "a mapping as attributes['a']; it must be a text or a num",
        ),
        (
            lambda it: it.propose_credential(None, {1: "a"}),
            "propose_credential() attributes has the key 1; it must be",
        ),
        (
            lambda it: it.propose_credential(None, {}, ["x"]),
            "propose_credential() a list as filters; it must be a dict",
        ),
        (
            lambda it: it.propose_presentation(None, None),
            "propose_presentation() nothing as request; it must be a dict",
        ),
        (lambda it: it.propose_presentation(None, {"a": {1}}), "request['a'] is {1}; it must be something that JSON"),
        (
            lambda it: it.present_proof(None, self_attested="a"),
            "present_proof() a text as self_attested; it must be a",
        ),
        (
            lambda it: it.present_proof("verifier", "a"),
            "a text as invitation; it must be a dict, such as holder.request",
        ),
        (
            lambda it: it.connect("issuer", invitation="a"),
            "connect() a text as invitation; it must be a dict, such as",
        ),
        (
            lambda it: it.receive_credential("issuer", 5),
            "receive_credential() a number as invitation; it must be a d",
        ),
        (
            lambda it: it.connect(None),
            "the script asks for the service None, but stampede_services has issuer, verif",
        ),
        (lambda it: it.request(5), "the script gives holder.request() a number as name; it must be a text"),
        (
            lambda it: it.send_message(None, None),
            "the script gives holder.send_message() nothing as text; it must be",
        ),
        (lambda it: it.discover_features(None, 5), "holder.discover_features() a number as match; it must be a text"),
    ],
)
def test_what_a_script_gives_has_its_type(play: Play, call: Callable[[Holder], Any], said: str) -> None:
    async def script(holder: Holder) -> None:
        await call(holder)

    assert said in str(play(script, holders=1).bad_input)


def test_what_the_dry_run_assumes_of_answers_may_be_given(play: Play) -> None:
    async def script(holder: Holder) -> None:
        answered = Assumed()
        issuer = await holder.connect("issuer", invitation=answered["invitation"])
        await holder.propose_credential(issuer, {"name": answered["name"]}, {"cred_def_id": answered["id"]})
        await holder.send_message(issuer, answered["text"])
        await holder.present_proof("verifier", self_attested={"town": answered["town"]})

    assert play(script, holders=1).bad_input is None


@pytest.mark.parametrize("method", ["disconnect", "reconnect"])
def test_only_who_has_a_mediator_goes_to_the_background(play: Play, method: str) -> None:
    async def script(holder: Holder) -> None:
        await getattr(holder, method)()
        await holder.connect_to_mediator()

    assert str(play(script, holders=1, mediator_pickup="http").bad_input) == (
        f"the script calls holder.{method}() before holder.connect_to_mediator(), so that there is no link to a "
        "mediator; it must call that first"
    )


def test_nothing_is_presented_over_a_connection_that_did_not_come_about(play: Play) -> None:
    async def script(holder: Holder) -> None:
        await holder.present_proof(None)
        await holder.receive_credential(None)

    run = play(script, holders=1, on_failure="continue")
    assert (run.bad_input, run.figures.errors) == (None, {"no_connection": 2})


def test_a_declared_step_keeps_its_name_and_documentation() -> None:
    assert Holder.ping.__name__ == "ping"
    assert "RFC 0048" in (Holder.ping.__doc__ or "")


def test_a_step_of_the_scripts_own(play: Play, tmp_path: Path) -> None:
    async def script(holder: Holder) -> None:
        issuer = await holder.connect("issuer")
        async with holder.step("open the app", "issuer"):
            await asyncio.sleep(2)
            await holder.ping(issuer)

    run = play(script, holders=2)
    assert run.figures.steps == {"request_invitation": 2, "connect": 2, "ping": 2, "open the app": 2}
    own = [line for line in lines(tmp_path) if r"step=open\ the\ app" in line]
    assert len(own) == 2
    assert all('service="issuer"' in line and "outcome=ok" in line for line in own)
    assert all(float(line.split("service_time=")[1].split(",")[0]) > 2 for line in own)


def test_a_step_of_the_scripts_own_fails_like_any_other(play: Play, tmp_path: Path) -> None:
    went_on: list[int] = []

    async def script(holder: Holder) -> None:
        async with holder.step("refused"):
            raise ServiceRefused("no")
        async with holder.step("too long"):
            await asyncio.sleep(100)
        went_on.append(holder.number)

    run = play(script, holders=2, on_failure="continue", iterations=1)
    assert went_on == [0, 1]
    assert run.figures.errors == {"service_refused": 2, "timeout": 2}
    went_on.clear()
    run = play(script, holders=2, on_failure="stop")
    assert (went_on, run.stopped, run.figures.errors) == ([], 2, {"service_refused": 2})


def test_an_error_of_the_script_within_a_step_is_the_scripts(play: Play, tmp_path: Path) -> None:
    async def script(holder: Holder) -> None:
        async with holder.step("broken"):
            raise KeyError("x")

    run = play(script, holders=1, on_failure="stop")
    assert run.figures.steps == {"script": 1}
    assert run.figures.errors == {"script_error": 1}
    assert run.recorder.in_flight == 0


def test_the_end_of_the_run_interrupts_a_step_in_which_a_holder_waits(play: Play, tmp_path: Path) -> None:
    async def script(holder: Holder) -> None:
        async with holder.step("reading"):
            await holder.wait(50)

    run = play(script, holders=1, ramp_up=0, duration="20s")
    assert run.figures.outcomes == {"interrupted": 1}


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "two\nlines"])
def test_a_name_that_is_none(play: Play, name: str) -> None:
    async def script(holder: Holder) -> None:
        async with holder.step(name):
            pass

    run = play(script, holders=1)
    assert isinstance(run.bad_input, BadInput)
    assert "holder.step was given the name" in str(run.bad_input)


def test_thresholds_judge_a_scripts_own_steps(variables: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from stampede import Holder\n\n"
        "async def script(holder: Holder) -> None:\n"
        "    async with holder.step('open the app'):\n"
        "        await holder.connect('issuer')\n"
    )
    own = variables | {"stampede_script": "own.py"}
    try_script(own | {"stampede_thresholds": ['"open the app" p95 < 2 s']}, TEMPLATES, tmp_path)
    assert parse('"open the app" p95 < 2 s').what == '"open the app" p95 response_time'
    with pytest.raises(BadInput, match="'open the door' is not a step of the script"):
        try_script(own | {"stampede_thresholds": ['"open the door" p95 < 2 s']}, TEMPLATES, tmp_path)


def test_features_are_discovered_in_a_dry_run(play: Play) -> None:
    found: list[list[str]] = []

    async def script(holder: Holder) -> None:
        found.append(
            await holder.discover_features(await holder.connect("issuer"), "https://didcomm.org/ping/*") or []
        )

    assert play(script, holders=1).figures.steps["discover_features"] == 1
    assert found == [["https://didcomm.org/ping/1.0"]]


class TestTopics:
    async def test_one_that_nobody_declared_is_named_once(self, caplog: pytest.LogCaptureFixture) -> None:
        inbox = Inbox()
        async with WebhookReceiver({"ping"}, {"out_of_band"}) as receiver, aiohttp.ClientSession() as session:
            receiver.register("w", inbox)
            url, key = receiver.url.split("#")
            with caplog.at_level(logging.WARNING):
                for topic in ("ping", "out_of_band", "actionmenu", "actionmenu"):
                    headers = {"x-api-key": key, "x-wallet-id": "w"}
                    await session.post(f"{url}/topic/{topic}/", json={"state": topic}, headers=headers)
        assert await inbox.expect("ping") == {"state": "ping"}
        assert [record.args for record in caplog.records] == [("actionmenu",)]

    def test_what_is_kept_of_an_event(self) -> None:
        payload = {"state": "done", "n": 1, "yes": True, "by_format": {"x": 1}, "long": "x" * 2000, "none": None}
        assert Topic("t").event(payload) == {"state": "done", "n": 1, "yes": True}
        assert Topic("t", keeps=frozenset({"by_format"})).event(payload) == {
            "state": "done",
            "n": 1,
            "yes": True,
            "by_format": {"x": 1},
        }
        assert Topic("t", needs="absent").event(payload) is None
        assert Topic("t").event({"state": "deleted"}) is None

    def test_a_credential_counts_once_it_is_stored(self) -> None:
        assert Topics.credential_stored.event({"cred_ex_id": "1"}) is None
        assert Topics.credential_stored.event({"cred_ex_id": "1", "cred_id_stored": "2"}) is not None
