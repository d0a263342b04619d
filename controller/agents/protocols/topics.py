"""The topics of ACA-Py's webhooks that a wallet knows."""

from __future__ import annotations

from controller.agents.inbox import Topic

UNMATCHED = "unmatched"
"""State of a presentation request that the agent cannot answer by itself: see the patch ``unmatched_requests``."""
OFFERED_BY_1_0, REQUESTED_BY_1_0 = "offer_received", "request_received"
"""States in the elder protocols issue-credential 1.0 and present-proof 1.0 (Aries RFCs 0036, 0037)."""

LEFT_OUT = "left-out"
"""State of an offer in a format that holders do not take; see the patch ``left_out_messages``."""


class Topics:
    """Every topic that a wallet waits for."""

    connection = Topic(
        "connections",
        exchange="connection_id",
        awaited=frozenset({"active", "completed", "abandoned", "error"}),
    )
    mediation = Topic("mediation", exchange="mediation_id", awaited=frozenset({"granted", "denied"}))
    credential_exchange = Topic(
        "issue_credential_v2_0",
        exchange="cred_ex_id",
        awaited=frozenset({"offer-received", "done", "abandoned", OFFERED_BY_1_0, LEFT_OUT}),
    )
    credential_exchange_1_0 = Topic("issue_credential", exchange="credential_exchange_id", joins=credential_exchange)
    credential_stored = Topic("issue_credential_v2_0_anoncreds", needs="cred_id_stored", exchange="cred_ex_id")
    indy_credential_stored = Topic("issue_credential_v2_0_indy", needs="cred_id_stored", exchange="cred_ex_id")
    presentation_exchange = Topic(
        "present_proof_v2_0",
        exchange="thread_id",
        awaited=frozenset(
            {"request-received", "presentation-sent", "done", "abandoned", UNMATCHED, REQUESTED_BY_1_0}
        ),
    )
    presentation_exchange_1_0 = Topic("present_proof", exchange="thread_id", joins=presentation_exchange)
    revocation_notification = Topic("revocation-notification-v2", exchange="credential_id")
    revocation_notification_1_0 = Topic(
        "revocation-notification", exchange="thread_id", joins=revocation_notification
    )
    menu = Topic("actionmenu", keeps=frozenset({"menu"}))
    question = Topic("question", keeps=frozenset({"question"}))
    text = Topic("basicmessages", keeps=frozenset({"content"}))
    ping = Topic("ping", exchange="thread_id", awaited=frozenset({"response_received"}))


TOPICS = {topic.name: topic for topic in vars(Topics).values() if isinstance(topic, Topic)}
IGNORED_TOPICS = frozenset(
    {
        *("credential", "discover_feature_v2_0", "out_of_band", "keylist"),
        *("connection_reuse", "connection_reuse_accepted", "problem_report"),
    }
)
"""Topics that ACA-Py sends and no step awaits."""
