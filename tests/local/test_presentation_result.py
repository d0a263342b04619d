"""What becomes of a presentation, its verifier's own answer decides."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from local_playbook import Playbook
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
        script=str(script),
        services=services,
        holders=2,
        on_failure="continue",
        mediator_did="",
        agent_packages=["tests/agent_plugin"],
        agent_plugins=["reference.didweb_anoncreds", "greeter"],
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
    with gzip.open(playbook.results / "local/logs/agent-0.log.gz", "rt") as log:  # the plugin of tests/agent_plugin
        assert log.read().count("greeter: good morning") == 1


INVITED = {
    "@type": "https://didcomm.org/out-of-band/1.1/invitation",
    "@id": "69212a3a-d068-4f9d-a2dd-4741bca89af3",
    "handshake_protocols": ["https://didcomm.org/didexchange/1.1"],
    "services": ["did:web:localhost%3A1:nobody"],
}
INLINE = {"id": "#inline", "type": "did-communication", "serviceEndpoint": "http://127.0.0.1:1"}
NOT_TAKEN = [
    {},
    {"services": None},
    {"services": []},
    {"services": ["nonsense"]},
    {"services": [{"id": "#x"}]},
    {"services": [INLINE | {"recipientKeys": ["did:key:z6Mkbad"]}]},
    {"services": [INLINE, INLINE]},
    {"handshake_protocols": ["https://example.org/nothing/1.0"]},
    {"goal_code": "without a goal"},
    {"label": {"a": 1}},
    {"@id": 7},
    {"requests~attach": [{"@id": "a", "data": {"json": {}}}]},
]


def test_an_invitation_that_the_agent_does_not_take_is_a_bad_one(playbook: Playbook, tmp_path: Path) -> None:
    script = tmp_path / "odd.py"
    script.write_text(
        f"INVITED, ODD = {INVITED!r}, {NOT_TAKEN!r}\n\n\n"
        "async def script(holder):\n"
        "    for odd in ODD:\n"
        "        await holder.connect('issuer', invitation=INVITED | odd)\n"
        "    await holder.connect('issuer')\n"
    )
    code, output = playbook.run(script=str(script), holders=1, on_failure="continue", mediator_did="")
    assert code != 0, output
    steps = [(record["step"], record.get("error")) for record in playbook.journal()]
    assert steps == [
        *[("connect", "bad_invitation")] * len(NOT_TAKEN),
        ("request_invitation", None),
        ("connect", None),
    ]
