"""ACA-Py's own admin API as a service: no controller, requests alone."""

from __future__ import annotations

from typing import Any

from journeys import CONNECTED, PRESENT, PRESENTED, REVOKE, REVOKED, Journey

HEADERS = {"X-API-Key": "${secret:key}"}
PREVIEW = {
    "@type": "issue-credential/2.0/credential-preview",
    "attributes": [
        {"name": "name", "value": "Alice"},
        {"name": "number", "value": "holder ${holder}"},
        {"name": "since", "value": "2026"},
    ],
}
OFFER = {
    "filter": {"anoncreds": {"cred_def_id": "{issuer:revocable}"}},
    "credential_preview": PREVIEW,
    "auto_issue": True,
}
PROOF = {
    "name": "proof",
    "version": "1.0",
    "requested_attributes": {"a": {"name": "name", "restrictions": [{"cred_def_id": "{issuer:revocable}"}]}},
    "requested_predicates": {},
}


def asked(agent: str, path: str, body: Any) -> dict[str, Any]:
    return {"url": f"{{{agent}:admin}}{path}", "headers": HEADERS, "body": body}


def looked_up(agent: str, path: str) -> dict[str, Any]:
    return {"url": f"{{{agent}:admin}}{path}", "headers": HEADERS, "method": "GET"}


def invitation(**more: Any) -> dict[str, Any]:
    body = {"handshake_protocols": ["https://didcomm.org/didexchange/1.1"], **more}
    return asked("issuer", "/out-of-band/create-invitation?auto_accept=true", body)


VERIFIER = {
    "invitation": [
        asked(
            "verifier",
            "/present-proof-2.0/create-request",
            {"presentation_request": {"anoncreds": PROOF}, "auto_verify": True, "auto_remove": False},
        ),
        asked(
            "verifier",
            "/out-of-band/create-invitation",
            {"attachments": [{"id": "${answer:/pres_ex_id}", "type": "present-proof"}]},
        ),
    ],
    "result": looked_up("verifier", "/present-proof-2.0/records/${answer:/pres_ex_id}") | {"found_at": "/verified"},
}
OFFERS_BY_INVITATION = {
    "invitation": [
        asked("issuer", "/issue-credential-2.0/create-offer", OFFER | {"auto_remove": False}),
        invitation(attachments=[{"id": "${answer:/cred_ex_id}", "type": "credential-offer"}]),
    ],
    "revocation": [
        looked_up("issuer", "/issue-credential-2.0/records/${answer:/cred_ex_id}"),
        asked(
            "issuer",
            "/anoncreds/revocation/revoke",
            {
                "rev_reg_id": "${rev_reg_id}",
                "cred_rev_id": "${cred_rev_id}",
                "publish": True,
                "notify": True,
                "connection_id": "${answer:/cred_ex_record/connection_id}",
            },
        ),
    ],
}
OFFERS_WHEN_ASKED = {
    "invitation": invitation(),
    "requests": {
        "offer": [
            looked_up("issuer", "/connections?invitation_msg_id=${answer:/invi_msg_id}"),
            asked(
                "issuer",
                "/issue-credential-2.0/send-offer",
                OFFER | {"connection_id": "${answer:/results/0/connection_id}"},
            ),
        ]
    },
}
JOURNEYS = [
    Journey(
        "admin_api",
        {"issuer": OFFERS_BY_INVITATION, "verifier": VERIFIER},
        PRESENT + REVOKE,
        (*PRESENTED, *REVOKED),
    ),
    Journey(
        "admin_api_asked_to_offer",
        {"issuer": OFFERS_WHEN_ASKED, "verifier": VERIFIER},
        'issuer = await holder.connect(s("issuer"))\n'
        'await holder.request(s("issuer") + ".offer")\n'
        "await holder.receive_credential(issuer)\n"
        'await holder.present_proof(s("verifier"))\n',
        (*CONNECTED, "request", *PRESENTED[len(CONNECTED) :]),
    ),
]
