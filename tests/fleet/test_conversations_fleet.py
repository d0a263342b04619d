"""Menus, questions, messages and services by weight on three hosts with real agents: the sums are exact."""

from __future__ import annotations

from pathlib import Path

from stampede.analysis.collected_run import read_run

from .fleet import Fleet
from .playbooks import play

HOLDERS = 6
EVERYTHING = """
async def script(holder):
    await holder.connect_to_mediator()
    issuer = await holder.connect("issuer_with_menu")
    await holder.receive_credential(issuer)
    await holder.present_proof(holder.choose({"verifier": 1, "issuer": 0}))
    await holder.request_revocation("issuer_with_menu")
    await holder.receive_revocation_notification(issuer)
    await holder.receive_menu(issuer)
    await holder.choose_action(issuer, "renew", {"name": f"Holder {holder.number}"})
    await holder.receive_credential(issuer)
    await holder.request_menu(issuer)
    await holder.receive_menu(issuer)
    await holder.choose_action(issuer, "call")
    question = await holder.receive_question(issuer)
    await holder.answer_question(question, holder.random.choice(question.responses))
    await holder.receive_message(issuer)
    await holder.send_message(issuer, "Thank you")
    await holder.receive_message(issuer)
"""
TIMES = {
    "connect_to_mediator": 1,
    "request_invitation": 2,
    "connect": 1,
    "receive_credential": 2,
    "present_proof": 1,
    "request_revocation": 1,
    "receive_revocation_notification": 1,
    "delete_credential": 1,
    "request_menu": 1,
    "receive_menu": 2,
    "choose_action": 2,
    "receive_question": 1,
    "answer_question": 1,
    "receive_message": 2,
    "send_message": 1,
}


def test_everything_that_holders_say_and_hear(fleet: Fleet, tmp_path: Path) -> None:
    """The reference services run on the fleet's own host, and nothing reaches the load hosts: holders are phones."""
    script = tmp_path / "everything.py"
    script.write_text(EVERYTHING)
    settings = {"script": str(script), "holders": HOLDERS, "duration": 0, "iterations": 1}
    done = play(fleet, "run-test", run_id="said", results_dir=str(tmp_path), **settings)
    assert done.code == 0, done.output
    summary = read_run(tmp_path / "said").summary
    assert {name: (step.ok, step.failed) for name, step in summary.steps.items()} == {
        name: (HOLDERS * times, 0) for name, times in TIMES.items()
    }
    assert len(summary.hosts) == 3 and not summary.losses
    assert {host.steps.ok for host in summary.hosts.values()} == {sum(TIMES.values()) * HOLDERS // 3}
