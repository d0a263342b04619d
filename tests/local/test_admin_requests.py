"""A verifier that is nothing but an ACA-Py agent, driven by its admin API: two requests make an invitation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
from local_playbook import Playbook
from reference_services import ReferenceServices

SCRIPT = """
async def script(holder):
    issuer = await holder.connect("issuer")
    await holder.receive_credential(issuer)
    await holder.present_proof("verifier")
    record = await holder.request("verifier.record")
    async with holder.step(f"found_{record['state']}_{record['verified']}"):
        made = await holder.request("verifier.create", name="of the script")
        invitation = await holder.request("verifier.invite", id=made["pres_ex_id"])
    await holder.present_proof("hasty", invitation=invitation)
"""
RECORD = {"example": {"state": "done", "verified": "true"}}
CREATED = {"example": {"pres_ex_id": "p-1"}}


def admin_of(reference: ReferenceServices, name: str) -> tuple[str, str]:
    """URL and key of the admin API of one of the reference services' agents."""
    for process in psutil.Process(reference.process.pid).children(recursive=True):
        words = process.cmdline()
        if "--admin" in words and any(name in word for word in words):
            return f"http://127.0.0.1:{words[words.index('--admin') + 2]}", process.environ()["ACAPY_ADMIN_API_KEY"]
    raise AssertionError(f"the {name} has no agent")


def presentation_request(name: str) -> dict[str, Any]:
    asked = {
        "name": name,
        "version": "1.0",
        "requested_predicates": {},
        "requested_attributes": {"a": {"name": "name"}},
    }
    return {"presentation_request": {"anoncreds": asked}, "auto_verify": True, "auto_remove": False}


def test_an_admin_api_is_a_verifier(playbook: Playbook, reference: ReferenceServices, tmp_path: Path) -> None:
    script = tmp_path / "admin.py"
    script.write_text(SCRIPT)
    admin, key = admin_of(reference, "verifier")
    headers = {"X-API-Key": "${secret:verifier}"}
    create = {"url": f"{admin}/present-proof-2.0/create-request", "headers": headers}
    invite = {"url": f"{admin}/out-of-band/create-invitation", "headers": headers}
    record = {"url": f"{admin}/present-proof-2.0/records/${{answer:/pres_ex_id}}", "headers": headers}
    attached = {"attachments": [{"id": "${answer:/pres_ex_id}", "type": "present-proof"}]}
    given = {"attachments": [{"id": "${given:id}", "type": "present-proof"}]}
    verifier = {
        "invitation": [create | {"body": presentation_request("by a list")}, invite | {"body": attached}],
        "result": record | {"found_at": "/verified"},
        "requests": {
            "record": record | RECORD,
            "create": create | {"body": presentation_request("${given:name}")} | CREATED,
            "invite": invite | {"body": given, "found_at": "/invitation", "example": {"@id": "i-1"}},
        },
    }
    services = {
        "issuer": reference.settings["services"]["issuer"],
        "verifier": verifier,
        "hasty": {"invitation": create, "done": "sent"},
    }

    code, output = playbook.run(
        script=str(script),
        services=services,
        secrets={"verifier": key},
        holders=2,
        iterations=1,
        on_failure="stop",
        mediator_did="",
    )

    assert code == 0, output
    load = playbook.summary()["load"]
    assert (load["presentations"], load["presentations_verified"], load["presentations_sent"]) == (4, 2, 2)
    steps = {(record["step"], record["service"], record["outcome"]) for record in playbook.journal()}
    assert ("found_done_true", "", "ok") in steps
    assert {("request", f"verifier.{name}", "ok") for name in ("record", "create", "invite")} <= steps
    assert key not in output
