"""What invitations carry, and what a holder says of itself, with the reference services' real agents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local_playbook import Playbook
from reference_services import ReferenceServices

SCRIPT = """
async def script(holder):
    await holder.receive_credential("alone")
    await holder.present_proof("colour", self_attested={"colour": "green"})
    await holder.present_proof("town")
    await holder.receive_credential("attached")
    await holder.request_revocation("attached")
    await holder.receive_revocation_notification("attached")
    await holder.connect("known")
    await holder.connect("known", name="again")
    await holder.receive_credential("known_attached")
    await holder.ping("known_attached")
    await holder.present_proof("shoe_size")
"""


def services(reference: ReferenceServices) -> dict[str, Any]:
    issuer, verifier = (reference.settings["services"][name] for name in ("issuer", "verifier"))

    def asking(service: dict[str, Any], query: str) -> dict[str, Any]:
        invitation = service["invitation"]
        return service | {"invitation": invitation | {"url": f"{invitation['url']}?{query}"}}

    return {
        "alone": asking(issuer, "attached=alone"),
        "attached": asking(issuer, "attached=1"),
        "known": asking(issuer, "did=1&offers=0"),
        "known_attached": asking(issuer, "did=1&attached=1"),
        **{name: asking(verifier, f"also={name}") for name in ("colour", "town", "shoe_size")},
    }


def test_messages_attached_to_invitations(playbook: Playbook, reference: ReferenceServices, tmp_path: Path) -> None:
    connections = reference.get("/issuer/status")["connections"]
    script = tmp_path / "attached.py"
    script.write_text(SCRIPT)
    code, output = playbook.run(
        script=str(script),
        holders=1,
        iterations=1,
        services=services(reference),
        mediator_did="",
        step_timeout="60s",
        on_failure="stop",
        self_attested={"town": "Basel"},
    )
    assert code != 0 and "request_unmatched" in output, output  # by the last step
    steps = [(step["step"], step["outcome"], step.get("error", "")) for step in playbook.journal()]
    assert [name for name, outcome, _ in steps if outcome != "ok"] == ["present_proof"]
    assert steps.count(("receive_credential", "ok", "")) == 3
    assert steps.count(("present_proof", "ok", "")) == 2
    assert steps.count(("receive_revocation_notification", "ok", "")) == 1
    (failed,) = (step for step in playbook.journal() if step["outcome"] == "failed")
    assert failed["error"] == "request_unmatched"
    assert "requests: shoe_size" in failed["detail"]
    details = [step.get("detail", "") for step in playbook.journal() if step["step"] == "connect"]
    assert details == ["", "reused"]
    assert reference.get("/issuer/status")["connections"] - connections == 2  # of "attached", and of the issuer's DID
    verified = [step.get("detail") for step in playbook.journal() if step["step"] == "present_proof"]
    assert verified[:2] == ["verified", "verified"]
