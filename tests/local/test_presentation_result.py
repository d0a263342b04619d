"""What becomes of a presentation, its verifier's own answer decides."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import Playbook
from reference_services import ReferenceServices

REVOKED = """
async def script(holder):
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    await holder.present_proof("verifier")
    await holder.request_revocation("issuer")
    await holder.delete_credential(await holder.receive_credential(issuer))  # the new one that the issuer offers
    await holder.present_proof("taciturn")
    await holder.present_proof("verifier")
    await holder.ping(issuer)
"""


def test_a_revoked_credential_is_refused_where_the_verifier_is_asked(
    playbook: Playbook, reference: ReferenceServices, tmp_path: Path
) -> None:
    script = tmp_path / "revoked.py"
    script.write_text(REVOKED)
    services = json.loads(json.dumps(reference.settings["services"]))
    services["taciturn"] = {"invitation": services["verifier"]["invitation"]}
    before = reference.get("/verifier/presentations")

    code, output = playbook.run(
        script=str(script), services=services, holders=2, agents=1, on_failure="continue", mediator_did=""
    )

    assert code != 0
    summary = playbook.summary()
    assert summary["run"]["outcome"] == "failed"
    assert summary["errors"]["presentation_rejected"]["steps"] == {"present_proof": 2}
    assert list(summary["errors"]) == ["presentation_rejected"]
    assert summary["steps"]["present_proof"]["ok"] == 4
    assert (summary["load"]["presentations"], summary["load"]["presentations_verified"]) == (4, 2)
    assert "2 presentations were acknowledged only" in " ".join(output.split())
    said = [
        (record["service"], record["outcome"], record.get("error"), record.get("detail"))
        for record in playbook.journal()
        if record["step"] == "present_proof"
    ]
    refused = ("verifier", "failed", "presentation_rejected", "verifier answered 200, the presentation is 'failed'")
    assert sorted(said, key=str) == sorted(
        2 * [("verifier", "ok", None, "verified"), ("taciturn", "ok", None, None), refused], key=str
    )
    after = reference.get("/verifier/presentations")
    assert after["verified"] - before["verified"] == 2
    assert after["failed"] - before["failed"] == 4
