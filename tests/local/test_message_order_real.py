"""Messages that come before they are awaited, with real agents: none is lost, in whatever order a script asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local_playbook import Playbook
from reference_services import ReferenceServices

SCRIPTS = {
    # Revocation is asked for, other things are done for a while, then the notification is awaited.
    "backlog": """
async def script(holder):
    issuer = await holder.connect("one", name="issuer")
    await holder.receive_credential(issuer)
    await holder.request_revocation("one", issuer)
    for number in range(10):
        await holder.connect("none", name=f"other-{number}")
    await holder.receive_revocation_notification(issuer)
""",
    # The issuer makes eight offers at once; the holder looks at them a little later.
    "offers": """
async def script(holder):
    issuer = await holder.connect("eight")
    await holder.wait(6)
    received = [await holder.receive_credential(issuer) for _ in range(8)]
    assert len({credential.cred_ex_id for credential in received}) == 8
    kept = await holder.wallet.credential_ids()
    assert sorted(kept) == sorted(credential.credential_id for credential in received)
    assert len({(credential.rev_reg_id, credential.cred_rev_id) for credential in received}) == 8
""",
    # Two credentials over two connections are revoked; their notifications are awaited in either order.
    "notifications": """
async def script(holder):
    for order in (("tax", "health"), ("health", "tax")):
        for name in ("health", "tax"):
            await holder.connect("one", name=name)
            await holder.receive_credential(name)
        for name in ("health", "tax"):
            await holder.request_revocation("one", name)
        for name in order:
            await holder.receive_revocation_notification(name)
""",
    # The same member connects to the same service again: its invitations name a DID, so the connection is reused.
    "reuse": """
async def script(holder):
    first = await holder.connect("did")
    await holder.receive_credential(first)
    await holder.connect("did")
    await holder.ping("did")
""",
}
STEPS = {
    "backlog": {"connect": 11, "receive_credential": 1, "receive_revocation_notification": 1},
    "offers": {"connect": 1, "receive_credential": 8},
    "notifications": {"connect": 4, "receive_credential": 4, "receive_revocation_notification": 4},
    "reuse": {"connect": 2, "receive_credential": 1, "ping": 1},
}


def services(reference: ReferenceServices) -> dict[str, Any]:
    """The reference issuer as several services: by how many offers it makes at once, and how it invites."""
    issuer = reference.settings["services"]["issuer"]
    url = issuer["invitation"]["url"]
    queries = {"one": "", "none": "?offers=0", "eight": "?offers=8", "did": "?did=1"}
    return {
        name: issuer | {"invitation": issuer["invitation"] | {"url": url + query}} for name, query in queries.items()
    }


def test_no_message_is_lost(playbook: Playbook, reference: ReferenceServices, tmp_path: Path) -> None:
    """All of them in one run, two holders each."""
    for name, script in SCRIPTS.items():
        (tmp_path / f"{name}.py").write_text(script)
    connections = reference.get("/issuer/status")["connections"]
    code, output = playbook.run(
        scripts=[{"script": str(tmp_path / f"{name}.py")} for name in SCRIPTS],
        holders=2 * len(SCRIPTS),
        services=services(reference),
        mediator_did="",
        step_timeout="60s",
    )
    assert code == 0, output
    summary = playbook.summary()
    assert summary["losses"] == []
    for name, expected in STEPS.items():
        script = summary["scripts"][name]
        assert script["holders"] == 2
        assert {step: script["steps"][step]["ok"] for step in expected} == {
            step: 2 * times for step, times in expected.items()
        }
    made = sum(STEPS[name]["connect"] for name in SCRIPTS if name != "reuse") + 1  # the second is the first again
    assert reference.get("/issuer/status")["connections"] - connections == 2 * made


def test_a_full_inbox_is_told_and_fails_the_run(
    playbook: Playbook, reference: ReferenceServices, tmp_path: Path
) -> None:
    script = tmp_path / "offers.py"
    script.write_text(
        "async def script(holder):\n"
        "    issuer = await holder.connect('eight')\n"
        "    await holder.wait(10)\n"
        "    await holder.receive_credential(issuer)\n"
    )
    settings = {"services": services(reference), "mediator_did": "", "step_timeout": "10s"}
    code, output = playbook.run(script=str(script), holders=1, inbox_limit=6, fail_on_errors=False, **settings)
    assert code != 0
    run = playbook.summary()["run"]
    assert run["outcome"] in ("incomplete", "failed") and run["passed"] is False
    (loss,) = playbook.summary()["losses"]
    assert loss["kind"] == "messages" and loss["number"] >= 1
    assert "raise stampede_inbox_limit, which is 6" in " ".join(output.split())
    assert "inbox_overflow" in {event["kind"] for event in playbook.journal("event")}
