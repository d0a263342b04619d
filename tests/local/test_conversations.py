"""Menus, questions, messages and several services, with real agents: the shipped scenarios, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

from local_playbook import Playbook
from reference_services import ReferenceServices

PACE = {"wait_min": 0, "wait_max": 0.5, "presentations_min": 1, "presentations_max": 2}


def steps_of(playbook: Playbook) -> dict[str, tuple[int, int]]:
    return {name: (step["ok"], step["failed"]) for name, step in playbook.summary()["steps"].items()}


def test_a_menu_after_the_revocation_leads_to_a_new_credential(
    playbook: Playbook, reference: ReferenceServices
) -> None:
    """The services' own counts agree: a credential each at first, then one for each menu that was chosen from."""
    before = reference.get("/issuer/status")
    code, output = playbook.run(script="issue_present_revoke_menu", holders=3, iterations=2, **PACE)
    assert code == 0, output
    steps = steps_of(playbook)
    presented = steps.pop("present_proof")
    assert presented[1] == 0 and 6 <= presented[0] <= 12
    assert steps == {
        "connect_to_mediator": (3, 0),
        "request_invitation": (3 + presented[0], 0),
        "connect": (3, 0),
        "receive_credential": (9, 0),
        "request_revocation": (6, 0),
        "receive_revocation_notification": (6, 0),
        "delete_credential": (6, 0),
        "receive_menu": (6, 0),
        "choose_action": (6, 0),
    }
    after = reference.get("/issuer/status")
    counted = {name: after[name] - before[name] for name in ("offered", "revoked", "failed")}
    assert counted == {"offered": 9, "revoked": 6, "failed": 0}


ODD = """
import json
from pathlib import Path
from stampede import StepError


async def fails(doing):
    try:
        await doing
    except StepError as error:
        return f"{error.error_class}: {error.detail}"
    return "it did not fail"


async def script(holder):
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    said = {}

    await holder.send_message(issuer, "Reply with nothing: \\u00fc " + "x" * 2000)
    await holder.wait(1)  # what comes before it is awaited is kept
    said["echo"] = await holder.receive_message(issuer)

    said["no menu"] = await fails(holder.choose_action("issuer", "renew"))
    await holder.request_menu(issuer)
    menu = await holder.receive_menu(issuer)
    said["menu"] = [menu.title, [option.name for option in menu.options], "renew" in menu, "leave" in menu]
    said["form"] = [[field.name, field.title, field.required] for field in menu.option("renew").form]
    said["no option"] = await fails(holder.choose_action(issuer, "leave"))
    said["no field"] = await fails(holder.choose_action(issuer, "renew", {"nam": "Ada"}))
    said["no value"] = await fails(holder.choose_action(issuer, "renew"))
    await holder.request_menu(issuer)  # the one of the trial is closed by any choice
    await holder.receive_menu(issuer)
    await holder.choose_action(issuer, "renew", {"name": "Ada"})
    card = await holder.receive_credential(issuer)
    get = getattr(holder.wallet, "_get", None)  # the trial has no agent
    said["card"] = get and (await get(f"/credential/{card.credential_id}"))["attrs"]["name"]
    said["closed"] = await fails(holder.choose_action(issuer, "renew", {"name": "Ada"}))

    await holder.request_menu(issuer)
    await holder.receive_menu(issuer)
    await holder.choose_action(issuer, "call")
    question = await holder.receive_question(issuer)
    said["question"] = [question.text, list(question.responses)]
    said["no answer"] = await fails(holder.answer_question(question, "Maybe"))
    await holder.answer_question(question, "No")
    said["answered"] = await holder.receive_message(issuer)

    # The issuer repeats this, and the holder's agent does not take so long a message; the next one comes.
    await holder.send_message(issuer, "y" * 16_300)
    said["too long"] = await fails(holder.receive_message(issuer))
    await holder.send_message(issuer, "short")
    said["next"] = await holder.receive_message(issuer)
    said["features"] = await holder.discover_features(issuer, "https://didcomm.org/questionanswer/*")
    Path("NOTES").write_text(json.dumps(said))
"""


def test_what_is_said_and_what_is_wrong_of_it(
    playbook: Playbook, reference: ReferenceServices, tmp_path: Path
) -> None:
    script, notes = tmp_path / "odd.py", tmp_path / "notes.json"
    script.write_text(ODD.replace("NOTES", str(notes)))
    code, output = playbook.run(script=str(script), holders=1, mediator_did="", fail_on_errors=False)
    assert code == 0, output
    said = json.loads(notes.read_text())
    assert said.pop("too long").startswith("bad_message: a basic message of the other agent cannot be read: it has ")
    assert said == {
        "echo": f"You said: Reply with nothing: ü {'x' * 2000}",
        "no menu": "nothing_to_answer: the holder has received no menu from issuer, or has chosen from it already",
        "menu": ["Your membership", ["renew", "call"], True, False],
        "form": [["name", "Name on the card", True]],
        "no option": "choice_unmatched: the menu 'Your membership' has no option 'leave'; it has 'renew', 'call'",
        "no field": (
            "choice_unmatched: the form of the option 'renew' of the menu 'Your membership' has no field 'nam'; it "
            "has 'name'"
        ),
        "no value": (
            "choice_unmatched: the form of the option 'renew' of the menu 'Your membership' requires a value for "
            "'name', which the script does not give"
        ),
        "card": "Ada",
        "closed": "nothing_to_answer: the holder has received no menu from issuer, or has chosen from it already",
        "question": ["Are you on the phone with us?", ["Yes", "No"]],
        "no answer": (
            "choice_unmatched: the question 'Are you on the phone with us?' does not allow the answer 'Maybe'; it "
            "allows 'Yes', 'No'"
        ),
        "answered": "You answered: No",
        "next": "You said: short",
        "features": ["https://didcomm.org/questionanswer/1.0"],
    }
    tagged = {step["service"] for step in playbook.journal() if step["step"] == "answer_question"}
    assert tagged == {"issuer"}


def test_a_conversation_of_phones(playbook: Playbook) -> None:
    code, output = playbook.run(
        script="conversation", holders=2, iterations=2, mediator_pickup="websocket", on_failure="stop", **PACE
    )
    assert code == 0, output
    assert steps_of(playbook) == {
        "connect_to_mediator": (2, 0),
        "request_invitation": (2, 0),
        "connect": (2, 0),
        "request_menu": (4, 0),
        "receive_menu": (4, 0),
        "choose_action": (4, 0),
        "receive_question": (4, 0),
        "answer_question": (4, 0),
        "receive_message": (8, 0),
        "send_message": (4, 0),
    }


def test_members_of_several_issuers(playbook: Playbook, reference: ReferenceServices) -> None:
    """Each by the holder's own choice, which a later run with this seed makes again."""
    services = reference.settings["services"]
    code, output = playbook.run(
        script="several_services",
        holders=4,
        iterations=2,
        services=services | {"shop": services["verifier"]},
        **PACE,
    )
    assert code == 0, output
    assert steps_of(playbook)["present_proof"] == (8, 0)
    chosen = {(step["step"], step["service"]) for step in playbook.journal() if step["step"] != "connect_to_mediator"}
    assert {service for step, service in chosen if step == "connect"} == {"issuer", "issuer_with_menu"}
    assert {service for step, service in chosen if step == "present_proof"} == {"verifier", "shop"}
