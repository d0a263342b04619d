"""Menus, questions and basic messages: what a holder makes of them, and what the plugin in its agent does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import acapy_models  # noqa: F401  # before anything of ACA-Py
import pytest

from controller.agents.acapy_wallet import TOPICS, AcapyWallet
from controller.agents.inbox import Inbox
from controller.agents.menu import Menu, read_menu
from controller.agents.question import read_question
from controller.agents.wallet import Connection
from controller.holder.holder import Holder
from controller.run.dry_run import dry_run
from controller.run.run import Run
from controller.run.simulated import SimulatedWallet, SimulatedWallets
from reference.conversation import MENU, QUESTION
from stampede.prepare.rendering import render_scenario
from stampede.schema.errors import BadMessage, ChoiceUnmatched, StepError, UnsupportedProtocol
from stampede.schema.settings.run_settings import Settings

type Play = Callable[..., Run]
type Json = dict[str, Any]

ISSUER = Connection("issuer", "c1")
SCENARIOS = Path(__file__).parents[2] / "templates" / "scenarios"
FORM: Json = {
    "options": [
        {"name": "stop", "title": "Stop", "disabled": True},
        {
            "name": "renew",
            "title": "Renew",
            "form": {
                "params": [
                    {"name": "name", "title": "Name"},
                    {"name": "years", "title": "Years", "default": "1"},
                    {"name": "note", "title": "Note", "required": False},
                ]
            },
        },
    ]
}
ASKED: Json = {"question_text": "You?", "valid_responses": [{"text": "Yes"}, {"text": "No"}]}


# -------------------------------------------------------------------------------------- menus and questions


def test_what_a_form_is_filled_with() -> None:
    menu = read_menu(FORM, "t")
    assert menu.filled("renew", {"name": "Ada"}) == {"name": "Ada", "years": "1"}
    assert menu.filled("renew", {"note": "", "name": "", "years": "2"}) == {"name": "", "years": "2", "note": ""}
    assert "renew" in menu and "stop" not in menu and "other" not in menu


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("other", {}, "the menu '' has no option 'other'; it has 'stop', 'renew'"),
        ("stop", {}, "the option 'stop' of the menu '' is disabled"),
        ("renew", {}, "the form of the option 'renew' of the menu '' requires a value for 'name', which the script"),
        ("renew", {"nom": "x"}, "of the menu '' has no field 'nom'; it has 'name', 'years', 'note'"),
    ],
)
def test_what_cannot_be_chosen(name: str, values: dict[str, str], said: str) -> None:
    with pytest.raises(ChoiceUnmatched) as error:
        read_menu(FORM, "t").filled(name, values)
    assert said in error.value.detail


def test_an_option_without_a_form_takes_no_values() -> None:
    menu = read_menu({"options": [{"name": "call", "title": "Call"}]}, "t")
    assert menu.filled("call", {}) == {}
    with pytest.raises(ChoiceUnmatched, match="has no field 'x'; it has none"):
        menu.filled("call", {"x": "1"})


@pytest.mark.parametrize(
    ("menu", "said"),
    [
        ({}, "the menu's options are no JSON array"),
        ({"options": []}, "the menu has no options; it must have at least one"),
        ({"options": [{"title": "x"}]}, "an option of the menu has no name"),
        ({"options": ["x"]}, "an option of the menu has no name"),
        ({"options": [{"name": "a"}, {"name": "a"}]}, "several options with the name 'a'; names must be unique"),
        ({"options": [{"name": "a", "form": 5}]}, "the form of the menu's option 'a' is no JSON object"),
        (
            {"options": [{"name": "a", "form": {"params": {"b": 1}}}]},
            "the params of the menu's option 'a' are no JSON",
        ),
        ({"options": [{"name": "a", "form": {"params": [{}]}}]}, "a param of the menu's option 'a' has no name"),
    ],
)
def test_what_is_no_menu(menu: Json, said: str) -> None:
    with pytest.raises(BadMessage) as error:
        read_menu(menu, "t")
    assert said in error.value.detail


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({}, "the question has no question_text"),
        ({"question_text": "x"}, "the question has no valid_responses; it must have at least one"),
        ({"question_text": "x", "valid_responses": []}, "the question has no valid_responses"),
        ({"question_text": "x", "valid_responses": [{"text": "a"}, {}]}, "a valid response without a text"),
        ({"question_text": "x", "valid_responses": ["a"]}, "a valid response without a text"),
    ],
)
def test_what_is_no_question(question: Json, said: str) -> None:
    with pytest.raises(BadMessage) as error:
        read_question(question, ISSUER, "t")
    assert said in error.value.detail


def test_which_answers_a_question_takes() -> None:
    question = read_question(ASKED, ISSUER, "t")
    question.check("Yes")
    with pytest.raises(ChoiceUnmatched, match="does not allow the answer 'yes'; it allows 'Yes', 'No'"):
        question.check("yes")
    with pytest.raises(UnsupportedProtocol, match="requires a signed answer"):
        read_question(ASKED | {"signature_required": True}, ISSUER, "t").check("Yes")


# ------------------------------------------------------------------------------------------------ the wallet


class Agent:
    """Notes what is posted."""

    def __init__(self) -> None:
        self.posted: dict[str, Any] = {}

    async def call(self, method: str, path: str, *, body: Any = None, **_: Any) -> Json:
        self.posted[path] = body
        return {}


def wallet() -> tuple[AcapyWallet, Agent]:
    async def up() -> None:
        pass

    agent = Agent()
    return AcapyWallet(agent, Inbox(TOPICS), "w", "token", up), agent  # type: ignore[arg-type]


async def test_what_came_before_it_is_awaited_comes_in_order_and_over_its_connection() -> None:
    holder, agent = wallet()
    for number in range(3):
        holder.inbox.deliver("basicmessages", {"connection_id": "c1", "content": f"{number}" * 3000})
        holder.inbox.deliver("actionmenu", {"connection_id": f"c{number}", "thread_id": f"t{number}", "menu": FORM})
        holder.inbox.deliver("question", {"connection_id": "c1", "thread_id": f"q{number}", "question": ASKED})
    async with asyncio.timeout(1):
        assert [await holder.receive_message(ISSUER) for _ in range(3)] == ["0" * 3000, "1" * 3000, "2" * 3000]
        menu = await holder.receive_menu(ISSUER)
        questions = [await holder.receive_question(ISSUER) for _ in range(3)]
    assert menu.thread_id == "t1"
    assert [question.thread_id for question in questions] == ["q0", "q1", "q2"]
    await holder.choose_action(ISSUER, menu, "renew", {"name": "Ada"})
    await holder.answer_question(questions[1], "No")
    await holder.request_menu(ISSUER)
    assert agent.posted == {
        "/dialogue/c1/perform": {"thread_id": "t1", "name": "renew", "params": {"name": "Ada"}},
        "/dialogue/c1/answer": {"thread_id": "q1", "response": "No"},
        "/action-menu/c1/request": {},
    }


@pytest.mark.parametrize(
    ("topic", "method", "what"),
    [
        ("basicmessages", "receive_message", "basic message"),
        ("actionmenu", "receive_menu", "menu"),
        ("question", "receive_question", "question"),
    ],
)
async def test_what_the_agent_cannot_read_fails_the_step_that_awaits_it(topic: str, method: str, what: str) -> None:
    holder, _ = wallet()
    holder.inbox.deliver(topic, {"connection_id": "c2", "unreadable": "for another step"})
    holder.inbox.deliver(topic, {"connection_id": "c1", "unreadable": "no options"})
    with pytest.raises(BadMessage, match=f"a {what} of the other agent cannot be read: no options"):
        async with asyncio.timeout(1):
            await getattr(holder, method)(ISSUER)


# ------------------------------------------------------------------------------------------------ the plugin


class Told:
    """Takes the place of ACA-Py's context and responder."""

    def __init__(self, message: Any, *, ready: bool = True) -> None:
        self.events: list[tuple[str, Json]] = []
        self.replies: list[Json] = []
        self.message, self.connection_ready, self.settings = message, ready, {}
        self.connection_record = SimpleNamespace(connection_id="c1")
        self.message_receipt = SimpleNamespace(thread_id="t1")
        self.profile = self

    async def notify(self, topic: str, payload: Json) -> None:
        self.events.append((topic, payload))

    async def send_reply(self, message: Any) -> None:
        self.replies.append(message.serialize())


async def heard(kind: str, message: Json) -> Told:
    """What the agent does with a message that is sent to it."""
    from acapy_agent.config.injection_context import InjectionContext
    from acapy_agent.core.protocol_registry import ProtocolRegistry

    from controller.dialogue import setup

    context, registry = InjectionContext(), ProtocolRegistry()
    context.injector.bind_instance(ProtocolRegistry, registry)
    await setup(context)
    found = registry.resolve_message_class(f"https://didcomm.org/{kind}")
    assert found is registry.resolve_message_class(f"did:sov:BzCbsNYhMrjHiqZDTUASHg;spec/{kind}")
    assert "https://didcomm.org/questionanswer/1.0" in registry.protocols
    read = found.deserialize(message | {"@type": f"https://didcomm.org/{kind}", "@id": "m1"})
    told = Told(read)
    await read.Handler().handle(told, told)
    return told


async def test_a_menu_that_can_be_read_is_told_with_its_thread() -> None:
    told = await heard("action-menu/1.0/menu", MENU | {"errormsg": "once more", "~thread": {"thid": "t1"}})
    ((topic, event),) = told.events
    assert topic == "acapy::webhook::actionmenu"
    assert (event["connection_id"], event["thread_id"], told.replies) == ("c1", "t1", [])
    menu = read_menu(event["menu"], event["thread_id"])
    assert menu == read_menu({**MENU, "errormsg": "once more"}, "t1")
    assert menu.error == "once more" and menu.title == "Your membership"


async def test_a_question_that_can_be_read_is_told() -> None:
    asked = {"question_text": QUESTION["text"], "valid_responses": [{"text": text} for text in QUESTION["answers"]]}
    told = await heard("questionanswer/1.0/question", asked | {"signature_required": "true"})
    ((topic, event),) = told.events
    assert topic == "acapy::webhook::question"
    question = read_question(event["question"], ISSUER, "t1")
    assert question.responses == ("Yes", "No") and question.signature_required


async def test_a_basic_message_is_acapys_own() -> None:
    told = await heard("basicmessage/1.0/message", {"content": "hello"})
    ((topic, event),) = told.events
    assert topic == "acapy::basicmessage::received"
    assert (event["connection_id"], event["content"]) == ("c1", "hello")


@pytest.mark.parametrize(
    ("kind", "message", "topic", "said"),
    [
        ("action-menu/1.0/menu", {}, "actionmenu", "{'options': ['Missing data for required field.']}"),
        ("action-menu/1.0/menu", {"options": {"a": 1}}, "actionmenu", "{'options': ['Not a valid list.']}"),
        (
            "action-menu/1.0/menu",
            {"options": [{"name": "a", "title": "A", "form": 5}]},
            "actionmenu",
            "{'options': {0",
        ),
        ("questionanswer/1.0/question", {"question_text": "x"}, "question", "{'valid_responses': ['Missing data for"),
        ("basicmessage/1.0/message", {"content": 5}, "basicmessages", "{'content': ['Not a valid string.']}"),
        (
            "basicmessage/1.0/message",
            {"content": "x" * 17000},
            "basicmessages",
            " characters; it must have at most 16",
        ),
    ],
)
async def test_what_cannot_be_read_is_told_and_reported(kind: str, message: Json, topic: str, said: str) -> None:
    told = await heard(kind, message)
    ((name, event),) = told.events
    assert name == f"acapy::webhook::{topic}"
    assert set(event) == {"connection_id", "thread_id", "unreadable"}
    assert event["unreadable"] and said in event["unreadable"]
    (report,) = told.replies
    assert report["@type"] == "https://didcomm.org/notification/1.0/problem-report"
    assert report["description"]["code"] == "message-parse-failure"
    assert report["~thread"]["thid"] == "t1"


# ------------------------------------------------------------------------------------------------ the holder


class Talkative(SimulatedWallet):
    """Menus and questions as the reference issuer has them; every second menu cannot be read."""

    chosen: ClassVar[list[tuple[str, Json]]] = []

    async def receive_menu(self, connection: Connection) -> Menu:
        await super().receive_menu(connection)
        type(self).menus += 1
        if self.menus % 2 == 0:
            raise BadMessage("odd")
        return read_menu(MENU, f"t{self.menus}")

    async def choose_action(self, connection: Connection, menu: Menu, name: str, values: Any) -> None:
        self.chosen.append((menu.thread_id, {name: values}))

    menus = 0


class TalkativeWallets(SimulatedWallets):
    def get(self, number: int) -> SimulatedWallet:
        return Talkative(str(number))


def test_a_choice_closes_the_menu_and_a_failed_one_leaves_it_open(play: Play, tmp_path: Path) -> None:
    failures: list[str] = []

    async def script(holder: Holder) -> None:
        issuer = await holder.connect("issuer")
        for name in ("leave", "renew", "renew"):
            if name not in ("renew",) or not failures:
                await holder.receive_menu(issuer)
            try:
                await holder.choose_action("issuer", name, {"name": 7} if name == "renew" else None)
            except StepError as error:
                failures.append(error.error_class)

    Talkative.chosen, Talkative.menus = [], 0
    run = play(script, TalkativeWallets(1), holders=1, iterations=1, on_failure="stop")
    assert failures == ["choice_unmatched", "nothing_to_answer"]
    assert Talkative.chosen == [("t1", {"renew": {"name": "7"}})]
    assert run.figures.steps == {"request_invitation": 1, "connect": 1, "receive_menu": 1, "choose_action": 3}


def test_where_the_script_goes_on_what_needs_a_failed_menu_fails_too(play: Play) -> None:
    async def script(holder: Holder) -> None:
        issuer = await holder.connect("issuer")
        for _ in range(2):
            await holder.receive_menu(issuer)
            await holder.choose_action(issuer, "call")
        await holder.answer_question(None, "Yes")

    Talkative.chosen, Talkative.menus = [], 0
    run = play(script, TalkativeWallets(1), holders=1, iterations=1, on_failure="continue")
    assert run.figures.errors == {"bad_message": 1, "nothing_to_answer": 2}
    assert Talkative.chosen == [("t1", {"call": {}})]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda it: it.choose_action(None, 5), "holder.choose_action() a number as name; it must be a text"),
        (lambda it: it.choose_action(None, "a", [1]), "choose_action() a list as values; it must be a dict such as"),
        (lambda it: it.choose_action(None, "a", {"b": [1]}), "a list as values['b']; it must be a text or a number"),
        (lambda it: it.answer_question(None, None), "answer_question() nothing as answer; it must be a text"),
        (lambda it: it.answer_question("q", "Yes"), "a text as question; it must be what holder.receive_question()"),
    ],
)
def test_what_a_script_gives_has_its_type(play: Play, call: Callable[[Holder], Any], said: str) -> None:
    async def script(holder: Holder) -> None:
        await call(holder)

    assert said in str(play(script, holders=1).bad_input)


# ------------------------------------------------------------------------------------------- by weight


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "holder.choose() {}; it must be service names with weights, such as"),
        ("issuer", "holder.choose() 'issuer'; it must be service names with weights"),
        ({"issuer", "verifier"}, "; it must be service names with weights"),
        (
            ["issuer", "isuer"],
            "asks for the service 'isuer', but stampede_services has issuer, verifier; did you mean",
        ),
        ([5], "asks for the service 5, but"),
        ([["issuer"]], "asks for the service ['issuer'], but"),
        ({"issuer": -1}, "the weight of 'issuer' must be a number, 0 or more"),
        ({"issuer": True}, "the weight of 'issuer' must be a number, 0 or more"),
        ({"issuer": "3"}, "the weight of 'issuer' must be a number, 0 or more"),
        ({"issuer": float("nan")}, "the weight of 'issuer' must be a number, 0 or more"),
        ({"issuer": float("inf")}, "the weight of 'issuer' must be a number, 0 or more"),
        ({"issuer": 0, "verifier": 0.0}, "at least one weight must be more than 0"),
    ],
)
def test_what_cannot_be_chosen_by(play: Play, given: Any, said: str) -> None:
    async def script(holder: Holder) -> None:
        holder.choose(given)

    assert said in str(play(script, holders=1).bad_input)


def test_services_are_chosen_by_weight_and_again_in_the_next_run(play: Play) -> None:
    def chosen(given: Any, seed: int) -> list[str]:
        found: list[str] = []

        async def script(holder: Holder) -> None:
            found.extend(holder.choose(given) for _ in range(4000))

        play(script, holders=1, seed=seed)
        return found

    weights = {"issuer": 3, "verifier": 1}
    by_weight = Counter(chosen(weights, 7))
    assert 2900 < by_weight["issuer"] < 3100 and by_weight.total() == 4000
    assert 1900 < Counter(chosen(["issuer", "verifier"], 7))["issuer"] < 2100
    assert 2900 < Counter(chosen(["issuer", "verifier", "issuer", "issuer"], 7))["issuer"] < 3100
    assert set(chosen({"issuer": 0, "verifier": 0.5}, 7)) == {"verifier"}
    assert chosen(weights, 7) == chosen(weights, 7) != chosen(weights, 8)


# ------------------------------------------------------------------------------------ the shipped scenarios


def forecast(variables: Json, scenario: str, **changes: Any) -> dict[str, int]:
    given = variables | {f"stampede_{name}": value for name, value in changes.items()}
    names: Json = {}
    exec(render_scenario(SCENARIOS / f"{scenario}.py.j2", given), names)
    return dry_run(names["script"], Settings.from_variables(given)).steps


@pytest.mark.parametrize("reference", [False, True])
def test_the_missions_script_with_a_menu(variables: Json, reference: bool) -> None:
    """With the reference services' issuer of menus, or a user's own ``issuer``."""
    services = variables["stampede_services"]
    if reference:
        services |= {"issuer_with_menu": services["issuer"]}
    steps = forecast(variables, "issue_present_revoke_menu", holders=3, presentations_min=2, presentations_max=2)
    assert steps == {
        "connect_to_mediator": 3,
        "request_invitation": 15,
        "connect": 3,
        "receive_credential": 9,
        "present_proof": 12,
        "request_revocation": 6,
        "receive_revocation_notification": 6,
        "delete_credential": 6,
        "receive_menu": 6,
        "choose_action": 6,
    }


def test_a_conversation(variables: Json) -> None:
    steps = forecast(variables, "conversation", holders=2, iterations=3)
    asked = dict.fromkeys(("request_menu", "receive_menu", "choose_action", "receive_question", "answer_question"), 6)
    assert steps == {"connect_to_mediator": 2, "request_invitation": 2, "connect": 2} | asked | {
        "receive_message": 12,
        "send_message": 6,
    }


def test_several_services(variables: Json) -> None:
    steps = forecast(variables, "several_services", holders=2, iterations=3)
    assert (steps["receive_credential"], steps["present_proof"], steps["request_invitation"]) == (2, 6, 8)
